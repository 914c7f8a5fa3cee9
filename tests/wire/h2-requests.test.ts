/**
 * Requests with bodies over HTTP/2: none is lost between two connections, whatever the moment.
 */
import { afterEach, expect, test } from "bun:test";
import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import { eventually } from "../support/eventually.ts";
import { data, type FieldList, FRAME, headers, statusOf } from "../support/h2-frames.ts";
import { H2Peer } from "../support/h2-peer.ts";
import { perRequest, response } from "../support/origin.ts";
import { Stage } from "../support/stage.ts";

const stage = new Stage();
afterEach(() => stage.clear());

const post = (path: string): FieldList => [
  [":method", "POST"],
  [":scheme", "http"],
  [":authority", "a.test"],
  [":path", path],
];

const config = (upstream: string) => `
listeners: { web: { bind: "127.0.0.1:0", protocols: [h1, h2] } }
routes: [ { to: app, timeouts: { response: 2s } } ]
upstreams: { app: ${upstream} }
`;

const statusesOf = (peer: H2Peer) =>
  peer.frames.filter(({ type }) => type === FRAME.headers).map(({ payload }) => statusOf(payload));

const ENDS: readonly [what: string, end: (stream: number) => Buffer, got: string][] = [
  ["an empty DATA frame", (stream) => data(stream, "", { end: true }), "0\r\n\r\n"],
  ["trailers", (stream) => headers(stream, [["x-sum", "1"]]), "0\r\nx-sum: 1\r\n\r\n"],
];
for (const [what, end, got] of ENDS) {
  test(`a request that ends with ${what} while its connection is being made is complete at the endpoint`, async () => {
    const origin = await stage.origin(perRequest(({ raw }) => response(JSON.stringify(raw))));
    const weir = await stage.weir(config(`[ "${origin.address}" ]`));
    const peer = await H2Peer.connect({ port: weir.port() });
    stage.after(() => peer.close());
    peer.send(headers(1, post("/"), { end: false }), end(1));
    await eventually(() => statusesOf(peer).length === 1, 5000, "the answer");
    expect(statusesOf(peer)).toEqual([200]);
    expect(origin.received[0]?.split("\r\n\r\n").slice(1).join("\r\n\r\n").toLowerCase()).toBe(got);
  });
}

/** An endpoint that says goodbye in front of each tenth request. */
async function leaving(): Promise<{ port: number; sessions: ServerHttp2Session[]; server: Http2Server }> {
  const sessions: ServerHttp2Session[] = [];
  const server = createServer((asked, answer) => {
    const pieces: Buffer[] = [];
    asked.on("data", (piece: Buffer) => pieces.push(piece));
    asked.on("end", () => answer.end(Buffer.concat(pieces)));
  });
  server.on("session", (session) => {
    sessions.push(session);
    session.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stage.after(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  const bound = server.address();
  return { port: bound !== null && typeof bound === "object" ? bound.port : 0, sessions, server };
}

test("an endpoint that leaves with GOAWAY loses no request that it had not begun, bodies and all (RFC 9113 §6.8)", async () => {
  const { port, sessions } = await leaving();
  const weir = await stage.weir(config(`{ endpoints: [ "127.0.0.1:${port}" ], protocol: h2c }`));
  const client = await stage.client(weir.port());
  let gone = 0;
  for (let count = 0; count < 300; count++) {
    // the request meets the GOAWAY on its way
    const body = `${count}:`.padEnd(2000, "x");
    await client.send(
      `POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 9)}`,
    );
    if (count % 3 === 0) {
      sessions.at(-1)?.close();
      gone++;
    }
    await client.send(body.slice(9));
    const answer = await client.response();
    expect([count, answer.status, answer.body === body]).toEqual([count, 200, true]);
  }
  const retried = (await weir.metrics()).match(/weir_upstream_errors_total\{[^}]*\} (\d+)/)?.[1];
  expect(gone).toBe(100);
  expect(Number(retried)).toBeGreaterThan(0);
});
