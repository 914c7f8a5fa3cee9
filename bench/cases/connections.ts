/**
 * Connection cases: many that do nothing, and a great many that come, go and misbehave.
 */
import {
  type Bench,
  type Case,
  type CaseResult,
  judged,
  memoryOf,
  PLAIN,
  rowOf,
  withSubjects,
} from "../case.ts";
import { MIB } from "../origin.ts";
import type { Peer } from "../peers.ts";
import { clientFile, LOAD_CORE, pinned, runToEnd } from "../processes.ts";
import { load } from "../wrk.ts";

const SETTLE_MS = 2000;
const IDLE_COUNT = 10_000;
const QUICK_IDLE_COUNT = 2000;
const MIXED = 1_000_000;
const QUICK_MIXED = 200_000;
/** Enough that the runtime has compiled what it will compile and its heap has found its size. */
const WARM_MIXED = 200_000;
const MIXED_DEADLINE_MS = 240_000;

async function idle(bench: Bench, peer: Peer, count: number) {
  await load({ folder: bench.folder, port: peer.port, path: "/small", connections: 64, seconds: 2 });
  await Bun.sleep(SETTLE_MS);
  const before = memoryOf(peer);
  const command = pinned(LOAD_CORE, [process.execPath, clientFile("idle"), String(peer.port), String(count)]);
  const child = Bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
  const first = await child.stdout.getReader().read();
  if (first.done === true) throw new Error(`the idle connections to ${peer.name} failed`);
  await Bun.sleep(SETTLE_MS);
  const after = memoryOf(peer);
  child.stdin.end();
  await child.exited;
  return { beforeMib: before / MIB, afterMib: after / MIB, eachKib: (after - before) / count / 1024 };
}

async function runIdle(bench: Bench): Promise<CaseResult> {
  const count = bench.quick ? QUICK_IDLE_COUNT : IDLE_COUNT;
  const rows = await withSubjects(bench, PLAIN, bench.origins.files, async (peers) => {
    const found = [];
    for (const peer of peers) found.push(rowOf(peer.name, [await idle(bench, peer, count)]));
    return found;
  });
  const weir = rows.find((row) => row.subject === "weir");
  return {
    columns: [
      { key: "beforeMib", title: "idle process MiB", digits: 1 },
      { key: "afterMib", title: "with connections MiB", digits: 1 },
      { key: "eachKib", title: "KiB a connection", digits: 2 },
    ],
    rows,
    bars: judged([
      { text: "KiB of memory a connection", value: weir?.values["eachKib"] ?? Number.NaN, limit: 4 },
    ]),
  };
}

/** Mixed work, then memory once it has settled: the lowest of a few seconds, because collection comes late. */
async function memoryAfter(peer: Peer, requests: number): Promise<number> {
  const command = [process.execPath, clientFile("mixed"), String(peer.port), String(requests)];
  await runToEnd(command, MIXED_DEADLINE_MS);
  let lowest = Number.POSITIVE_INFINITY;
  for (let wait = 0; wait < 5; wait++) {
    await Bun.sleep(SETTLE_MS / 2);
    lowest = Math.min(lowest, memoryOf(peer));
  }
  return lowest;
}

async function runLeak(bench: Bench): Promise<CaseResult> {
  const total = bench.quick ? QUICK_MIXED : MIXED;
  const subjects = PLAIN.filter(({ kind }) => kind === "weir");
  const rows = await withSubjects({ ...bench, others: [] }, subjects, bench.origins.files, async (peers) => {
    const found = [];
    for (const peer of peers) {
      const warm = await memoryAfter(peer, WARM_MIXED);
      const after = await memoryAfter(peer, total);
      found.push(rowOf(peer.name, [{ warmMib: warm / MIB, afterMib: after / MIB, growth: after / warm }]));
    }
    return found;
  });
  return {
    columns: [
      { key: "warmMib", title: "warm MiB", digits: 1 },
      { key: "afterMib", title: "after MiB", digits: 1 },
      { key: "growth", title: "after / warm", digits: 3 },
    ],
    rows,
    bars: judged([
      { text: "memory after against warm", value: rows[0]?.values["growth"] ?? Number.NaN, limit: 1.1 },
    ]),
  };
}

export const CONNECTION_CASES: readonly Case[] = [
  {
    name: "idle-10000",
    title: "10,000 idle connections",
    setup: `${IDLE_COUNT} keep-alive connections, each after one request; resident memory against before.`,
    run: runIdle,
  },
  {
    name: "leak",
    title: "No leak",
    setup:
      `${MIXED} exchanges of many kinds: GET, HEAD, POST, pipelined, refused, cut short and reset on both sides of ` +
      `the head; memory afterwards against memory after ${WARM_MIXED} to warm up.`,
    run: runLeak,
  },
];
