/**
 * Transfer cases: 100 MiB down and up at full speed, and down to a reader that is slow.
 */
import {
  type Bench,
  type Case,
  type CaseResult,
  costOf,
  interleaved,
  judged,
  memoryOf,
  PLAIN,
  ratio,
  withSubjects,
} from "../case.ts";
import { MIB } from "../origin.ts";
import type { Peer } from "../peers.ts";
import { clientFile, LOAD_CORE, pinned, runToEnd } from "../processes.ts";
import { load } from "../wrk.ts";

const CONNECTIONS = 2;
/** Enough for a second of work: the kernel counts CPU time in steps of 10 ms. */
const TIMES = 24;
const DEADLINE_MS = 60_000;
const SLOW_MIB_PER_SEC = 25;
const SAMPLE_MS = 20;
const SETTLE_MS = 1000;

interface TransferResult {
  readonly bytes: number;
  readonly seconds: number;
}

async function transfer(bench: Bench, peer: Peer, direction: "download" | "upload") {
  const each = String(bench.quick ? 4 : TIMES);
  const command = [
    process.execPath,
    clientFile("transfer"),
    direction,
    String(peer.port),
    String(CONNECTIONS),
    each,
  ];
  const { cost, answer } = await costOf(peer, () => runToEnd(command, DEADLINE_MS));
  const result = JSON.parse(answer) as TransferResult;
  const mib = result.bytes / MIB;
  return {
    mibPerSec: mib / result.seconds,
    cpuUs: (cost.totalMs * 1000) / mib,
    userUs: (cost.userMs * 1000) / mib,
    systemUs: (cost.systemMs * 1000) / mib,
    rssMib: (cost.after.workers.rssBytes + cost.after.control.rssBytes) / MIB,
  };
}

async function runTransfer(bench: Bench, direction: "download" | "upload"): Promise<CaseResult> {
  const port = direction === "download" ? bench.origins.files : bench.origins.sink;
  const rows = await withSubjects(bench, PLAIN, port, async (peers) => {
    for (const peer of peers) await transfer({ ...bench, quick: true }, peer, direction);
    return await interleaved(peers, bench.quick ? 1 : 3, (peer) => transfer(bench, peer, direction));
  });
  return {
    columns: [
      { key: "mibPerSec", title: "MiB/s", digits: 0 },
      { key: "cpuUs", title: "CPU µs/MiB", digits: 1 },
      { key: "userUs", title: "user", digits: 1 },
      { key: "systemUs", title: "system", digits: 1 },
      { key: "rssMib", title: "RSS MiB", digits: 1 },
    ],
    rows,
    bars: judged([
      { text: "CPU per byte against nginx", value: ratio(rows, "cpuUs", "weir", "nginx"), limit: 1.1 },
    ]),
  };
}

/** Highest memory while the client runs, sampled. */
async function peakWhile(peer: Peer, command: readonly string[]): Promise<number> {
  const child = Bun.spawn(pinned(LOAD_CORE, command), {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "inherit",
  });
  let peak = 0;
  while (child.exitCode === null && child.signalCode === null) {
    peak = Math.max(peak, memoryOf(peer));
    await Bun.sleep(SAMPLE_MS);
  }
  if ((await child.exited) !== 0) throw new Error(`the slow reader of ${peer.name} failed`);
  return peak;
}

async function slowRead(bench: Bench, peer: Peer) {
  await Bun.sleep(SETTLE_MS);
  const idle = memoryOf(peer);
  const rate = String((bench.quick ? 2 : 1) * SLOW_MIB_PER_SEC);
  const peak = await peakWhile(peer, [process.execPath, clientFile("slow-reader"), String(peer.port), rate]);
  return { idleMib: idle / MIB, peakMib: peak / MIB, aboveMib: (peak - idle) / MIB };
}

async function runSlowReader(bench: Bench): Promise<CaseResult> {
  const { folder } = bench;
  const rows = await withSubjects(bench, PLAIN, bench.origins.files, async (peers) => {
    for (const { port } of peers) await load({ folder, port, path: "/small", connections: 64, seconds: 2 });
    return await interleaved(peers, bench.quick ? 1 : 3, (peer) => slowRead(bench, peer));
  });
  const weir = rows.find((row) => row.subject === "weir");
  return {
    columns: [
      { key: "idleMib", title: "idle MiB", digits: 1 },
      { key: "peakMib", title: "highest MiB", digits: 1 },
      { key: "aboveMib", title: "above idle MiB", digits: 2 },
    ],
    rows,
    bars: judged([{ text: "MiB above idle", value: weir?.values["aboveMib"] ?? Number.NaN, limit: 4 }]),
  };
}

export const TRANSFER_CASES: readonly Case[] = [
  {
    name: "download-100m",
    title: "Download of 100 MiB",
    setup: `${CONNECTIONS} keep-alive connections, ${TIMES} downloads each, read as fast as they come.`,
    run: (bench) => runTransfer(bench, "download"),
  },
  {
    name: "upload-100m",
    title: "Upload of 100 MiB",
    setup: `${CONNECTIONS} keep-alive connections, ${TIMES} uploads each, to an origin that reads before it answers.`,
    run: (bench) => runTransfer(bench, "upload"),
  },
  {
    name: "slow-reader",
    title: "100 MiB to a slow reader",
    setup: `One download of 100 MiB read at ${SLOW_MIB_PER_SEC} MiB/s; memory sampled every ${SAMPLE_MS} ms.`,
    run: runSlowReader,
  },
];
