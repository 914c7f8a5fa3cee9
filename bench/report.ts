/**
 * Report: results as Markdown tables for people and as JSON for comparison.
 */
import { type Case, type CaseResult, isMet, median, type Row, ratio } from "./case.ts";

export interface Finished {
  readonly what: Case;
  readonly result: CaseResult;
}

/** Subjects whose cost others are compared with, as columns. */
const PEERS = ["nginx", "haproxy", "varnish"];

function table(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const align = head.map((_, index) => (index === 0 ? "---" : "---:"));
  return [head, align, ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

const figure = (value: number | undefined, digits: number) =>
  value === undefined || !Number.isFinite(value)
    ? "–"
    : value.toLocaleString("en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** What one case found: a table, then its bars. */
export function caseMarkdown({ what, result }: Finished): string {
  const { columns, rows, bars } = result;
  const peers = PEERS.filter((name) => rows.some((row) => row.subject === name && "cpuUs" in row.values));
  const head = ["", ...columns.map(({ title }) => title), ...peers.map((name) => `CPU × ${name}`)];
  const lines = rows.map((row) => [
    row.subject,
    ...columns.map(({ key, digits }) => figure(row.values[key], digits)),
    ...peers.map((name) => figure(ratio(rows, "cpuUs", row.subject, name), 3)),
  ]);
  const spread = rows.some((row) => row.samples.length > 1 && "cpuUs" in row.values) ? spreadOf(rows) : "";
  const verdicts = bars.map(
    (bar) =>
      `- ${isMet(bar) ? "met" : "**missed**"}: ${bar.text}: ${figure(bar.value, 3)} ` +
      `(bar: ${bar.isFloor === true ? "≥" : "≤"} ${bar.limit})`,
  );
  const parts = [`## ${what.title}`, what.setup, table(head, lines), spread, verdicts.join("\n")];
  return parts.filter((part) => part !== "").join("\n\n");
}

/** How far rounds lay apart: a ratio closer to its bar than this says nothing. */
function spreadOf(rows: readonly Row[]): string {
  const spreads = rows.map((row) => {
    const costs = row.samples.map((sample) => sample["cpuUs"] ?? Number.NaN);
    return `${row.subject} ±${figure(((Math.max(...costs) - Math.min(...costs)) / 2 / median(costs)) * 100, 1)} %`;
  });
  return `Spread of CPU cost over ${rows[0]?.samples.length} rounds: ${spreads.join(", ")}.`;
}

/** Top of every report: what was measured, on what. */
export function preamble(facts: Readonly<Record<string, string>>): string {
  const lines = Object.entries(facts).map(([name, value]) => `- ${name}: ${value}`);
  return [
    "CPU is user and system time of all of a proxy's processes, from the kernel's accounting, by request or by MiB.",
    "Ratios are medians over the rounds of one subject's cost by another's in the same round. Memory is resident",
    "memory of all its processes; pages that several of them share count once for each.",
    "",
    ...lines,
  ].join("\n");
}

export function fullMarkdown(facts: Readonly<Record<string, string>>, finished: readonly Finished[]): string {
  const head = ["case", "bar", "found", ""];
  const lines = finished.flatMap(({ what, result }) =>
    result.bars.map((bar) => [
      `[${what.title}](${what.name}.md)`,
      `${bar.text} ${bar.isFloor === true ? "≥" : "≤"} ${bar.limit}`,
      figure(bar.value, 3),
      isMet(bar) ? "met" : "**missed**",
    ]),
  );
  const parts = [
    "# Benchmarks",
    preamble(facts),
    "## Bars",
    table(head, lines),
    ...finished.map(caseMarkdown),
  ];
  return `${parts.join("\n\n")}\n`;
}
