/**
 * Compression cases: answers compressed on their way, cost counted by request, for the same level everywhere.
 *
 * rule   every subject is asked once beforehand: its answer must be compressed, or the round is not measured. The bytes
 *        that left for each request are a column: a cheap answer may be a long one
 */
import {
  type Bench,
  type Case,
  type CaseResult,
  type Column,
  costOf,
  interleaved,
  judged,
  type Row,
  ratio,
  type Subject,
  withSubjects,
} from "../case.ts";
import type { Peer } from "../peers.ts";
import { load } from "../wrk.ts";

const WARM_SEC = 1;
const ROUNDS = 5;
const SECONDS = 2;
const ACCEPT = "Accept-Encoding: gzip, br, zstd";
const LEVEL = 5;

const COLUMNS: readonly Column[] = [
  { key: "ratePerSec", title: "requests/s", digits: 0 },
  { key: "cpuUs", title: "CPU µs/request", digits: 1 },
  { key: "sentBytes", title: "bytes sent/request", digits: 0 },
  { key: "p99Ms", title: "p99 ms", digits: 2 },
];

const SUBJECTS: readonly Subject[] = [
  { kind: "nginx", name: "nginx", options: { compress: { codings: ["gzip"], level: LEVEL } } },
  { kind: "haproxy", name: "haproxy", options: { compress: { codings: ["gzip"], level: LEVEL } } },
  { kind: "weir", name: "weir", options: { compress: { codings: ["gzip"], level: LEVEL } } },
  { kind: "weir", name: "weir-br", options: { compress: { codings: ["br"], level: LEVEL } } },
  { kind: "weir", name: "weir-zstd", options: { compress: { codings: ["zstd"], level: LEVEL } } },
  { kind: "weir", name: "weir-auto", options: { compress: { codings: ["zstd", "br", "gzip"], level: 0 } } },
];

interface Plan {
  readonly name: string;
  readonly title: string;
  readonly setup: string;
  readonly path: string;
  readonly connections: number;
}

async function mustCompress(peer: Peer, path: string): Promise<void> {
  const [name, value] = ACCEPT.split(": ") as [string, string];
  const answer = await fetch(`http://127.0.0.1:${peer.port}${path}`, {
    headers: { [name]: value },
    decompress: false,
  });
  await answer.arrayBuffer();
  if (answer.headers.get("content-encoding") === null)
    throw new Error(`${peer.name} does not compress ${path}`);
}

async function sample({ folder }: Bench, { path, connections }: Plan, peer: Peer, seconds: number) {
  await mustCompress(peer, path);
  const work = () => load({ folder, port: peer.port, path, connections, seconds, fields: [ACCEPT] });
  const { cost, answer } = await costOf(peer, work);
  return {
    ratePerSec: answer.requests / answer.seconds,
    cpuUs: (cost.totalMs * 1000) / answer.requests,
    sentBytes: answer.bytes / answer.requests,
    p99Ms: answer.p99Ms,
  };
}

async function run(bench: Bench, plan: Plan): Promise<CaseResult> {
  const [rounds, seconds] = bench.quick ? [1, 1] : [ROUNDS, SECONDS];
  const rows = await withSubjects(bench, SUBJECTS, bench.origins.files, async (peers) => {
    for (const peer of peers) await sample(bench, plan, peer, WARM_SEC);
    return await interleaved(peers, rounds, (peer) => sample(bench, plan, peer, seconds));
  });
  return { columns: COLUMNS, rows, bars: judged([bar(rows)]) };
}

const bar = (rows: readonly Row[]) => ({
  text: "CPU per request with gzip against nginx",
  value: ratio(rows, "cpuUs", "weir", "nginx"),
  limit: 1,
});

const PLANS: readonly Plan[] = [
  {
    name: "compress-10k",
    title: "Text of 10 KiB, compressed",
    setup: `64 keep-alive connections; gzip level ${LEVEL} for all, and Weir's other codings at its own level ${LEVEL}.`,
    path: "/text-10k",
    connections: 64,
  },
  {
    name: "compress-1m",
    title: "Text of 1 MiB, compressed",
    setup: `16 keep-alive connections; gzip level ${LEVEL} for all, and Weir's other codings at its own level ${LEVEL}.`,
    path: "/text-1m",
    connections: 16,
  },
];

export const COMPRESS_CASES: readonly Case[] = PLANS.map((plan) => ({
  name: plan.name,
  title: plan.title,
  setup: plan.setup,
  run: (bench) => run(bench, plan),
}));
