/**
 * Case: what a benchmark is given, what it answers with, and the arithmetic all of them share.
 */
import type { Origins } from "./origin.ts";
import { type Peer, type PeerKind, type PeerOptions, startOther, startPeer } from "./peers.ts";
import { type TreeUsage, treeUsage } from "./processes.ts";

export interface Bench {
  readonly folder: string;
  readonly origins: Origins;
  /** Shorter windows and fewer rounds: to see that all works, not to quote. */
  readonly quick: boolean;
  /** Peers on this machine; the one that is missing is left out and said. */
  readonly kinds: readonly PeerKind[];
  /** Other programs to measure beside them. */
  readonly others: readonly { readonly name: string; readonly command: string }[];
  say(line: string): void;
}

export interface Case {
  readonly name: string;
  readonly title: string;
  /** What is done, in a sentence or two. */
  readonly setup: string;
  run(bench: Bench): Promise<CaseResult>;
}

export type Values = Readonly<Record<string, number>>;

export interface Row {
  readonly subject: string;
  /** Medians. */
  readonly values: Values;
  /** One entry a round. */
  readonly samples: readonly Values[];
}

export interface Column {
  readonly key: string;
  readonly title: string;
  readonly digits: number;
}

/** A figure that must hold: `value` is to be at most, or at least, `limit`. */
export interface Bar {
  readonly text: string;
  readonly value: number;
  readonly limit: number;
  readonly isFloor?: boolean;
}

export interface CaseResult {
  readonly columns: readonly Column[];
  readonly rows: readonly Row[];
  readonly bars: readonly Bar[];
}

export interface Subject {
  readonly kind: PeerKind;
  readonly name: string;
  readonly options?: Partial<PeerOptions>;
  /** Path to ask for; default that of the case. */
  readonly path?: string;
}

export const isMet = (bar: Bar) => (bar.isFloor === true ? bar.value >= bar.limit : bar.value <= bar.limit);

export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

export function rowOf(subject: string, samples: readonly Values[]): Row {
  const keys = Object.keys(samples[0] ?? {});
  const values = Object.fromEntries(
    keys.map((key) => [key, median(samples.map((sample) => sample[key] ?? 0))]),
  );
  return { subject, values, samples };
}

/** Median over the rounds of one subject's figure as a multiple of another's in the same round. */
export function ratio(rows: readonly Row[], key: string, of: string, to: string): number {
  const [above, below] = [of, to].map((name) => rows.find((row) => row.subject === name)?.samples);
  if (above === undefined || below === undefined) return Number.NaN;
  return median(
    above.map((sample, round) => (sample[key] ?? Number.NaN) / (below[round]?.[key] ?? Number.NaN)),
  );
}

/** The bars that can be judged: a peer that is not here leaves its bar out. */
export const judged = (bars: readonly Bar[]) => bars.filter((bar) => !Number.isNaN(bar.value));

/** Starts the subjects that this machine has, hands them over, and stops them whatever happens. */
export async function withSubjects<T>(
  bench: Bench,
  subjects: readonly Subject[],
  originPort: number,
  work: (peers: readonly Peer[]) => Promise<T>,
): Promise<T> {
  const peers: Peer[] = [];
  const base = { folder: bench.folder, originPort };
  try {
    for (const { kind, name, options } of subjects) {
      if (bench.kinds.includes(kind)) peers.push(await startPeer(kind, name, { ...base, ...options }));
    }
    for (const { name, command } of bench.others) peers.push(await startOther(name, command, base));
    return await work(peers);
  } finally {
    await Promise.all(peers.map((peer) => peer.stop()));
  }
}

/** The three at their plainest. */
export const PLAIN: readonly Subject[] = [
  { kind: "nginx", name: "nginx" },
  { kind: "haproxy", name: "haproxy" },
  { kind: "weir", name: "weir" },
];

export interface Cost {
  readonly userMs: number;
  readonly systemMs: number;
  readonly controlMs: number;
  readonly totalMs: number;
  readonly after: TreeUsage;
}

/** Runs work and says what the peer's processes, control included, used meanwhile. */
export async function costOf<T>(peer: Peer, work: () => Promise<T>): Promise<{ cost: Cost; answer: T }> {
  const before = treeUsage(peer.pid);
  const answer = await work();
  const after = treeUsage(peer.pid);
  const spent = (key: "userMs" | "systemMs", part: "workers" | "control") =>
    after[part][key] - before[part][key];
  const userMs = spent("userMs", "workers") + spent("userMs", "control");
  const systemMs = spent("systemMs", "workers") + spent("systemMs", "control");
  const controlMs = spent("userMs", "control") + spent("systemMs", "control");
  return { cost: { userMs, systemMs, controlMs, totalMs: userMs + systemMs, after }, answer };
}

export const memoryOf = (peer: Peer): number => {
  const { workers, control } = treeUsage(peer.pid);
  return workers.rssBytes + control.rssBytes;
};

/** Rounds interleaved: a machine that slows down for a while slows all subjects. */
export async function interleaved(
  peers: readonly Peer[],
  rounds: number,
  sample: (peer: Peer) => Promise<Values>,
): Promise<Row[]> {
  const samples = new Map<string, Values[]>(peers.map((peer) => [peer.name, []]));
  for (let round = 0; round < rounds; round++) {
    for (let step = 0; step < peers.length; step++) {
      const peer = peers[(step + round) % peers.length] as Peer;
      samples.get(peer.name)?.push(await sample(peer));
    }
  }
  return peers.map((peer) => rowOf(peer.name, samples.get(peer.name) ?? []));
}
