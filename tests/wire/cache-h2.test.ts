/**
 * The cache under HTTP/2: the same answers, over streams with windows, as over HTTP/1.1, and for both out of one store.
 */
import { afterEach, expect, test } from "bun:test";
import { type ClientHttp2Session, connect, constants } from "node:http2";
import { eventually, within } from "../support/eventually.ts";
import { type OriginConnection, response } from "../support/origin.ts";
import { Stage } from "../support/stage.ts";
import { metric } from "../support/weir-metrics.ts";
import { ask, get } from "./ask.ts";
import { CountingOrigin, FRESH, type Script, targetOf } from "./cached.ts";

const stage = new Stage();
afterEach(() => stage.clear());

const DEADLINE_MS = 10_000;
const STREAMS = 50;

interface Answer {
  readonly status: number;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly body: string;
}

async function start(script: Script) {
  const origin = await CountingOrigin.start(script);
  stage.after(() => origin.stop());
  const weir = await stage.weir(`
listeners:
  old: { bind: "127.0.0.1:0" }
  new: { bind: "127.0.0.1:0", protocols: [h2] }
routes: [ { to: "http://${origin.address}", cache: { enabled: true } } ]
`);
  const session = connect(`http://127.0.0.1:${weir.port("new")}`);
  session.on("error", () => undefined); // what fails shows in its streams
  stage.after(() => session.destroy());
  return { origin, session, weir, port: weir.port("old") };
}

function asked(
  session: ClientHttp2Session,
  path: string,
  fields: Record<string, string> = {},
): Promise<Answer> {
  const answer = new Promise<Answer>((resolve, reject) => {
    const stream = session.request({ ":path": path, ":authority": "a.test", ...fields });
    let head: Record<string, unknown> = {};
    const pieces: Buffer[] = [];
    stream.on("response", (fieldsOfHead) => {
      head = fieldsOfHead;
    });
    stream.on("data", (piece: Buffer) => pieces.push(piece));
    stream.on("error", reject);
    stream.on("end", () => {
      resolve({
        status: Number(head[constants.HTTP2_HEADER_STATUS]),
        fields: head,
        body: Buffer.concat(pieces).toString("latin1"),
      });
    });
    stream.end();
  });
  return within(answer, DEADLINE_MS, `an answer to ${path}`);
}

test("what came over one version answers over the other", async () => {
  const { origin, session, port } = await start((request) => response(`for ${targetOf(request)}`, [FRESH]));
  await ask(port, get("/a"));
  expect((await asked(session, "/a")).body).toBe("for /a");
  await asked(session, "/b");
  expect((await ask(port, get("/b"))).body).toBe("for /b");
  expect([origin.count("/a"), origin.count("/b")]).toEqual([1, 1]);
});

test("streams that ask for one cold object cost one request", async () => {
  let held: OriginConnection | undefined;
  const { origin, session } = await start((_request, connection) => {
    connection.write(["HTTP/1.1 200 OK", FRESH, "Content-Length: 10", "", "first"].join("\r\n"));
    held = connection;
    setTimeout(() => held?.write(" last"), 100);
    return undefined;
  });
  const answers = await Promise.all(Array.from({ length: STREAMS }, () => asked(session, "/one")));
  expect(new Set(answers.map(({ body }) => body))).toEqual(new Set(["first last"]));
  expect(origin.count("/one")).toBe(1);
});

test("answers that are not for all go each to its own stream", async () => {
  const { session } = await start((request) =>
    response(`for ${request.field("x-user")}`, ["Cache-Control: private, max-age=60"]),
  );
  const users = Array.from({ length: STREAMS }, (_, index) => `${index}`);
  const answers = await Promise.all(users.map((user) => asked(session, "/own", { "x-user": user })));
  expect(answers.map(({ body }) => body)).toEqual(users.map((user) => `for ${user}`));
});

test("a large hit passes through small windows whole, many times at once", async () => {
  const large = Buffer.alloc(1 << 20, "0123456789abcdef").toString("latin1");
  const { origin, session } = await start(() => response(large, [FRESH]));
  await asked(session, "/large");
  const answers = await Promise.all(Array.from({ length: 8 }, () => asked(session, "/large")));
  expect(answers.every(({ body }) => body === large)).toBe(true);
  expect(origin.count("/large")).toBe(1);
});

test("HEAD, a range and a condition are answered from the store", async () => {
  const { origin, session } = await start(() => response("0123456789", [FRESH, 'ETag: "a"']));
  await asked(session, "/whole");
  const head = await asked(session, "/whole", { ":method": "HEAD" });
  const part = await asked(session, "/whole", { range: "bytes=2-4" });
  const same = await asked(session, "/whole", { "if-none-match": '"a"' });
  expect([head.status, head.fields["content-length"], head.body]).toEqual([200, "10", ""]);
  expect([part.status, part.body]).toEqual([206, "234"]);
  expect([same.status, same.body]).toEqual([304, ""]);
  expect(origin.count("/whole")).toBe(1);
});

test("a stream that is reset in the middle of a fill takes nothing from the others", async () => {
  let held: OriginConnection | undefined;
  const { origin, session } = await start((_request, connection) => {
    connection.write(["HTTP/1.1 200 OK", FRESH, "Content-Length: 10", "", "first"].join("\r\n"));
    held = connection;
    return undefined;
  });
  const first = session.request({ ":path": "/one", ":authority": "a.test" });
  first.on("error", () => undefined);
  await within(
    new Promise<void>((resolve) => first.once("data", () => resolve())),
    DEADLINE_MS,
    "the first bytes",
  );
  const other = asked(session, "/one");
  first.close(constants.NGHTTP2_CANCEL);
  setTimeout(() => held?.write(" last"), 100);
  expect((await other).body).toBe("first last");
  expect(origin.count("/one")).toBe(1);
});

for (const [what, length] of [
  ["a file", 1_000_000],
  ["memory", 100_000],
] as const) {
  test(`streams that take nothing of a hit from ${what} cost little of the memory that all clients share`, async () => {
    const body = "0123456789".repeat(length / 10);
    const { weir, port } = await start((request) =>
      response(body, [FRESH, `X-Target: ${targetOf(request)}`]),
    );
    await ask(port, get("/hit"));
    const closed = connect(`http://127.0.0.1:${weir.port("new")}`, { settings: { initialWindowSize: 0 } });
    stage.after(() => closed.destroy());
    const answers = Array.from({ length: STREAMS }, () => asked(closed, "/hit"));
    const active = async () => metric(await weir.metrics(), "weir_requests_active");
    await eventually(async () => (await active()) === STREAMS, DEADLINE_MS, "all to be asked for");
    const buffered = async () => metric(await weir.metrics(), "weir_worker_buffered_bytes");
    await eventually(
      async () => (await buffered()) >= STREAMS * 16_384,
      DEADLINE_MS,
      "a little of each to wait",
    );
    expect(await buffered()).toBeLessThan(STREAMS * 33_000);
    closed.settings({ initialWindowSize: 60_000 });
    for (const answer of await Promise.all(answers)) expect(answer.body === body).toBe(true);
    await eventually(async () => (await buffered()) === 0, DEADLINE_MS, "nothing to wait any more");
  });
}
