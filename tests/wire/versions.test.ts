/** From HTTP/2 clients to HTTP/1 endpoints and back: trailers, interim answers, reasons. */
import { afterEach, expect, test } from "bun:test";
import {
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from "node:http2";
import { eventually, within } from "../support/eventually.ts";
import { Stage } from "../support/stage.ts";

const DEADLINE_MS = 10_000;
const stage = new Stage();
afterEach(() => stage.clear());

interface Heard {
  readonly head: IncomingHttpHeaders;
  readonly interim: readonly IncomingHttpHeaders[];
  readonly trailers: IncomingHttpHeaders;
  readonly body: string;
}

async function ask(
  port: number,
  fields: OutgoingHttpHeaders,
  send: (stream: ClientHttp2Stream) => void = (stream) => stream.end(),
): Promise<Heard> {
  const session = connect(`http://127.0.0.1:${port}`);
  stage.after(() => session.destroy());
  const stream = session.request(
    { ":authority": "a.test", ":path": "/", ...fields },
    { waitForTrailers: fields["x-trailers"] !== undefined },
  );
  let head: IncomingHttpHeaders = {};
  let trailers: IncomingHttpHeaders = {};
  const interim: IncomingHttpHeaders[] = [];
  let body = "";
  const over = new Promise<void>((resolve, reject) => {
    session.on("error", reject);
    stream.on("error", reject);
    stream.on("headers", (got: IncomingHttpHeaders) => interim.push(got));
    stream.on("response", (got) => {
      head = got;
    });
    stream.on("trailers", (got) => {
      trailers = got;
    });
    stream.on("data", (bytes: Buffer) => {
      body += bytes.toString("latin1");
    });
    stream.on("end", () => resolve());
  });
  send(stream);
  await within(over, DEADLINE_MS, "the answer");
  return { head, interim, trailers, body };
}

const h2c = (address: string) => `
listeners: { web: { bind: "127.0.0.1:0", protocols: [h1, h2] } }
routes: [ { to: "${address}" } ]
`;

test("trailers of a chunked answer become those of the stream (RFC 9113 §8.1)", async () => {
  const origin = await stage.origin((connection) => {
    connection.write(
      "HTTP/1.1 200 Quite Fine\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nConnection: close\r\n\r\n" +
        "5\r\nhello\r\n0\r\nX-Sum: 7\r\nHost: evil\r\n\r\n",
    );
  });
  const weir = await stage.weir(h2c(origin.address));
  const { head, body, trailers } = await ask(weir.port(), {});
  expect([head[":status"] as unknown, body, trailers["x-sum"]]).toEqual([200, "hello", "7"]);
  for (const name of ["transfer-encoding", "trailer", "connection"]) expect(head[name]).toBeUndefined();
  expect(trailers["host"]).toBeUndefined();
});

test("trailers of a stream become those of a chunked request, without what may not come so late", async () => {
  const origin = await stage.origin((connection) => {
    if (!connection.received.endsWith("\r\n\r\n") || !connection.received.includes("\r\n0\r\n")) return;
    connection.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  });
  const weir = await stage.weir(h2c(origin.address));
  const { body } = await ask(weir.port(), { ":method": "POST", "x-trailers": "yes" }, (stream) => {
    stream.on("wantTrailers", () => stream.sendTrailers({ "x-sum": "7", "x-client-cert-verified": "1" }));
    stream.end("hello");
  });
  const [received = ""] = origin.received;
  expect(body).toBe("ok");
  expect(received).toMatch(/^transfer-encoding: chunked\r$/im);
  expect(received).toMatch(/\r\n0\r\nx-sum: 7\r\n\r\n$/i);
  expect(received).not.toContain("client-cert");
  expect(received).toMatch(/^via: 2\.0 weir\r$/im);
});

test("an interim answer goes before the final one, 100 only to those who expect it (RFC 9110 §15.2)", async () => {
  const origin = await stage.origin((connection) => {
    connection.write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
    connection.write("HTTP/1.1 204 No Content\r\n\r\n");
  });
  const weir = await stage.weir(h2c(origin.address));
  const { head, interim } = await ask(weir.port(), {});
  expect(interim.map((got) => [got[":status"] as unknown, got["link"]])).toEqual([[103, "</a.css>"]]);
  expect(head[":status"] as unknown).toBe(204);
});

test("a client that cancels has its request cancelled at the endpoint", async () => {
  const origin = await stage.origin(() => undefined);
  const weir = await stage.weir(h2c(origin.address));
  const session = connect(`http://127.0.0.1:${weir.port()}`);
  stage.after(() => session.destroy());
  const stream = session.request({ ":authority": "a.test", ":path": "/" });
  stream.on("error", () => undefined);
  stream.end();
  await eventually(() => origin.received[0]?.includes("GET /"), DEADLINE_MS, "the request at the endpoint");
  stream.close(8);
  await eventually(() => origin.connections[0]?.isClosed, DEADLINE_MS, "the endpoint's connection to end");
});
