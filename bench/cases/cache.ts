/**
 * Cache cases: answers from the cache of each peer, cost counted by request or by byte.
 *
 * rule   a round counts only if the origin was asked for next to nothing meanwhile, and every subject is asked once
 *        beforehand for the status that its answers must have: a miss is never measured as a hit
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
  type Row,
  ratio,
  type Subject,
  type Values,
  withSubjects,
} from "../case.ts";
import { makeCertificates } from "../certificates.ts";
import { h2load } from "../h2load.ts";
import { MIB } from "../origin.ts";
import type { Peer, PeerKind } from "../peers.ts";
import { load } from "../wrk.ts";

const WARM_SEC = 1;
const H2_CONNECTIONS = 16;
const H2_STREAMS = 16;
/** Requests that may reach the origin in a round of thousands: its own counter's, and a health check. */
const MAX_ASKED = 5;

/** What a client asks for: all of it, whether it has changed, or its first hundred bytes. */
type Kind = "whole" | "unchanged" | "range";

interface CacheSubject extends Subject {
  readonly asks?: Kind;
}

interface Plan {
  readonly name: string;
  readonly title: string;
  readonly setup: string;
  readonly path: string;
  readonly connections: number;
  readonly per: "request" | "MiB";
  readonly subjects: readonly CacheSubject[];
  readonly client?: "tls-h1" | "tls-h2";
  readonly bars: (rows: readonly Row[]) => readonly Bar[];
}

const STATUS: Readonly<Record<Kind, number>> = { whole: 200, unchanged: 304, range: 206 };

const columnsOf = (per: Plan["per"]): readonly Column[] => [
  { key: "ratePerSec", title: "requests/s", digits: 0 },
  { key: "cpuUs", title: `CPU µs/${per}`, digits: 2 },
  { key: "userUs", title: "user", digits: 2 },
  { key: "systemUs", title: "system", digits: 2 },
  { key: "rssMib", title: "RSS MiB", digits: 1 },
];

interface Asked {
  readonly path: string;
  readonly fields: readonly string[];
}

async function get(peer: Peer, plan: Plan, { path, fields }: Asked): Promise<Response> {
  const scheme = plan.client === undefined ? "http" : "https";
  const headers = Object.fromEntries(fields.map((line) => line.split(": ", 2) as [string, string]));
  const answer = await fetch(`${scheme}://127.0.0.1:${peer.port}${path}`, {
    headers,
    tls: { rejectUnauthorized: false },
  });
  await answer.arrayBuffer();
  return answer;
}

/** Puts the object into the peer's cache. out  what to ask for from now on */
async function warm(peer: Peer, plan: Plan): Promise<Asked> {
  const subject = plan.subjects.find(({ name }) => name === peer.name);
  const path = subject?.path ?? plan.path;
  const kind = subject?.asks ?? "whole";
  const first = await get(peer, plan, { path, fields: [] });
  const fields = fieldsFor(kind, first);
  const answer = await get(peer, plan, { path, fields });
  if (answer.status !== STATUS[kind])
    throw new Error(`${peer.name} answers ${path} with ${answer.status} instead of ${STATUS[kind]}`);
  return { path, fields };
}

function fieldsFor(kind: Kind, first: Response): string[] {
  if (kind === "range") return ["Range: bytes=0-99"];
  return kind === "unchanged" ? [`If-None-Match: ${first.headers.get("etag")}`] : [];
}

/** Requests that the origin has had so far. */
async function originRequests(bench: Bench): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${bench.origins.files}/origin-status`);
  return Number(/^\s*\d+ \d+ (\d+)\s*$/m.exec(await answer.text())?.[1]);
}

async function requests(bench: Bench, plan: Plan, { port }: Peer, asked: Asked & { seconds: number }) {
  const { path, fields, seconds } = asked;
  if (plan.client === "tls-h2")
    return h2load({ port, path, isSecure: true, connections: H2_CONNECTIONS, streams: H2_STREAMS, seconds });
  const isSecure = plan.client === "tls-h1";
  const { folder } = bench;
  return load({ folder, port, path, connections: plan.connections, seconds, isSecure, fields });
}

async function sample(bench: Bench, plan: Plan, peer: Peer, seconds: number): Promise<Values> {
  const asked = await warm(peer, plan);
  const before = await originRequests(bench);
  const { cost, answer } = await costOf(peer, () => requests(bench, plan, peer, { ...asked, seconds }));
  const passed = (await originRequests(bench)) - before;
  if (!(passed <= MAX_ASKED)) throw new Error(`${peer.name} asked the origin ${passed} times: no hits`);
  const units = plan.per === "request" ? answer.requests : answer.bytes / MIB;
  const { workers, control } = cost.after;
  return {
    ratePerSec: answer.requests / answer.seconds,
    cpuUs: (cost.totalMs * 1000) / units,
    userUs: (cost.userMs * 1000) / units,
    systemUs: (cost.systemMs * 1000) / units,
    rssMib: (workers.rssBytes + control.rssBytes) / MIB,
  };
}

async function run(bench: Bench, plan: Plan): Promise<CaseResult> {
  const certificates = plan.client === undefined ? [] : await makeCertificates(bench.folder, 1);
  const options = { cache: true, certificates, http2: plan.client === "tls-h2" };
  const subjects = plan.subjects.map((subject) => ({ ...subject, options }));
  const [rounds, seconds] = bench.quick ? [1, 1] : [7, 2];
  const rows = await withSubjects(bench, subjects, bench.origins.files, async (peers) => {
    for (const peer of peers) await sample(bench, plan, peer, WARM_SEC);
    return await interleaved(peers, rounds, (peer) => sample(bench, plan, peer, seconds));
  });
  return { columns: columnsOf(plan.per), rows, bars: judged(plan.bars(rows)) };
}

const subjectsOf = (...kinds: PeerKind[]): CacheSubject[] => kinds.map((kind) => ({ kind, name: kind }));
const askedBy = (asks: Kind, ...kinds: PeerKind[]): CacheSubject[] =>
  kinds.map((kind) => ({ kind, name: kind, asks }));
/** A small hit of Weir in the same run, which others of its hits are compared with. */
const SMALL_HIT: CacheSubject = { kind: "weir", name: "weir-small", path: "/cached/small" };

const cpuBar = (rows: readonly Row[], to: string, limit: number, what = "hit"): Bar => ({
  text: `CPU per ${what} against ${to}`,
  value: ratio(rows, "cpuUs", "weir", to),
  limit,
});

const small = (name: string, title: string, size: string, path: string): Plan => ({
  name,
  title,
  setup: `64 keep-alive connections, ${size} of body, all answers from the cache.`,
  path,
  connections: 64,
  per: "request",
  subjects: subjectsOf("nginx", "haproxy", "varnish", "weir"),
  bars: (rows) => [cpuBar(rows, "nginx", 0.75), cpuBar(rows, "varnish", 0.4)],
});

const PLANS: readonly Plan[] = [
  small("cache-small", "Small hit", "65 bytes", "/cached/small"),
  small("cache-1k", "Hit of 1 KiB", "1 KiB", "/cached/1k"),
  {
    name: "cache-1m",
    title: "Hit of 1 MiB",
    setup: "16 keep-alive connections, 1 MiB of body, all answers from the cache.",
    path: "/cached/1m",
    connections: 16,
    per: "MiB",
    subjects: subjectsOf("nginx", "haproxy", "varnish", "weir"),
    bars: (rows) => [cpuBar(rows, "nginx", 1, "MiB")],
  },
  {
    name: "cache-304",
    title: "Hit that has not changed",
    setup:
      "As cache-small, with If-None-Match: the answers are 304. HAProxy's state a length, at which wrk waits for a body. " +
      "weir-small: a small hit in the same run.",
    path: "/cached/small",
    connections: 64,
    per: "request",
    subjects: [...askedBy("unchanged", "nginx", "varnish", "weir"), SMALL_HIT],
    bars: (rows) => [cpuBar(rows, "weir-small", 1.2)],
  },
  {
    name: "cache-range",
    title: "Range of a hit",
    setup:
      "As cache-small, bytes 0 to 99 of 64 KiB: the answers are 206. HAProxy cannot. weir-small: a small hit in the same run.",
    path: "/cached/64k",
    connections: 64,
    per: "request",
    subjects: [...askedBy("range", "nginx", "varnish", "weir"), SMALL_HIT],
    bars: (rows) => [cpuBar(rows, "weir-small", 1.2)],
  },
  {
    name: "cache-tls-h1",
    title: "Small hit over TLS, HTTP/1.1",
    setup: "As cache-small, TLS 1.3 with the same P-256 certificate for all.",
    path: "/cached/small",
    connections: 64,
    per: "request",
    client: "tls-h1",
    subjects: subjectsOf("nginx", "haproxy", "weir"),
    bars: (rows) => [cpuBar(rows, "nginx", 0.75)],
  },
  {
    name: "cache-tls-h2",
    title: "Small hit over TLS, HTTP/2",
    setup: `${H2_CONNECTIONS} connections of ${H2_STREAMS} streams, TLS 1.3, all answers from the cache.`,
    path: "/cached/small",
    connections: H2_CONNECTIONS,
    per: "request",
    client: "tls-h2",
    subjects: subjectsOf("nginx", "haproxy", "weir"),
    bars: (rows) => [cpuBar(rows, "nginx", 0.75)],
  },
];

export const CACHE_CASES: readonly Case[] = PLANS.map((plan) => ({
  name: plan.name,
  title: plan.title,
  setup: plan.setup,
  run: (bench) => run(bench, plan),
}));
