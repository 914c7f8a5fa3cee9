/**
 * Transfer cases: 100 MiB down and up at full speed, and down to a reader that is slow.
 */
import { join } from "node:path";
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
import { makeCertificates } from "../certificates.ts";
import { h2load } from "../h2load.ts";
import { MIB } from "../origin.ts";
import type { Peer, PeerOptions } from "../peers.ts";
import { clientFile, LOAD_CORE, pinned, runToEnd } from "../processes.ts";
import { load } from "../wrk.ts";

const CONNECTIONS = 2;
/** Enough for a second of work: the kernel counts CPU time in steps of 10 ms. */
const TIMES = 24;
const QUICK_TIMES = 4;
const SIZE_MIB = 100;
/** 16 MiB for a stream and for a connection: what a browser grants, or more. */
const H2_WINDOW_BITS = 24;
const DEADLINE_MS = 60_000;
const SLOW_MIB_PER_SEC = 25;
const SAMPLE_MS = 20;
const SETTLE_MS = 1000;

interface TransferResult {
  readonly bytes: number;
  readonly seconds: number;
}

type Direction = "download" | "upload";
/** Does so many transfers on each connection. */
type Transfer = (bench: Bench, peer: Peer, direction: Direction, times: number) => Promise<TransferResult>;

const h1 =
  (...security: readonly string[]): Transfer =>
  async (_bench, peer, direction, times) => {
    const client = [process.execPath, clientFile("transfer"), direction];
    const amount = [peer.port, CONNECTIONS, times].map(String);
    return JSON.parse(await runToEnd([...client, ...amount, ...security], DEADLINE_MS));
  };

const h2: Transfer = async (bench, { port }, direction, times) => {
  const isUpload = direction === "upload";
  const result = await h2load({
    port,
    path: isUpload ? "/upload" : "/100m",
    isSecure: true,
    connections: CONNECTIONS,
    streams: 1,
    requests: CONNECTIONS * times,
    windowBits: H2_WINDOW_BITS,
    ...(isUpload ? { uploadFile: join(bench.folder, "files", "100m") } : {}),
  });
  return { bytes: result.requests * SIZE_MIB * MIB, seconds: result.seconds };
};

async function sample(peer: Peer, work: () => Promise<TransferResult>) {
  const { cost, answer } = await costOf(peer, work);
  const mib = answer.bytes / MIB;
  return {
    mibPerSec: mib / answer.seconds,
    cpuUs: (cost.totalMs * 1000) / mib,
    userUs: (cost.userMs * 1000) / mib,
    systemUs: (cost.systemMs * 1000) / mib,
    rssMib: (cost.after.workers.rssBytes + cost.after.control.rssBytes) / MIB,
  };
}

async function runTransfer(
  bench: Bench,
  direction: Direction,
  transfer: Transfer,
  options: Partial<PeerOptions> = {},
): Promise<CaseResult> {
  const port = direction === "download" ? bench.origins.files : bench.origins.sink;
  const subjects = PLAIN.map((subject) => ({ ...subject, options }));
  const times = bench.quick ? QUICK_TIMES : TIMES;
  const rows = await withSubjects(bench, subjects, port, async (peers) => {
    for (const peer of peers) await transfer(bench, peer, direction, QUICK_TIMES);
    return await interleaved(peers, bench.quick ? 1 : 3, (peer) =>
      sample(peer, () => transfer(bench, peer, direction, times)),
    );
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

async function runSecure(bench: Bench, direction: Direction, http2: boolean): Promise<CaseResult> {
  const certificates = await makeCertificates(bench.folder, 1);
  return runTransfer(bench, direction, http2 ? h2 : h1("tls"), { certificates, http2 });
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

const secureCase = (direction: Direction, http2: boolean): Case => ({
  name: `${direction}-tls-${http2 ? "h2" : "h1"}`,
  title: `${direction === "download" ? "Download" : "Upload"} of 100 MiB over TLS, HTTP/${http2 ? "2" : "1.1"}`,
  setup: `As ${direction}-100m, TLS 1.3${http2 ? `, HTTP/2 with windows of ${2 ** (H2_WINDOW_BITS - 20)} MiB` : ""}.`,
  run: (bench) => runSecure(bench, direction, http2),
});

export const TRANSFER_CASES: readonly Case[] = [
  {
    name: "download-100m",
    title: "Download of 100 MiB",
    setup: `${CONNECTIONS} keep-alive connections, ${TIMES} downloads each, read as fast as they come.`,
    run: (bench) => runTransfer(bench, "download", h1()),
  },
  {
    name: "upload-100m",
    title: "Upload of 100 MiB",
    setup: `${CONNECTIONS} keep-alive connections, ${TIMES} uploads each, to an origin that reads before it answers.`,
    run: (bench) => runTransfer(bench, "upload", h1()),
  },
  {
    name: "slow-reader",
    title: "100 MiB to a slow reader",
    setup: `One download of 100 MiB read at ${SLOW_MIB_PER_SEC} MiB/s; memory sampled every ${SAMPLE_MS} ms.`,
    run: runSlowReader,
  },
  ...(["download", "upload"] as const).flatMap((direction) => [
    secureCase(direction, false),
    secureCase(direction, true),
  ]),
];
