/**
 * Secure cases: TLS and HTTP/2 towards clients, HTTP/2 towards the origin, and what a handshake costs.
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
  memoryOf,
  type Row,
  ratio,
  rowOf,
  type Subject,
  withSubjects,
} from "../case.ts";
import { type CertificateFiles, makeCertificates } from "../certificates.ts";
import { h2load } from "../h2load.ts";
import { MIB } from "../origin.ts";
import type { Peer, PeerKind, PeerOptions } from "../peers.ts";
import { clientFile, LOAD_CORE, pinned, runToEnd } from "../processes.ts";
import { load } from "../wrk.ts";

const WARM_SEC = 2;
const H2_CONNECTIONS = 16;
const H2_STREAMS = 16;
const MANY_CERTIFICATES = 1000;
const FEW_CERTIFICATES = 10;
const HANDSHAKES = 3000;
const QUICK_HANDSHAKES = 500;
const HANDSHAKE_DEADLINE_MS = 60_000;
const IDLE_COUNT = 5000;
const QUICK_IDLE_COUNT = 1000;
const SETTLE_MS = 2000;

const subjectsOf = (kinds: readonly PeerKind[], options: Partial<PeerOptions>): Subject[] =>
  kinds.map((kind) => ({ kind, name: kind, options }));
const ALL: readonly PeerKind[] = ["nginx", "haproxy", "weir"];

const bar = (rows: readonly Row[], to: string, limit: number, what = "request"): Bar => ({
  text: `CPU per ${what} against ${to}`,
  value: ratio(rows, "cpuUs", "weir", to),
  limit,
});

const REQUEST_COLUMNS: readonly Column[] = [
  { key: "ratePerSec", title: "requests/s", digits: 0 },
  { key: "cpuUs", title: "CPU µs/request", digits: 2 },
  { key: "userUs", title: "user", digits: 2 },
  { key: "systemUs", title: "system", digits: 2 },
  { key: "rssMib", title: "RSS MiB", digits: 1 },
];

type Load = (peer: Peer, seconds: number) => Promise<{ readonly requests: number; readonly seconds: number }>;

async function requests(
  bench: Bench,
  subjects: readonly Subject[],
  work: Load,
  bars: (rows: readonly Row[]) => readonly Bar[],
): Promise<CaseResult> {
  const sample = async (peer: Peer, seconds: number) => {
    const { cost, answer } = await costOf(peer, () => work(peer, seconds));
    return {
      ratePerSec: answer.requests / answer.seconds,
      cpuUs: (cost.totalMs * 1000) / answer.requests,
      userUs: (cost.userMs * 1000) / answer.requests,
      systemUs: (cost.systemMs * 1000) / answer.requests,
      rssMib: (cost.after.workers.rssBytes + cost.after.control.rssBytes) / MIB,
    };
  };
  const rows = await withSubjects(bench, subjects, bench.origins.files, async (peers) => {
    for (const peer of peers) await sample(peer, bench.quick ? 1 : WARM_SEC);
    return await interleaved(peers, bench.quick ? 1 : 5, (peer) => sample(peer, bench.quick ? 1 : 2));
  });
  return { columns: REQUEST_COLUMNS, rows, bars: judged(bars(rows)) };
}

async function tlsH1(bench: Bench): Promise<CaseResult> {
  const certificates = await makeCertificates(bench.folder, 1);
  const { folder } = bench;
  const work: Load = ({ port }, seconds) =>
    load({ folder, port, path: "/small", connections: 64, seconds, isSecure: true });
  return requests(bench, subjectsOf(ALL, { certificates }), work, (rows) => [bar(rows, "nginx", 0.9)]);
}

const h2 =
  (isSecure: boolean): Load =>
  ({ port }, seconds) =>
    h2load({ port, path: "/small", isSecure, connections: H2_CONNECTIONS, streams: H2_STREAMS, seconds });

async function tlsH2(bench: Bench): Promise<CaseResult> {
  const certificates = await makeCertificates(bench.folder, 1);
  return requests(bench, subjectsOf(ALL, { certificates, http2: true }), h2(true), (rows) => [
    bar(rows, "nginx", 0.75),
    bar(rows, "haproxy", 0.6),
  ]);
}

async function h2cUpstream(bench: Bench): Promise<CaseResult> {
  const certificates = await makeCertificates(bench.folder, 1);
  const toH1 = { certificates, http2: true };
  const toH2c = { ...toH1, originProtocol: "h2c", originPort: bench.origins.filesH2c } as const;
  const subjects = (["haproxy", "weir"] as const).flatMap((kind): Subject[] => [
    { kind, name: `${kind}-h1`, options: toH1 },
    { kind, name: `${kind}-h2c`, options: toH2c },
  ]);
  return requests(bench, subjects, h2(true), (rows) => [
    {
      text: "CPU per request to h2c against h1",
      value: ratio(rows, "cpuUs", "weir-h2c", "weir-h1"),
      limit: 1,
    },
  ]);
}

const HANDSHAKE_COLUMNS: readonly Column[] = [
  { key: "perCpuSec", title: "handshakes per CPU second", digits: 0 },
  { key: "cpuUs", title: "CPU µs/handshake", digits: 1 },
  { key: "userUs", title: "user", digits: 1 },
  { key: "systemUs", title: "system", digits: 1 },
  { key: "rssMib", title: "RSS MiB", digits: 1 },
];

async function handshakes(peer: Peer, count: number, kind: "full" | "resumed", names: number) {
  const client = clientFile("handshakes").replace(/\.ts$/, ".mjs");
  const command = ["node", client, String(peer.port), String(count), kind, String(names)];
  const { cost } = await costOf(peer, () => runToEnd(command, HANDSHAKE_DEADLINE_MS));
  return {
    perCpuSec: (count * 1000) / cost.totalMs,
    cpuUs: (cost.totalMs * 1000) / count,
    userUs: (cost.userMs * 1000) / count,
    systemUs: (cost.systemMs * 1000) / count,
    rssMib: (cost.after.workers.rssBytes + cost.after.control.rssBytes) / MIB,
  };
}

async function runHandshakes(bench: Bench, kind: "full" | "resumed"): Promise<CaseResult> {
  const certificates = await makeCertificates(bench.folder, 1);
  const count = bench.quick ? QUICK_HANDSHAKES : HANDSHAKES;
  const rows = await withSubjects(
    bench,
    subjectsOf(ALL, { certificates }),
    bench.origins.files,
    async (peers) => {
      for (const peer of peers) await handshakes(peer, QUICK_HANDSHAKES, kind, 1);
      return await interleaved(peers, bench.quick ? 1 : 3, (peer) => handshakes(peer, count, kind, 1));
    },
  );
  const value = ratio(rows, "perCpuSec", "weir", "nginx");
  return {
    columns: HANDSHAKE_COLUMNS,
    rows,
    bars: judged([{ text: "handshakes per CPU second against nginx", value, limit: 0.9, isFloor: true }]),
  };
}

async function runCertificates(bench: Bench): Promise<CaseResult> {
  const sets = new Map<number, readonly CertificateFiles[]>();
  for (const count of [FEW_CERTIFICATES, MANY_CERTIFICATES])
    sets.set(count, await makeCertificates(bench.folder, count));
  const subjects = (["nginx", "weir"] as const).flatMap((kind) =>
    [...sets].map(
      ([count, certificates]): Subject => ({ kind, name: `${kind}-${count}`, options: { certificates } }),
    ),
  );
  const namesOf = (peer: Peer) => Number(/\d+$/.exec(peer.name)?.[0] ?? FEW_CERTIFICATES);
  const rows = await withSubjects(bench, subjects, bench.origins.files, async (peers) => {
    // twice every name: the first time a subject may make what it needs
    for (const peer of peers) await handshakes(peer, 2 * MANY_CERTIFICATES, "full", namesOf(peer));
    const count = bench.quick ? MANY_CERTIFICATES : HANDSHAKES;
    return await interleaved(peers, bench.quick ? 1 : 3, (peer) =>
      handshakes(peer, count, "full", namesOf(peer)),
    );
  });
  const [many, few] = [`weir-${MANY_CERTIFICATES}`, `weir-${FEW_CERTIFICATES}`];
  const text = `CPU per handshake with ${MANY_CERTIFICATES} certificates against ${FEW_CERTIFICATES}`;
  return {
    columns: HANDSHAKE_COLUMNS,
    rows,
    bars: judged([{ text, value: ratio(rows, "cpuUs", many, few), limit: 1.1 }]),
  };
}

async function idle(peer: Peer, count: number) {
  // what every process needs once, and what it keeps of a first burst
  await handshakes(peer, QUICK_HANDSHAKES, "full", 1);
  await Bun.sleep(SETTLE_MS);
  const before = memoryOf(peer);
  const command = [process.execPath, clientFile("idle"), String(peer.port), String(count), "tls"];
  const child = Bun.spawn(pinned(LOAD_CORE, command), { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
  const first = await child.stdout.getReader().read();
  if (first.done === true) throw new Error(`the idle connections to ${peer.name} failed`);
  await Bun.sleep(SETTLE_MS);
  const after = memoryOf(peer);
  child.stdin.end();
  await child.exited;
  return { beforeMib: before / MIB, afterMib: after / MIB, eachKib: (after - before) / count / 1024 };
}

async function runIdle(bench: Bench): Promise<CaseResult> {
  const certificates = await makeCertificates(bench.folder, 1);
  const count = bench.quick ? QUICK_IDLE_COUNT : IDLE_COUNT;
  const rows = await withSubjects(
    bench,
    subjectsOf(ALL, { certificates }),
    bench.origins.files,
    async (peers) => {
      const found = [];
      for (const peer of peers) found.push(rowOf(peer.name, [await idle(peer, count)]));
      return found;
    },
  );
  const value = ratio(rows, "eachKib", "weir", "nginx");
  return {
    columns: [
      { key: "beforeMib", title: "idle process MiB", digits: 1 },
      { key: "afterMib", title: "with connections MiB", digits: 1 },
      { key: "eachKib", title: "KiB a connection", digits: 2 },
    ],
    rows,
    bars: judged([{ text: "memory a connection against nginx", value, limit: 1 }]),
  };
}

const one = (name: string, title: string, setup: string, run: Case["run"]): Case => ({
  name,
  title,
  setup,
  run,
});

export const SECURE_CASES: readonly Case[] = [
  one(
    "tls-h1",
    "Small GET over TLS, HTTP/1.1",
    "64 keep-alive connections, TLS 1.3, the same P-256 certificate for all, 65 bytes of body.",
    tlsH1,
  ),
  one(
    "tls-h2",
    "Small GET over TLS, HTTP/2",
    `${H2_CONNECTIONS} connections of ${H2_STREAMS} streams, HTTP/1.1 to the origin.`,
    tlsH2,
  ),
  one(
    "h2c-upstream",
    "HTTP/2 to the origin against HTTP/1.1",
    `As tls-h2; the origin is spoken to in cleartext HTTP/2 and in HTTP/1.1. nginx cannot do it.`,
    h2cUpstream,
  ),
  one(
    "handshakes-full",
    "Full TLS handshakes",
    `${HANDSHAKES} connections of 16 clients at once, TLS 1.3, P-256, closed after the handshake.`,
    (bench) => runHandshakes(bench, "full"),
  ),
  one(
    "handshakes-resumed",
    "Resumed TLS handshakes",
    "As handshakes-full, each with a session ticket of an earlier connection.",
    (bench) => runHandshakes(bench, "resumed"),
  ),
  one(
    "certificates-1000",
    "1,000 certificates against 10",
    "Full handshakes that ask for all names in turn, after two for every name to warm up.",
    runCertificates,
  ),
  one(
    "idle-tls",
    "Idle TLS connections",
    `${IDLE_COUNT} keep-alive connections over TLS, each after one request; resident memory against before.`,
    runIdle,
  ),
];
