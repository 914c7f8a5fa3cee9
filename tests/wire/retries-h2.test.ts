/**
 * Retries and hedges at endpoints that speak HTTP/2, where what ends is a stream and not a connection.
 */
import { afterEach, expect, test } from "bun:test";
import { createServer, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import { eventually } from "../support/eventually.ts";
import { RawClient } from "../support/raw-client.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { metric } from "../support/weir-metrics.ts";
import { ask, get } from "./ask.ts";

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

type Serve = (asked: Http2ServerRequest, answer: Http2ServerResponse, body: string) => void;

interface Endpoint {
  readonly address: string;
  requests: number;
  /** Streams that were reset by the other side. */
  aborted: number;
}

async function endpoint(serve: Serve): Promise<Endpoint> {
  const server = createServer({}, (asked, answer) => {
    noted.requests++;
    asked.on("aborted", () => noted.aborted++);
    let body = "";
    asked.on("data", (piece: Buffer) => {
      body += piece.toString("latin1");
    });
    asked.on("end", () => serve(asked, answer, body));
  });
  server.on("stream", (stream) => stream.on("error", () => undefined));
  const sessions = new Set<{ destroy(): void }>();
  server.on("session", (session) => sessions.add(session));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stops.push(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  const bound = server.address();
  const port = bound !== null && typeof bound === "object" ? bound.port : 0;
  const noted: Endpoint = { address: `127.0.0.1:${port}`, requests: 0, aborted: 0 };
  return noted;
}

const echo: Serve = (_asked, answer, body) => answer.end(`good:${body}`);
const silent: Serve = () => undefined;
const resetting: Serve = (asked) => void asked.stream.destroy(new Error("reset"));
const busy: Serve = (_asked, answer) => {
  answer.writeHead(503);
  answer.write("bad"); // and never ends
};
const cut: Serve = (asked, answer) => {
  answer.writeHead(200, { "content-length": "100" });
  answer.write("bad");
  setTimeout(() => void asked.stream.destroy(new Error("reset")), 10);
};

async function start(retry: string, endpoints: readonly Endpoint[]): Promise<Weir> {
  const names = endpoints.map(({ address }) => `"${address}"`).join(", ");
  const weir = await startWeir(`
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { to: app, retry: ${retry} } ]
upstreams: { app: { endpoints: [ ${names} ], protocol: h2c } }
`);
  stops.push(() => weir.stop());
  return weir;
}

async function isQuiet(weir: Weir): Promise<void> {
  const quiet = async () => {
    const { routes, upstreams } = await weir.status();
    const endpoints = upstreams.flatMap((upstream) => upstream.endpoints);
    return routes.every(({ active }) => active === 0) && endpoints.every(({ active }) => active === 0);
  };
  await eventually(quiet, 5000, "gauges to come back to 0");
  expect(metric(await weir.metrics(), "weir_worker_buffered_bytes")).toBe(0);
}

const ALL = "{ on: [reset, timeout, 503], perTry: 200ms, backoff: 5ms, budget: 100% }";
const PUT = "PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello";

const ROWS: readonly [what: string, bad: Serve, request: string, body: string][] = [
  ["resets the stream", resetting, get("/"), "good:"],
  ["resets the stream of a PUT", resetting, PUT, "good:hello"],
  ["says nothing", silent, get("/"), "good:"],
  ["answers 503 without an end", busy, PUT, "good:hello"],
  ["resets in the middle of a small body", cut, get("/"), "good:"],
];
for (const [what, bad, request, body] of ROWS) {
  test(`one endpoint ${what}: nobody notices`, async () => {
    const weir = await start(ALL, [await endpoint(bad), await endpoint(echo)]);
    for (let turn = 0; turn < 4; turn++) {
      const answer = await ask(weir.port(), request);
      expect([answer.status, answer.body]).toEqual([200, body]);
    }
    await isQuiet(weir);
  });
}

for (const request of [get("/"), PUT]) {
  test(`a hedge of ${request.slice(0, 3)}: the slow stream is reset, its connection stays`, async () => {
    const slow = await endpoint(silent);
    const weir = await start("{ hedge: { after: 50ms }, budget: 100% }", [slow, await endpoint(echo)]);
    for (let turn = 0; turn < 4; turn++) expect((await ask(weir.port(), request)).status).toBe(200);
    await eventually(() => slow.requests === 2 && slow.aborted === 2, 3000, "two streams to be reset");
    await isQuiet(weir);
  });
}

test("a client that leaves has both of its streams reset", async () => {
  const both = [await endpoint(silent), await endpoint(silent)];
  const weir = await start("{ hedge: { after: 50ms }, budget: 100% }", both);
  const client = await RawClient.connect(weir.port());
  await client.send(get("/"));
  await eventually(() => both.every(({ requests }) => requests === 1), 3000, "both to be asked");
  client.reset();
  await eventually(() => both.every(({ aborted }) => aborted === 1), 3000, "both to be reset");
  await isQuiet(weir);
});
