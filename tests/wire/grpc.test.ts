/** gRPC and gRPC-Web through the program, to an endpoint that speaks HTTP/2 in plain text. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import {
  type ClientHttp2Session,
  connect,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { eventually, within } from "../support/eventually.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { ask } from "./ask.ts";

const DEADLINE_MS = 10_000;
/** A message of three bytes, in its frame. */
const MESSAGE = Buffer.from([0, 0, 0, 0, 3, 1, 2, 3]);

let weir: Weir;
let server: Http2Server;
let session: ClientHttp2Session;
/** What the endpoint was asked, and which of its streams were given up. */
let asked: IncomingHttpHeaders[] = [];
let aborted: string[] = [];
/** Requests that the endpoint has read to their end, and leaves without an answer. */
let heard: string[] = [];

function serve(stream: ServerHttp2Stream, head: IncomingHttpHeaders): void {
  const path = head[":path"] ?? "";
  asked.push(head);
  stream.on("error", () => undefined);
  stream.on("close", () => {
    if (stream.rstCode !== 0) aborted.push(path);
  });
  if (path === "/silent") {
    stream.on("end", () => heard.push(path));
    stream.resume();
    return;
  }
  if (path === "/refused") {
    stream.respond(
      { ":status": 200, "content-type": "application/grpc", "grpc-status": "5" },
      { endStream: true },
    );
    return;
  }
  if (path === "/talk") {
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.pipe(stream);
    return;
  }
  const got: Buffer[] = [];
  stream.on("data", (bytes: Buffer) => got.push(bytes));
  stream.on("end", () => {
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0", "grpc-message": "fine" }));
    stream.end(Buffer.concat(got));
  });
}

beforeAll(async () => {
  server = createServer();
  server.on("stream", serve);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  weir = await startWeir(`
listeners: { web: { bind: "127.0.0.1:0", protocols: [h1, h2], timeouts: { body: 300ms } } }
routes: [ { to: app } ]
upstreams: { app: { endpoints: [ "127.0.0.1:${port}" ], protocol: h2c } }
`);
  session = connect(`http://127.0.0.1:${weir.port()}`);
});

afterAll(async () => {
  session?.destroy();
  await weir?.stop();
  server?.close();
});

beforeEach(() => {
  asked = [];
  aborted = [];
  heard = [];
});

interface Answer {
  readonly head: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  readonly body: Buffer;
}

async function call(path: string, fields: OutgoingHttpHeaders = {}): Promise<Answer> {
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    ":authority": "a.test",
    "content-type": "application/grpc",
    te: "trailers",
    ...fields,
  });
  let head: IncomingHttpHeaders = {};
  let trailers: IncomingHttpHeaders = {};
  const got: Buffer[] = [];
  const over = new Promise<void>((resolve, reject) => {
    stream.on("error", reject);
    stream.on("response", (fields_) => {
      head = fields_;
    });
    stream.on("trailers", (fields_) => {
      trailers = fields_;
    });
    stream.on("data", (bytes: Buffer) => got.push(bytes));
    stream.on("end", () => resolve());
  });
  stream.end(MESSAGE);
  await within(over, DEADLINE_MS, "the answer");
  return { head, trailers, body: Buffer.concat(got) };
}

test("a call goes through: message, trailers, and te: trailers for the endpoint", async () => {
  const { head, trailers, body } = await call("/echo");
  expect([head["content-type"], body, trailers["grpc-status"], trailers["grpc-message"]]).toEqual([
    "application/grpc",
    MESSAGE,
    "0",
    "fine",
  ]);
  expect([asked[0]?.["te"], asked[0]?.["via"], asked[0]?.["grpc-timeout"]]).toEqual([
    "trailers",
    "2.0 weir",
    undefined,
  ]);
});

test("an answer that is all head passes as it is", async () => {
  const { head, trailers, body } = await call("/refused");
  expect([head["grpc-status"], body.length, trailers["grpc-status"]]).toEqual(["5", 0, undefined]);
});

test("what is left of the deadline goes to the endpoint", async () => {
  await call("/echo", { "grpc-timeout": "20S" });
  const [, left = ""] = /^(\d+)m$/.exec(asked[0]?.["grpc-timeout"]?.toString() ?? "") ?? [];
  expect(Number(left)).toBeWithin(10_000, 20_001);
});

test("a deadline that passes is DEADLINE_EXCEEDED, and the endpoint's call is cancelled", async () => {
  const startMs = performance.now();
  const { head } = await call("/silent", { "grpc-timeout": "300m" });
  expect(head["grpc-status"]).toBe("4");
  expect(performance.now() - startMs).toBeWithin(250, 3000);
  await eventually(() => aborted.includes("/silent"), DEADLINE_MS, "the endpoint's stream to be reset");
});

test("a call that the client cancels is cancelled at the endpoint", async () => {
  const stream = session.request({ ":method": "POST", ":path": "/silent", ":authority": "a.test" });
  stream.on("error", () => undefined);
  stream.end(MESSAGE);
  await eventually(() => heard.length === 1, DEADLINE_MS, "the call at the endpoint");
  stream.close(8);
  await eventually(() => aborted.includes("/silent"), DEADLINE_MS, "the endpoint's stream to be reset");
});

/** Opens a call whose message is sent and whose end is not. */
function talk(path: string) {
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    ":authority": "a.test",
    "content-type": "application/grpc",
  });
  const heardBack = { bytes: 0, status: "", error: "" };
  stream.on("response", (head) => {
    heardBack.status = head["grpc-status"]?.toString() ?? "";
  });
  stream.on("trailers", (trailers) => {
    heardBack.status = trailers["grpc-status"]?.toString() ?? "";
  });
  stream.on("data", (bytes: Buffer) => {
    heardBack.bytes += bytes.length;
  });
  stream.on("error", (error: Error) => {
    heardBack.error = error.message;
  });
  stream.write(MESSAGE);
  return { stream, heardBack };
}

test("a conversation may be silent for longer than timeouts.body once the endpoint has begun to answer", async () => {
  const { stream, heardBack } = talk("/talk");
  await eventually(() => heardBack.bytes === MESSAGE.length, DEADLINE_MS, "the first message to come back");
  await Bun.sleep(3 * 300);
  stream.write(MESSAGE);
  await eventually(
    () => heardBack.bytes === 2 * MESSAGE.length,
    DEADLINE_MS,
    "the second message to come back",
  );
  stream.end();
  await eventually(() => heardBack.status === "0", DEADLINE_MS, "the outcome");
  expect(heardBack.error).toBe("");
});

test("a call of which nobody answers anything must go on within timeouts.body: DEADLINE_EXCEEDED", async () => {
  const { heardBack } = talk("/silent");
  await eventually(() => heardBack.status === "4", DEADLINE_MS, "the outcome");
});

const TRAILERS = "grpc-status: 0\r\ngrpc-message: fine\r\n";
const LAST = Buffer.concat([Buffer.from([0x80, 0, 0, 0, TRAILERS.length]), Buffer.from(TRAILERS)]);

test("gRPC-Web over HTTP/1.1, in base64: the endpoint speaks gRPC, the outcome is a frame of the body", async () => {
  const text = MESSAGE.toString("base64");
  const answer = await ask(
    weir.port(),
    `POST /echo HTTP/1.1\r\nHost: a.test\r\nContent-Type: application/grpc-web-text\r\nX-Grpc-Web: 1\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
    "POST",
  );
  expect([answer.status, answer.field("content-type")]).toEqual([200, "application/grpc-web-text+proto"]);
  const frames = (answer.body.match(/[^=]+=*/g) ?? []).map((piece) => Buffer.from(piece, "base64"));
  expect(Buffer.concat(frames)).toEqual(Buffer.concat([MESSAGE, LAST]));
  expect([
    asked[0]?.["content-type"],
    asked[0]?.["te"],
    asked[0]?.["x-grpc-web"],
    asked[0]?.["content-length"],
  ]).toEqual(["application/grpc+proto", "trailers", undefined, undefined]);
});

test("gRPC-Web over HTTP/2, in bytes", async () => {
  const { head, trailers, body } = await call("/echo", { "content-type": "application/grpc-web+proto" });
  expect([head["content-type"], body]).toEqual([
    "application/grpc-web+proto",
    Buffer.concat([MESSAGE, LAST]),
  ]);
  expect(trailers["grpc-status"]).toBeUndefined();
});
