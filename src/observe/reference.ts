/**
 * Reference: every metric and every log field, as Markdown, from the rows that make them.
 */
import { FAILURE_CODES, failureMeaning } from "../core/failure.ts";
import { logFields } from "./access-log.ts";
import { BLOCKS, type BlockKind, type MetricRow, PROCESS, type ProcessMetricRow } from "./metrics.table.ts";

const TITLES: Readonly<Record<BlockKind, string>> = {
  worker: "Workers",
  listener: "Listeners",
  route: "Routes",
  endpoint: "Endpoints",
  upstream: "Protected upstreams",
  cache: "Routes that cache",
};

export function metricsReference(): string {
  const sections = (Object.keys(BLOCKS) as BlockKind[]).map((kind) =>
    section(TITLES[kind], blockLines(kind)),
  );
  return `# Metrics and log fields

Printed from \`src/observe/metrics.table.ts\` by \`tools/print-metrics.ts\`; do not edit.

\`/metrics\` on the admin listener gives these in the Prometheus text format, summed over workers unless there is a
\`worker\` label. Counters live in shared memory: a worker's death, a reload and an upgrade reset none of them.
Histograms are in seconds, two buckets an octave from 64 µs to 67 s. Label sets are bounded by the configuration;
when there are more routes than room, further ones are counted together as \`other\`.

${section("Process", Object.values(PROCESS).map(processLine))}
${sections.join("\n")}
## Reasons

Values of \`reason\` in \`weir_failures_total\`; an access log line holds the same word as its \`cause\`.

| reason | meaning |
| --- | --- |
${FAILURE_CODES.map((code) => `| \`${code}\` | ${failureMeaning(code)} |`).join("\n")}

## Log fields

What may stand in a template of \`observe.accessLog.format\`, in braces: ${logFields()
    .map((name) => `\`${name}\``)
    .join(", ")}.
`;
}

function section(title: string, lines: readonly string[]): string {
  return `## ${title}\n\n| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n${lines.join("\n")}\n`;
}

/** One line a name: rows that share a name differ in a label only. */
function blockLines(kind: BlockKind): string[] {
  const lines = new Map<string, string>();
  for (const row of Object.values(BLOCKS[kind].rows) as MetricRow[]) {
    const own = kind === "worker" && row.each !== undefined ? [] : BLOCKS[kind].labels;
    const extra = row.each?.label ?? row.label?.[0];
    lines.set(row.name, line(row, extra === undefined ? own : [...own, extra]));
  }
  return [...lines.values()];
}

const processLine = (row: ProcessMetricRow) => line(row, row.labels);

function line({ name, kind, help }: MetricRow | ProcessMetricRow, labels: readonly string[]): string {
  return `| \`${name}\` | ${kind} | ${labels.map((label) => `\`${label}\``).join(", ")} | ${help} |`;
}
