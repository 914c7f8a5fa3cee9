/**
 * Sources: what each of them says, asked for real: a name server, files, an engine's socket, a program over HTTP.
 */
import { afterAll, afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Discoverer } from "../../src/discovery/discoverer.ts";
import { AddressSource, ServiceSource } from "../../src/discovery/dns.ts";
import { DockerSource } from "../../src/discovery/docker.ts";
import { FileSource } from "../../src/discovery/file.ts";
import { HttpSource } from "../../src/discovery/http.ts";
import type { Found } from "../../src/discovery/source.ts";
import { makeSource } from "../../src/discovery/sources.ts";
import { NameLookup } from "../../src/transport/dns.ts";
import { DockerEngine } from "../support/docker-engine.ts";
import { eventually } from "../support/eventually.ts";
import { startNameServer, TYPE } from "../support/name-server.ts";
import { Origin, perRequest, response } from "../support/origin.ts";
import { testUpstream } from "../support/test-upstream.ts";

const folder = mkdtempSync(join(tmpdir(), "weir-sources-"));
const server = await startNameServer();
// the runtime remembers answers for their TTL (tests/runtime/dns-cache.test.ts): each test has names of its own
const names = new NameLookup({ servers: [server.address], hostsFile: join(folder, "no-hosts") });
let origin: Origin | undefined;
let engine: DockerEngine | undefined;

beforeEach(() => server.names.clear());
afterEach(async () => {
  await origin?.stop();
  engine?.stop();
  [origin, engine] = [undefined, undefined];
});
afterAll(() => {
  server.stop();
  rmSync(folder, { recursive: true, force: true });
});

const namesOf = (found: Found) =>
  found.kind === "list" ? found.endpoints.map(({ name }) => name).toSorted() : found;
const reasonOf = (found: Found) => (found.kind === "failure" ? found.text : found.kind);

// ── DNS ──

test("each address of a name is an endpoint, for as long as the records say (RFC 1035 §3.2.1)", async () => {
  server.names.set("app.test", { ttlSec: 7, addresses: ["10.0.0.1", "10.0.0.2"] });
  const found = await new AddressSource(names, { host: "app.test", port: 8080 }).ask();
  expect(namesOf(found)).toEqual(["10.0.0.1:8080", "10.0.0.2:8080"]);
  expect(found).toMatchObject({ ttlMs: 7000 });
});

test("endpoints found by a name are verified by that name in TLS", async () => {
  server.names.set("tls.test", { addresses: ["10.0.0.1"] });
  const found = await new AddressSource(names, { host: "tls.test", port: 443 }).ask();
  expect(found).toMatchObject({ endpoints: [{ serverName: "tls.test", address: { host: "10.0.0.1" } }] });
});

test("a name that is gone is a failure, not an empty list", async () => {
  expect(await new AddressSource(names, { host: "gone.test", port: 80 }).ask()).toMatchObject({
    kind: "failure",
  });
});

test("an answer for one address family, while the other fails, says that it is only a part", async () => {
  const code = { type: TYPE.a, code: 2 };
  server.names.set("half.test", { addresses: ["10.0.0.1", "2001:db8::1"], code });
  const got = await names.lookup("half.test");
  // without IPv6 on this machine nothing is left of it, which is a failure as well
  if (got.kind === "answer") expect(got.isPartial).toBe(true);
  const whole = { kind: "answer", addresses: ["10.0.0.1"], ttlMs: 1000 } as const;
  const partial = { ...names, lookup: async () => ({ ...whole, isPartial: true }) } as unknown as NameLookup;
  const found = await new AddressSource(partial, { host: "half.test", port: 80 }).ask();
  expect(reasonOf(found)).toContain("IPv4 or only IPv6");
});

test("SRV records name targets, ports, tiers by priority, and weights (RFC 2782)", async () => {
  server.names.set("_http._tcp.app.test", {
    services: [
      { target: "b.test", port: 81, priority: 20, weight: 0 },
      { target: "A.test", port: 80, priority: 10, weight: 60 },
      { target: "c.test", port: 82, priority: 10, weight: 30 },
      { target: "b.test", port: 83, priority: 65_000, weight: 1 },
    ],
  });
  const found = await new ServiceSource(names, "_http._tcp.app.test").ask();
  const rows =
    found.kind === "list" ? found.endpoints.map((each) => [each.name, each.priority, each.weight]) : [];
  expect(rows.toSorted((a, b) => String(a[0]).localeCompare(String(b[0])))).toEqual([
    ["a.test:80", 0, 60],
    ["b.test:81", 1, 1],
    ["b.test:83", 2, 1],
    ["c.test:82", 0, 30],
  ]);
});

test("a name that moves is followed when its TTL is over; while its server fails the last list stays", async () => {
  server.names.set("moves.test", { ttlSec: 1, addresses: ["10.0.0.1", "10.0.0.2"] });
  const discovery = { kind: "dns", host: "moves.test", port: 80, intervalMs: 1000 } as const;
  const app = testUpstream([], { discovery });
  const discoverer = new Discoverer({
    makeSource: (config, isSecure) => makeSource(config, isSecure, names),
    log: () => {},
    after: (delayMs, run) => {
      const timer = setTimeout(run, delayMs);
      return () => clearTimeout(timer);
    },
    random: () => 0.5,
    nowMs: Date.now,
  });
  const found = () =>
    discoverer
      .lists([app])
      .get("app")
      ?.map(({ name }) => name)
      .join(" ");
  const isFailing = () => discoverer.standings()[0]?.state === "failing";
  try {
    discoverer.follow([app]);
    await discoverer.settled(2000);
    expect(found()).toBe("10.0.0.1:80 10.0.0.2:80");
    server.names.set("moves.test", { code: 2 });
    await eventually(isFailing, 15_000, "the failure");
    expect(found()).toBe("10.0.0.1:80 10.0.0.2:80");
    server.names.set("moves.test", { ttlSec: 1, addresses: ["10.0.0.2", "10.0.0.3"] });
    await eventually(() => found() === "10.0.0.2:80 10.0.0.3:80", 15_000, "the name's new addresses");
  } finally {
    discoverer.stop();
  }
}, 40_000);

test("weights beyond ours keep their proportion (RFC 2782: up to 65,535)", async () => {
  const services = [60_000, 30_000].map((weight, index) => ({ target: `t${index}.test`, port: 80, weight }));
  server.names.set("_http._tcp.heavy.test", { services });
  const found = await new ServiceSource(names, "_http._tcp.heavy.test").ask();
  const weights = found.kind === "list" ? found.endpoints.map(({ weight }) => weight) : [];
  expect(weights.toSorted((a, b) => a - b)).toEqual([500, 1000]);
});

test("the target `.` means that there is no such service (RFC 2782)", async () => {
  server.names.set("_http._tcp.none.test", { services: [{ target: ".", port: 0 }] });
  expect(namesOf(await new ServiceSource(names, "_http._tcp.none.test").ask())).toEqual([]);
});

// ── files ──

test("a file is read when it has changed, also by `mv` and by links as Kubernetes makes them", async () => {
  const path = join(folder, "plain.yaml");
  const source = new FileSource(path, false);
  expect(reasonOf(await source.ask())).toBe("there is no such file");
  writeFileSync(path, "- 10.0.0.1:80\n");
  expect(namesOf(await source.ask())).toEqual(["10.0.0.1:80"]);
  expect(await source.ask()).toEqual({ kind: "same" });
  writeFileSync(`${path}.new`, '["10.0.0.2:80"]');
  renameSync(`${path}.new`, path);
  expect(namesOf(await source.ask())).toEqual(["10.0.0.2:80"]);

  for (const [version, ip] of [
    ["v1", "10.0.1.1"],
    ["v2", "10.0.1.2"],
  ] as const) {
    mkdirSync(join(folder, version));
    writeFileSync(join(folder, version, "endpoints.yaml"), `- ${ip}:80\n`);
  }
  symlinkSync("v1", join(folder, "..data"));
  symlinkSync("..data/endpoints.yaml", join(folder, "linked.yaml"));
  const linked = new FileSource(join(folder, "linked.yaml"), false);
  expect(namesOf(await linked.ask())).toEqual(["10.0.1.1:80"]);
  symlinkSync("v2", join(folder, "..data-new"));
  renameSync(join(folder, "..data-new"), join(folder, "..data"));
  expect(namesOf(await linked.ask())).toEqual(["10.0.1.2:80"]);
});

test("a file that is being written is not read until it stands still", async () => {
  const path = join(folder, "growing.yaml");
  writeFileSync(path, "- 10.0.0.1:80\n");
  let lines = 1;
  const writing = setInterval(() => {
    lines++;
    writeFileSync(path, Array.from({ length: lines }, (_, at) => `- 10.0.0.${at + 1}:80\n`).join(""));
    if (lines === 10) clearInterval(writing);
  }, 20);
  const found = await new FileSource(path, false).ask();
  clearInterval(writing);
  expect(found.kind === "list" && found.endpoints).toHaveLength(10);
});

test("what is wrong in a file is told each time until it is put right", async () => {
  const path = join(folder, "wrong.yaml");
  writeFileSync(path, "- 10.0.0.1\n");
  const source = new FileSource(path, false);
  for (let turn = 0; turn < 2; turn++) expect(reasonOf(await source.ask())).toStartWith("wrong.yaml:1:");
  writeFileSync(path, Buffer.from([0xff, 0xfe, 0x2d]));
  expect(reasonOf(await source.ask())).toBe("it is not UTF-8 text");
  writeFileSync(path, "#".repeat(1024 * 1024 + 1));
  expect(reasonOf(await source.ask())).toContain("larger");
});

// ── HTTP ──

async function serve(answer: (head: string) => string): Promise<HttpSource> {
  origin = await Origin.start(perRequest(({ raw }) => answer(raw)));
  return new HttpSource(`http://${origin.address}/endpoints`, false);
}

test("an unchanged list is asked for by its ETag and not read again (RFC 9110 §13.1.2)", async () => {
  let etag = '"1"';
  const source = await serve((head) =>
    head.toLowerCase().includes(`if-none-match: ${etag}`)
      ? `HTTP/1.1 304 Not Modified\r\nETag: ${etag}\r\n\r\n`
      : response(`["10.0.0.${etag[1]}:80"]`, [`ETag: ${etag}`]),
  );
  expect(namesOf(await source.ask())).toEqual(["10.0.0.1:80"]);
  expect(await source.ask()).toEqual({ kind: "same" });
  etag = '"2"';
  expect(namesOf(await source.ask())).toEqual(["10.0.0.2:80"]);
});

const BAD_ANSWERS: readonly [rule: string, answer: string, reason: string][] = [
  ["an error status", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "status 503"],
  [
    "a redirect",
    "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    "status 302",
  ],
  ["no JSON", response("<html>"), "not JSON"],
  ["a socket of this machine", response('["unix:/run/docker.sock"]'), "socket of this machine"],
  ["more than we read", response(`["${"x".repeat(1024 * 1024)}"]`), "longer than"],
  ["a 304 that nobody asked for", "HTTP/1.1 304 Not Modified\r\n\r\n", "status 304"],
];

test.each(BAD_ANSWERS)("%s is a failure", async (_rule, answer, reason) => {
  const source = await serve(() => answer);
  expect(reasonOf(await source.ask())).toContain(reason);
});

test("a program that is not there is a failure in words", async () => {
  const source = await serve(() => "");
  await origin?.stop();
  origin = undefined;
  expect(reasonOf(await source.ask())).toBe("nobody listens there");
});

test("a program that begins an answer and never ends it is given up in time", async () => {
  const source = await serve(() => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[");
  const startedMs = performance.now();
  expect(reasonOf(await source.ask())).toContain("no answer within 5 s");
  expect(performance.now() - startedMs).toBeLessThan(8000);
}, 15_000);

// ── Docker ──

const LABELS = { "weir.upstream": "app" };
const web = (index: number) => ({
  name: `web-${index}`,
  ip: `172.18.0.${index}`,
  port: 8080,
  labels: LABELS,
});

test("containers with the label are endpoints; others are not", async () => {
  engine = await DockerEngine.start();
  engine.containers = [web(1), { ...web(2), labels: { "weir.upstream": "other" } }, web(3)];
  const label = "weir.upstream=app";
  const source = new DockerSource({ socket: engine.socket, label, network: "" });
  expect(namesOf(await source.ask())).toEqual(["172.18.0.1:8080", "172.18.0.3:8080"]);
  engine.status = 500;
  expect(reasonOf(await source.ask())).toContain("status 500: the engine is unwell");
  engine.stop();
  engine = undefined;
  expect(reasonOf(await source.ask())).toBe("there is no such socket");
});

test("events of the engine hint at changes, also after its stream was broken", async () => {
  engine = await DockerEngine.start();
  const source = new DockerSource({ socket: engine.socket, label: "weir.upstream=app", network: "" });
  let hints = 0;
  const stop = source.watch(() => hints++);
  const hasStream = () => engine?.listeners === 1;
  await eventually(hasStream, 5000, "the stream of events");
  engine.change([web(1)]);
  await eventually(() => hints === 1, 5000, "a hint");
  engine.breakStreams();
  await eventually(() => engine?.listeners === 0, 5000, "the stream to break");
  await eventually(hasStream, 8000, "another stream");
  engine.change([web(2)]);
  await eventually(() => hints === 2, 5000, "another hint");
  stop();
  await eventually(() => engine?.listeners === 0, 5000, "the stream to end");
}, 30_000);
