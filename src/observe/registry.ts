/**
 * Registry: the counters of all workers as Prometheus text.
 *
 * why    what is counted is data (metrics.table.ts), where it is counted is data (series.ts): this joins the
 *        two, so that no metric can be counted and not shown
 * out    text format 0.0.4: HELP and TYPE once a name, families in the order of the table, series in the
 *        order of their slots, so that two scrapes differ in numbers only
 * cost   one read a slot and row; about 55 lines a route
 * spec   Prometheus exposition formats, text format 0.0.4
 */
import { bucketUpperMs } from "./histogram.ts";
import {
  BLOCKS,
  type BlockKind,
  BUCKETS_PER_OCTAVE,
  HISTOGRAM_BUCKETS,
  type MetricRow,
  PROCESS,
  type ProcessMetricRow,
} from "./metrics.table.ts";
import { parseSeriesKey, type SlotMap, sharedKey } from "./series.ts";

export const EXPOSITION_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** One series of a metric that the caller knows by itself. */
export interface ExtraMetric {
  readonly row: ProcessMetricRow;
  readonly samples: readonly { readonly labels: readonly string[]; readonly value: number }[];
}

/** A block of slots and the label text of its series, such as `route="api"`. */
interface Block {
  readonly kind: BlockKind;
  readonly slot: number;
  readonly labels: string;
}

type Rows = readonly Float64Array[];

/**
 * All metrics as text.
 * in     `rows`: every worker row in which something was ever counted; `workers`: which of them (by index)
 *        belong to a worker that runs now. Reading a row that was never used makes the kernel give it memory.
 */
export function exposition(
  series: SlotMap,
  rows: Rows,
  workers: readonly number[],
  extra: readonly ExtraMetric[] = [],
): string {
  const out: string[] = [];
  for (const metric of extra) writeExtra(out, metric);
  for (const kind of Object.keys(BLOCKS) as BlockKind[]) {
    const blocks = blocksOf(series, kind);
    for (const members of familiesOf(kind)) {
      writeMeta(out, (members[0] as Member)[0]);
      for (const block of blocks) {
        for (const member of members) writeMember(out, member, block, { rows, workers });
      }
    }
  }
  return out.join("");
}

interface Counted {
  readonly rows: Rows;
  readonly workers: readonly number[];
}

function writeMember(out: string[], [row, offset]: Member, block: Block, { rows, workers }: Counted): void {
  const place: Place = { rows, slot: block.slot + offset };
  if (block.kind === "worker" && row.each === undefined) writeEachWorker(out, row, place, workers);
  else if (row.kind === "histogram") writeHistogram(out, row.name, block.labels, place);
  else writeRow(out, row, block.labels, place);
}

type Member = readonly [row: MetricRow, offset: number];

/** Rows of a block by metric name: Prometheus wants the series of one name together. */
function familiesOf(kind: BlockKind): Iterable<readonly Member[]> {
  const { rows, at } = BLOCKS[kind];
  const families = new Map<string, Member[]>();
  for (const [key, row] of Object.entries(rows) as [string, MetricRow][]) {
    const member: Member = [row, (at as Readonly<Record<string, number>>)[key] as number];
    const family = families.get(row.name);
    if (family === undefined) families.set(row.name, [member]);
    else family.push(member);
  }
  return families.values();
}

/** Blocks of one kind by slot. Names that share a block because the row is full show up once, as `other`. */
function blocksOf(series: SlotMap, kind: BlockKind): Block[] {
  const shared = sharedKey(kind);
  const blocks: Block[] = [];
  for (const [key, slot] of Object.entries(series)) {
    const name = parseSeriesKey(key);
    if (name === undefined || name.kind !== kind) continue;
    if (slot === series[shared] && key !== shared) continue;
    blocks.push({ kind, slot, labels: labelText(kind === "worker" ? [] : BLOCKS[kind].labels, name.labels) });
  }
  return blocks.sort((a, b) => a.slot - b.slot);
}

interface Place {
  readonly rows: Rows;
  readonly slot: number;
}

function writeRow(out: string[], row: MetricRow, labels: string, place: Place): void {
  if (row.each !== undefined) {
    for (const [index, value] of row.each.values.entries()) {
      const both = joinLabels(labels, labelText([row.each.label], [value]));
      out.push(sample(row.name, both, sumAt({ rows: place.rows, slot: place.slot + index })));
    }
    return;
  }
  const both =
    row.label === undefined ? labels : joinLabels(labels, labelText([row.label[0]], [row.label[1]]));
  out.push(sample(row.name, both, sumAt(place)));
}

function writeEachWorker(out: string[], row: MetricRow, place: Place, workers: readonly number[]): void {
  for (const worker of workers) {
    const value = place.rows[worker]?.[place.slot] ?? 0;
    out.push(sample(row.name, labelText(BLOCKS.worker.labels, [String(worker)]), value));
  }
}

/**
 * Bounds sent to the scraper: two an octave, half of what is counted. Quantiles read from them are off by
 * 20 % at the most, and a route costs half the lines.
 */
const SENT_BOUNDS: ReadonlyMap<number, string> = new Map(
  Array.from({ length: HISTOGRAM_BUCKETS - 1 }, (_, bucket) => bucket)
    .filter((bucket) => bucket % (BUCKETS_PER_OCTAVE / 2) === 0)
    .map((bucket) => [bucket, String(Math.round(bucketUpperMs(bucket) * 1000) / 1e6)]),
);

function writeHistogram(out: string[], name: string, labels: string, { rows, slot }: Place): void {
  const prefix = `${name}_bucket{${labels === "" ? "" : `${labels},`}le="`;
  let count = 0;
  for (let bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
    count += sumAt({ rows, slot: slot + bucket });
    const bound = SENT_BOUNDS.get(bucket);
    if (bound !== undefined) out.push(`${prefix}${bound}"} ${count}\n`);
  }
  out.push(`${prefix}+Inf"} ${count}\n`);
  out.push(sample(`${name}_sum`, labels, sumAt({ rows, slot: slot + HISTOGRAM_BUCKETS })));
  out.push(sample(`${name}_count`, labels, count));
}

function sumAt({ rows, slot }: Place): number {
  let sum = 0;
  for (const row of rows) sum += row[slot] ?? 0;
  return sum;
}

function writeExtra(out: string[], { row, samples }: ExtraMetric): void {
  writeMeta(out, row);
  for (const { labels, value } of samples) out.push(sample(row.name, labelText(row.labels, labels), value));
}

function writeMeta(out: string[], row: MetricRow | ProcessMetricRow): void {
  out.push(`# HELP ${row.name} ${escapeHelp(row.help)}\n# TYPE ${row.name} ${row.kind}\n`);
}

const sample = (name: string, labels: string, value: number) =>
  `${labels === "" ? name : `${name}{${labels}}`} ${formatValue(value)}\n`;

function formatValue(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}

const labelText = (names: readonly string[], values: readonly string[]) =>
  names.map((name, index) => `${name}="${escapeLabel(values[index] ?? "")}"`).join(",");

const joinLabels = (first: string, second: string) => (first === "" ? second : `${first},${second}`);

const escapeHelp = (text: string) => text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
const escapeLabel = (text: string) => escapeHelp(text).replaceAll('"', '\\"');

/** A certificate that clients may be shown. */
export interface ServedCertificate {
  readonly listener: string;
  /** The first of its names. */
  readonly name: string;
  readonly source: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** What only the control process knows. */
export interface ProcessFacts {
  readonly program: string;
  readonly runtime: string;
  readonly startedAtMs: number;
  readonly isReady: boolean;
  readonly workersConfigured: number;
  readonly workersUp: number;
  /** Restarts by worker number. */
  readonly restarts: readonly number[];
  readonly configVersion: number;
  readonly reloadsApplied: number;
  readonly reloadsFailed: number;
  readonly certificates: readonly ServedCertificate[];
  /** Changed files that could not be used. */
  readonly certificateErrors: number;
  /** Orders by ACME since the start; undefined where nobody orders. */
  readonly acme?: AcmeCounts;
}

export interface AcmeCounts {
  readonly issued: number;
  readonly failed: number;
  /** undefined = there is no certificate to renew. */
  readonly nextRenewalAtMs: number | undefined;
}

/** The control process's own metrics, to hand to `exposition` as `extra`. */
export function processMetrics(facts: ProcessFacts): ExtraMetric[] {
  const one = (row: ProcessMetricRow, value: number): ExtraMetric => ({
    row,
    samples: [{ labels: [], value }],
  });
  return [
    { row: PROCESS.build, samples: [{ labels: [facts.program, facts.runtime], value: 1 }] },
    one(PROCESS.startTime, facts.startedAtMs / 1000),
    one(PROCESS.ready, facts.isReady ? 1 : 0),
    one(PROCESS.workersConfigured, facts.workersConfigured),
    one(PROCESS.workersUp, facts.workersUp),
    {
      row: PROCESS.workerRestarts,
      samples: facts.restarts.map((value, worker) => ({ labels: [String(worker)], value })),
    },
    one(PROCESS.configVersion, facts.configVersion),
    {
      row: PROCESS.reloads,
      samples: [
        { labels: ["applied"], value: facts.reloadsApplied },
        { labels: ["failed"], value: facts.reloadsFailed },
      ],
    },
    ...certificateMetrics(facts),
    ...(facts.acme === undefined ? [] : acmeMetrics(facts.acme)),
  ];
}

function acmeMetrics({ issued, failed, nextRenewalAtMs }: AcmeCounts): ExtraMetric[] {
  const renewals =
    nextRenewalAtMs === undefined ? [] : [{ labels: [], value: Math.round(nextRenewalAtMs / 1000) }];
  return [
    {
      row: PROCESS.acmeOrders,
      samples: [
        { labels: ["issued"], value: issued },
        { labels: ["failed"], value: failed },
      ],
    },
    { row: PROCESS.acmeNextRenewal, samples: renewals },
  ];
}

function certificateMetrics({ certificates, certificateErrors }: ProcessFacts): ExtraMetric[] {
  const first = new Map<string, ServedCertificate>();
  // a series stands once: of an RSA and an EC certificate for one name it tells the one that expires first
  for (const certificate of certificates) {
    const key = certificateLabels(certificate).join("\0");
    const known = first.get(key);
    if (known === undefined || certificate.notAfterMs < known.notAfterMs) first.set(key, certificate);
  }
  const each = (
    row: ProcessMetricRow,
    secondsOf: (certificate: ServedCertificate) => number,
  ): ExtraMetric => {
    const told = [...first.values()];
    return {
      row,
      samples: told.map((entry) => ({ labels: certificateLabels(entry), value: secondsOf(entry) })),
    };
  };
  return [
    each(PROCESS.certificateNotAfter, ({ notAfterMs }) => notAfterMs / 1000),
    each(PROCESS.certificateNotBefore, ({ notBeforeMs }) => notBeforeMs / 1000),
    { row: PROCESS.certificateErrors, samples: [{ labels: [], value: certificateErrors }] },
  ];
}

const certificateLabels = ({ listener, name, source }: ServedCertificate) => [listener, name, source];

/** An endpoint as control knows it. */
export interface EndpointFacts {
  readonly upstream: string;
  readonly endpoint: string;
  readonly state: string;
  readonly weight: number;
  readonly transitions: number;
}

/** in  `states`: all that an endpoint can be in */
export function endpointMetrics(
  endpoints: readonly EndpointFacts[],
  states: readonly string[],
): ExtraMetric[] {
  const each = (row: ProcessMetricRow, numberOf: (endpoint: EndpointFacts) => number): ExtraMetric => ({
    row,
    samples: endpoints.map((facts) => ({ labels: [facts.upstream, facts.endpoint], value: numberOf(facts) })),
  });
  const samples = endpoints.flatMap(({ upstream, endpoint, state: now }) =>
    states.map((state) => ({ labels: [upstream, endpoint, state], value: state === now ? 1 : 0 })),
  );
  return [
    { row: PROCESS.endpointState, samples },
    each(PROCESS.endpointWeight, ({ weight }) => weight),
    each(PROCESS.endpointTransitions, ({ transitions }) => transitions),
  ];
}
