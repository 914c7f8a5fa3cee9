/**
 * Request cases: many requests over keep-alive connections, cost counted by request or by byte.
 */
import {
  type Bar,
  type Bench,
  type Case,
  type CaseResult,
  type Column,
  costOf,
  interleaved,
  judged,
  PLAIN,
  type Row,
  ratio,
  type Subject,
  withSubjects,
} from "../case.ts";
import { MIB } from "../origin.ts";
import { type Peer, routePath } from "../peers.ts";
import { PROXY_CORES_2 } from "../processes.ts";
import { load } from "../wrk.ts";

const WARM_SEC = 2;

interface Plan {
  readonly name: string;
  readonly title: string;
  readonly setup: string;
  readonly path: string;
  readonly connections: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly per: "request" | "MiB";
  readonly subjects?: readonly Subject[];
  readonly bars: (rows: readonly Row[]) => readonly Bar[];
}

const columnsOf = (per: Plan["per"]): readonly Column[] => [
  { key: "ratePerSec", title: "requests/s", digits: 0 },
  { key: "cpuUs", title: `CPU µs/${per}`, digits: 2 },
  { key: "userUs", title: "user", digits: 2 },
  { key: "systemUs", title: "system", digits: 2 },
  { key: "controlUs", title: "of it control", digits: 2 },
  { key: "p50Ms", title: "p50 ms", digits: 2 },
  { key: "p99Ms", title: "p99 ms", digits: 2 },
  { key: "rssMib", title: "RSS MiB workers", digits: 1 },
  { key: "controlMib", title: "control", digits: 1 },
];

async function sample(bench: Bench, plan: Plan, peer: Peer, seconds: number) {
  const path = plan.subjects?.find(({ name }) => name === peer.name)?.path ?? plan.path;
  const { folder } = bench;
  const work = () => load({ folder, port: peer.port, path, connections: plan.connections, seconds });
  const { cost, answer } = await costOf(peer, work);
  const units = plan.per === "request" ? answer.requests : answer.bytes / MIB;
  return {
    ratePerSec: answer.requests / answer.seconds,
    cpuUs: (cost.totalMs * 1000) / units,
    userUs: (cost.userMs * 1000) / units,
    systemUs: (cost.systemMs * 1000) / units,
    controlUs: (cost.controlMs * 1000) / units,
    p50Ms: answer.p50Ms,
    p99Ms: answer.p99Ms,
    rssMib: cost.after.workers.rssBytes / MIB,
    controlMib: cost.after.control.rssBytes / MIB,
  };
}

async function run(bench: Bench, plan: Plan): Promise<CaseResult> {
  const [rounds, seconds] = bench.quick ? [1, 1] : [plan.rounds, plan.seconds];
  const rows = await withSubjects(bench, plan.subjects ?? PLAIN, bench.origins.files, async (peers) => {
    for (const peer of peers) await sample(bench, plan, peer, bench.quick ? 1 : WARM_SEC);
    return await interleaved(peers, rounds, (peer) => sample(bench, plan, peer, seconds));
  });
  return { columns: columnsOf(plan.per), rows, bars: judged(plan.bars(rows)) };
}

const cpuBar = (rows: readonly Row[], to: string, limit: number, what = "request"): Bar => ({
  text: `CPU per ${what} against ${to}`,
  value: ratio(rows, "cpuUs", "weir", to),
  limit,
});

const PLANS: readonly Plan[] = [
  {
    name: "small-get",
    title: "Small GET",
    setup: "64 keep-alive connections, 65 bytes of body, access log off, Weir's metrics on.",
    path: "/small",
    connections: 64,
    rounds: 7,
    seconds: 2,
    per: "request",
    bars: (rows) => [cpuBar(rows, "nginx", 1), cpuBar(rows, "haproxy", 0.9)],
  },
  {
    name: "small-get-log",
    title: "Small GET, access log to a file",
    setup:
      "As small-get with one access-log line a request in a file: combined for nginx and Weir, httplog for HAProxy. " +
      "nginx writes each line by itself, its default; nginx-batched has `buffer=64k flush=1s`.",
    path: "/small",
    connections: 64,
    rounds: 5,
    seconds: 2,
    per: "request",
    subjects: [
      { kind: "nginx", name: "nginx", options: { log: "each" } },
      { kind: "nginx", name: "nginx-batched", options: { log: "batched" } },
      { kind: "haproxy", name: "haproxy", options: { log: "each" } },
      { kind: "weir", name: "weir", options: { log: "batched" } },
    ],
    bars: (rows) => [cpuBar(rows, "nginx", 1), cpuBar(rows, "nginx-batched", 1)],
  },
  {
    name: "get-10k",
    title: "GET of 10 KiB",
    setup: "64 keep-alive connections, a file of 10 KiB.",
    path: "/10k",
    connections: 64,
    rounds: 5,
    seconds: 2,
    per: "request",
    bars: (rows) => [cpuBar(rows, "nginx", 1.1)],
  },
  {
    name: "get-1m",
    title: "GET of 1 MiB",
    setup: "16 keep-alive connections, a file of 1 MiB.",
    path: "/1m",
    connections: 16,
    rounds: 5,
    seconds: 2,
    per: "MiB",
    bars: (rows) => [cpuBar(rows, "nginx", 1.1, "MiB")],
  },
  {
    name: "routes-10000",
    title: "10,000 routes against 10",
    setup:
      "Small GET; as many path-prefix routes, the middle one asked for. nginx has as many prefix locations.",
    path: "/",
    connections: 64,
    rounds: 5,
    seconds: 2,
    per: "request",
    subjects: [10, 10_000].flatMap((routes) =>
      (["nginx", "weir"] as const).map((kind) => ({
        kind,
        name: `${kind}-${routes}`,
        options: { routes },
        path: `${routePath(routes / 2)}item`,
      })),
    ),
    bars: (rows) => [
      {
        text: "CPU per request with 10,000 routes against 10",
        value: ratio(rows, "cpuUs", "weir-10000", "weir-10"),
        limit: 1.1,
      },
    ],
  },
  {
    name: "workers-2",
    title: "Two workers against one",
    setup:
      "Small GET, 64 connections; one and two workers, both free to use the same two cores, which load and origin " +
      "use too on a machine that has no more. Twice the cost of one over the cost of two is what two workers carry.",
    path: "/small",
    connections: 64,
    rounds: 5,
    seconds: 2,
    per: "request",
    subjects: [1, 2].flatMap((workers) =>
      (["nginx", "weir"] as const).map((kind) => ({
        kind,
        name: `${kind}-${workers}`,
        options: { workers, cores: PROXY_CORES_2 },
      })),
    ),
    bars: (rows) => [
      {
        text: "load of two workers in loads of one, by CPU",
        value: 2 * ratio(rows, "cpuUs", "weir-1", "weir-2"),
        limit: 1.8,
        isFloor: true,
      },
    ],
  },
];

export const REQUEST_CASES: readonly Case[] = PLANS.map((plan) => ({
  name: plan.name,
  title: plan.title,
  setup: plan.setup,
  run: (bench) => run(bench, plan),
}));
