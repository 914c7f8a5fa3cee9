/** Forwarding: which fields an endpoint gets, and which a client. RFC 9110 §7.6, RFC 7239, W3C Trace Context. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Origin, perRequest, response } from "../support/origin.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { ask, fieldLines, get, startEcho } from "./ask.ts";

let weir: Weir;
let trusting: Weir;
let origin: Origin;
let answering: Origin;

const config = (listener: string) => `
listeners: { web: { bind: "127.0.0.1:0"${listener} } }
routes:
  - { to: echo }
  - { match: { path: /answer }, to: answer }
upstreams: { echo: [ "${origin.address}" ], answer: [ "${answering.address}" ] }
`;

let lines: string[] = [];

beforeAll(async () => {
  origin = await startEcho();
  answering = await Origin.start(perRequest(() => response("", lines)));
  weir = await startWeir(config(""));
  trusting = await startWeir(config(', trustedProxies: ["127.0.0.0/8", "10.0.0.0/8"]'));
});

afterAll(async () => {
  for (const thing of [weir, trusting, origin, answering]) await thing?.stop();
});

const ID = /^X-Request-Id: ([0-9a-f]{32})$/;
const PARENT = /^traceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-01$/;

/** Field lines the endpoint got. */
async function seenBy(where: Weir, bytes: string): Promise<string[]> {
  return fieldLines((await ask(where.port(), bytes)).body);
}

function find(all: readonly string[], pattern: RegExp): RegExpExecArray {
  for (const line of all) {
    const found = pattern.exec(line);
    if (found !== null) return found;
  }
  throw new Error(`no line like ${pattern} in ${JSON.stringify(all)}`);
}

test("an untrusted client's request goes on with exactly these fields", async () => {
  const seen = await seenBy(weir, get("/a?b", "Accept: */*", "X-Own: 1"));
  const id = find(seen, ID)[1] as string;
  expect(find(seen, PARENT)[1]).toBe(id);
  expect(seen.filter((line) => !ID.test(line) && !PARENT.test(line)).sort()).toEqual(
    [
      "Host: a.test",
      "Accept: */*",
      "X-Own: 1",
      "X-Forwarded-For: 127.0.0.1",
      "X-Forwarded-Proto: http",
      "X-Forwarded-Host: a.test",
      `X-Forwarded-Port: ${weir.port()}`,
      "Via: 1.1 weir",
    ].sort(),
  );
});

test("what an untrusted client says about itself is replaced, in every spelling", async () => {
  const spoofed = [
    "X-Forwarded-For: 6.6.6.6",
    "x-forwarded-for: 6.6.6.6",
    "X-Forwarded-Proto: evil",
    "X-Forwarded-Host: evil",
    "X-Forwarded-Port: 666",
    "X-Forwarded-Server: evil",
    "X-Forwarded-Prefix: /evil",
    "Forwarded: for=6.6.6.6",
    "Via: 1.1 evil",
    "X-Request-Id: evil",
    "traceparent: 00-66666666666666666666666666666666-6666666666666666-01",
    "tracestate: evil=1",
    "X-Real-IP: 6.6.6.6",
    "X_Forwarded_For: 6.6.6.6",
    "X_Forwarded-For: 6.6.6.6",
    "X-Forwarded_Proto: evil",
    "x_real_ip: 6.6.6.6",
    "X_Request_ID: evil",
    "X_Forwarded_Prefix: /evil",
    "Client-Cert: :ZXZpbA==:",
    "CLIENT_CERT: evil",
    "Client-Cert-Chain: :evil:",
    "X-Client-Cert-Subject: CN=evil",
    "X_Client_Cert-Subject: CN=evil",
    "x-client-cert-verified: evil",
    "X-Forwarded-Client-Cert: Subject=evil",
  ];
  const seen = await seenBy(weir, get("/", ...spoofed));
  expect(seen.filter((line) => /666|6\.6|evil|ZXZp/.test(line))).toEqual([]);
  expect(seen.filter((line) => /^x-forwarded-for:/i.test(line))).toEqual(["X-Forwarded-For: 127.0.0.1"]);
  expect(seen.length).toBe(8);
});

test("each request has an id and a trace of its own", async () => {
  const ids = new Set<string>();
  const spans = new Set<string>();
  for (let count = 0; count < 20; count++) {
    const seen = await seenBy(weir, get("/"));
    ids.add(find(seen, ID)[1] as string);
    spans.add(find(seen, PARENT)[2] as string);
  }
  expect([ids.size, spans.size]).toEqual([20, 20]);
});

test("Via names the version the client spoke (RFC 9110 §7.6.3)", async () => {
  const seen = await seenBy(weir, "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
  expect(seen).toContain("Via: 1.0 weir");
  const without = await seenBy(weir, "GET / HTTP/1.0\r\n\r\n");
  expect(without.filter((line) => /^x-forwarded-host/i.test(line))).toEqual([]);
  expect(without).toContain(`Host: ${origin.address}`);
});

test("a trusted proxy's fields stay, and ours are added to the lists", async () => {
  const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
  const seen = await seenBy(
    trusting,
    get(
      "/",
      "X-Forwarded-For: 203.0.113.7, 10.1.1.1",
      "X-Forwarded-For: 10.2.2.2",
      "X-Forwarded-Proto: https",
      "X-Forwarded-Host: shop.test",
      "X-Forwarded-Port: 443",
      "Forwarded: for=203.0.113.7",
      "Via: 2 edge",
      "X-Request-Id: id-1",
      `traceparent: ${trace}`,
      "tracestate: a=b",
    ),
  );
  expect(seen.sort()).toEqual(
    [
      "Host: a.test",
      "X-Forwarded-For: 203.0.113.7, 10.1.1.1, 10.2.2.2, 127.0.0.1",
      "X-Forwarded-Proto: https",
      "X-Forwarded-Host: shop.test",
      "X-Forwarded-Port: 443",
      "Forwarded: for=203.0.113.7",
      "Via: 2 edge, 1.1 weir",
      "X-Request-Id: id-1",
      `traceparent: ${trace}`,
      "tracestate: a=b",
    ].sort(),
  );
});

test("a trusted proxy that says nothing has it said for it", async () => {
  const seen = await seenBy(trusting, get("/"));
  expect(seen).toContain("X-Forwarded-For: 127.0.0.1");
  expect(seen).toContain("X-Forwarded-Proto: http");
  expect(seen).toContain(`X-Forwarded-Port: ${trusting.port()}`);
  expect(find(seen, PARENT)[1]).toBe(find(seen, ID)[1]);
});

test("the underscore spellings that a trusted proxy let through are its client's, and are dropped", async () => {
  const seen = await seenBy(
    trusting,
    get("/", "X_Forwarded_For: 6.6.6.6", "X-Forwarded_Proto: evil", "X_Real_IP: 6.6.6.6"),
  );
  expect(seen.filter((line) => line.includes("_"))).toEqual([]);
});

test("an id or trace that a trusted proxy sends malformed is replaced", async () => {
  const seen = await seenBy(trusting, get("/", "X-Request-Id: a b", "traceparent: 00-0-0-00"));
  expect(find(seen, ID)[1]).toBe(find(seen, PARENT)[1]);
});

test("hop-by-hop fields pass in neither direction (RFC 9110 §7.6.1)", async () => {
  const seen = await seenBy(
    weir,
    get(
      "/",
      "Connection: keep-alive, X-Hop",
      "X-Hop: 1",
      "Keep-Alive: timeout=5",
      "TE: trailers",
      "Trailer: X-A",
      "Proxy-Connection: close",
      "Proxy-Authorization: x",
    ),
  );
  expect(seen.filter((line) => /^(connection|x-hop|keep-alive|te|trailer|proxy-)/i.test(line))).toEqual([]);
  lines = [
    "Connection: keep-alive, X-Hop",
    "X-Hop: 1",
    "Keep-Alive: timeout=5",
    "Proxy-Authenticate: Basic",
    "Trailer: X-A",
    "Upgrade: h2c",
    "X-End: 1",
  ];
  const answer = await ask(weir.port(), get("/answer"));
  expect(answer.fields.map(([name]) => name)).toEqual(["x-end", "date", "content-length"]);
});

test("a Date is added where there is none, and kept where there is one (RFC 9110 §6.6.1)", async () => {
  lines = [];
  const added = (await ask(weir.port(), get("/answer"))).field("date") ?? "";
  expect(Math.abs(Date.parse(added) - Date.now())).toBeLessThan(5000);
  lines = ["Date: Thu, 01 Jan 2026 00:00:00 GMT"];
  expect((await ask(weir.port(), get("/answer"))).field("date")).toBe("Thu, 01 Jan 2026 00:00:00 GMT");
});

test("an endpoint's fields go on in their order and spelling, repeats too", async () => {
  lines = ["Set-Cookie: a=1", "sEt-cOOkie: b=2", "X-Obs: \xe9", "Server: thing/1"];
  const { raw } = await ask(weir.port(), get("/answer"));
  expect(fieldLines(raw).slice(0, 4)).toEqual(lines);
});
