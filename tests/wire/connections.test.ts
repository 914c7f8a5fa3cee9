/** Connections: how long they live on both sides, and in which order requests and answers go. RFC 9112 §9. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { eventually } from "../support/eventually.ts";
import {
  Origin,
  type OriginConnection,
  type OriginRequest,
  perRequest,
  response,
} from "../support/origin.ts";
import { freePort } from "../support/ports.ts";
import { RawClient } from "../support/raw-client.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { ask, get } from "./ask.ts";

const HOST = "Host: a.test\r\n";
const CHUNKS = "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";

let weir: Weir;
let origin: Origin;
let second: Origin;

function answer(request: OriginRequest, connection: OriginConnection): string | undefined {
  const [method = "", target = ""] = request.requestLine.split(" ");
  switch (target.split("?")[0]) {
    case "/head":
      return `HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Method: ${method}\r\n\r\n${method === "HEAD" ? "" : "hello"}`;
    case "/204":
      return "HTTP/1.1 204 No Content\r\n\r\n";
    case "/304":
      return "HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 5\r\n\r\n";
    case "/chunked":
      return `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKS}`;
    case "/empty-chunked":
      return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    case "/until-close":
      connection.write("HTTP/1.1 200 OK\r\n\r\nuntil close");
      connection.end();
      return undefined;
    case "/http10":
      connection.write("HTTP/1.0 200 OK\r\nServer: old\r\n\r\nold");
      connection.end();
      return undefined;
    case "/die":
      // once on a connection that served before; a fresh one answers
      if (connection.requests === 1) return response("fresh");
      connection.reset();
      return undefined;
    case "/connection":
      return response(`${connection.index}`);
    default:
      return response(`${request.requestLine}|${request.body}`);
  }
}

beforeAll(async () => {
  origin = await Origin.start(perRequest(answer));
  second = await Origin.start(perRequest(() => response("second")));
  const dead = await freePort();
  weir = await startWeir(`
listeners: { web: { bind: "127.0.0.1:0" } }
routes:
  - { to: app }
  - { match: { path: /failover }, to: failover }
  - { match: { path: /dead }, to: dead }
  - { match: { path: /ping }, respond: { status: 200, body: "pong\\n" } }
upstreams:
  app: [ "${origin.address}" ]
  failover: [ "127.0.0.1:${dead}", "${second.address}" ]
  dead: [ "127.0.0.1:${dead}" ]
`);
});

afterAll(async () => {
  await weir?.stop();
  await origin?.stop();
  await second?.stop();
});

async function connected(use: (client: RawClient) => Promise<void>): Promise<void> {
  const client = await RawClient.connect(weir.port());
  try {
    await use(client);
  } finally {
    client.close();
  }
}

test("a connection carries one request after another (§9.3)", async () => {
  await connected(async (client) => {
    for (const path of ["/a", "/b", "/c"]) {
      await client.send(get(path));
      const { body, fields } = await client.response();
      expect(body).toBe(`GET ${path} HTTP/1.1|`);
      expect(fields.map(([name]) => name)).not.toContain("connection");
    }
  });
});

test("requests of several clients go out on a kept connection", async () => {
  const first = await ask(weir.port(), get("/connection"));
  for (let count = 0; count < 5; count++) {
    expect((await ask(weir.port(), get("/connection"))).body).toBe(first.body);
  }
});

test("100 requests in one write are answered in their order (§9.3.2)", async () => {
  await connected(async (client) => {
    const paths = Array.from({ length: 100 }, (_, at) => `/p${at}`);
    await client.send(paths.map((path) => get(path)).join(""));
    for (const path of paths) expect((await client.response()).body).toBe(`GET ${path} HTTP/1.1|`);
  });
});

test("100 requests to a fixed answer in one write are answered", async () => {
  await connected(async (client) => {
    await client.send(get("/ping").repeat(100));
    for (let count = 0; count < 100; count++) expect((await client.response()).body).toBe("pong\n");
  });
});

test("pipelined requests of all kinds keep their bodies apart", async () => {
  const requests = [
    get("/a"),
    `POST /b HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc`,
    `HEAD /head HTTP/1.1\r\n${HOST}\r\n`,
    `PUT /c HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${CHUNKS}`,
    get("/204"),
    get("/chunked"),
    `POST /ping HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc`,
    get("/z"),
  ];
  const seen: string[] = [];
  await connected(async (client) => {
    await client.send(requests.join(""));
    for (const request of requests) {
      const { status, body } = await client.response(request.slice(0, 4));
      seen.push(`${status} ${body}`);
    }
  });
  expect(seen).toEqual([
    "200 GET /a HTTP/1.1|",
    "200 POST /b HTTP/1.1|abc",
    "200 ",
    "200 PUT /c HTTP/1.1|abcde",
    "204 ",
    "200 abcde",
    "200 pong\n",
    "200 GET /z HTTP/1.1|",
  ]);
});

test("requests sent together with FIN are all answered (§9.6)", async () => {
  await connected(async (client) => {
    await client.send(get("/a") + get("/b") + get("/c"));
    client.end();
    const text = await client.untilClose();
    expect(text.match(/GET \/[abc] /g)).toEqual(["GET /a ", "GET /b ", "GET /c "]);
  });
});

test("a request sent byte by byte is one request", async () => {
  await connected(async (client) => {
    await client.send(`POST /cut HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${CHUNKS}`, "every");
    expect((await client.response()).body).toBe("POST /cut HTTP/1.1|abcde");
  });
});

test("Connection: close is kept: one answer, then FIN (§9.6)", async () => {
  await connected(async (client) => {
    await client.send(get("/a", "Connection: close") + get("/b"));
    const { raw, field } = await client.response();
    expect(field("connection")).toBe("close");
    expect(await client.untilClose()).toBe(raw);
  });
});

test("HEAD has the fields of GET and no body (RFC 9110 §9.3.2)", async () => {
  await connected(async (client) => {
    await client.send(`HEAD /head HTTP/1.1\r\n${HOST}\r\n${get("/head")}`);
    const head = await client.response("HEAD");
    expect([head.field("content-length"), head.field("x-method")]).toEqual(["5", "HEAD"]);
    expect((await client.response()).body).toBe("hello");
  });
});

test("HEAD to a fixed answer tells its length without its body", async () => {
  await connected(async (client) => {
    await client.send(`HEAD /ping HTTP/1.1\r\n${HOST}\r\n${get("/ping")}`);
    expect((await client.response("HEAD")).field("content-length")).toBe("5");
    expect((await client.response()).body).toBe("pong\n");
  });
});

test("204 and 304 end with their heads (RFC 9110 §15.3.5, §15.4.5)", async () => {
  await connected(async (client) => {
    await client.send(get("/204") + get("/304") + get("/a"));
    const none = await client.response();
    expect([none.status, none.field("content-length")]).toEqual([204, undefined]);
    const unmodified = await client.response();
    expect([unmodified.status, unmodified.field("etag")]).toEqual([304, "x"]);
    expect((await client.response()).body).toBe("GET /a HTTP/1.1|");
  });
});

test("a broken request after a HEAD is answered with a body that fits its length", async () => {
  await connected(async (client) => {
    await client.send(`HEAD /head HTTP/1.1\r\n${HOST}\r\nGET / HTTP/1.1\r\nHost : a.test\r\n\r\n`);
    await client.response("HEAD");
    const refusal = await client.response();
    expect([refusal.status, refusal.body.length]).toEqual([400, Number(refusal.field("content-length"))]);
    expect(refusal.body).toContain("400");
  });
});

test("an HTTP/1.0 client gets no chunks: the body ends with the connection (§6.1)", async () => {
  for (const path of ["/chunked", "/until-close"]) {
    await connected(async (client) => {
      await client.send(`GET ${path} HTTP/1.0\r\n${HOST}Connection: keep-alive\r\n\r\n`);
      const text = await client.untilClose();
      const [head = "", body] = text.split("\r\n\r\n");
      expect(body).toBe(path === "/chunked" ? "abcde" : "until close");
      expect(head).not.toMatch(/transfer-encoding/i);
      expect(head).toMatch(/\r\nConnection: close(\r\n|$)/);
      expect(client.errorCode).toBeUndefined();
    });
  }
});

test("an HTTP/1.0 client's connection ends after its answer (§9.3)", async () => {
  await connected(async (client) => {
    await client.send(`GET /a HTTP/1.0\r\n${HOST}\r\n`);
    const { body, field, raw } = await client.response();
    expect([body, field("connection")]).toEqual(["GET /a HTTP/1.1|", "close"]);
    expect(await client.untilClose()).toBe(raw);
  });
});

test("an HTTP/1.0 client that asks for keep-alive gets it where the length is known (§9.3)", async () => {
  await connected(async (client) => {
    await client.send(`GET /a HTTP/1.0\r\n${HOST}Connection: keep-alive\r\n\r\n`);
    const { field } = await client.response();
    expect([field("connection"), field("content-length")]).toEqual(["keep-alive", "16"]);
    await client.send(`GET /b HTTP/1.0\r\n${HOST}\r\n`);
    expect((await client.response()).body).toBe("GET /b HTTP/1.1|");
  });
});

test("an HTTP/1.0 endpoint's body comes chunked, and the client's connection lives on", async () => {
  await connected(async (client) => {
    await client.send(get("/http10") + get("/empty-chunked") + get("/a"));
    const old = await client.response();
    expect([old.statusLine, old.body, old.field("transfer-encoding")]).toEqual([
      "HTTP/1.1 200 OK",
      "old",
      "chunked",
    ]);
    expect((await client.response()).body).toBe("");
    expect((await client.response()).body).toBe("GET /a HTTP/1.1|");
  });
});

test("a GET on a pooled connection that turns out dead is sent again on a new one (§9.3.1)", async () => {
  await ask(weir.port(), get("/a"));
  const before = origin.connections.length;
  const { status, body } = await ask(weir.port(), get("/die"));
  expect([status, body]).toEqual([200, "fresh"]);
  expect(origin.connections.length).toBe(before + 1);
});

test("a POST on a pooled connection that turns out dead is not sent again (RFC 9110 §9.2.2)", async () => {
  for (const lines of ["Content-Length: 3\r\n\r\nabc", "Content-Length: 0\r\n\r\n"]) {
    await ask(weir.port(), get("/a"));
    const before = origin.requests;
    const { status } = await ask(weir.port(), `POST /die HTTP/1.1\r\n${HOST}${lines}`);
    expect(status).toBe(502);
    expect(origin.requests).toBe(before + 1);
  }
});

test("a refused connection goes to the next endpoint, for POST as well", async () => {
  for (let count = 0; count < 4; count++) {
    const { status, body } = await ask(
      weir.port(),
      `POST /failover HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc`,
    );
    expect([status, body]).toEqual([200, "second"]);
  }
  expect(second.received.join("").match(/\r\n\r\nabc/g)?.length).toBe(4);
});

test("with no endpoint left the client gets 502, and its connection lives on", async () => {
  await connected(async (client) => {
    await client.send(get("/dead") + get("/a"));
    expect((await client.response()).status).toBe(502);
    expect((await client.response()).body).toBe("GET /a HTTP/1.1|");
  });
});

test("what a dead endpoint did not read of a body is read and forgotten", async () => {
  await connected(async (client) => {
    await client.send(
      `POST /dead HTTP/1.1\r\n${HOST}Content-Length: 30000\r\n\r\n${"a".repeat(30000)}${get("/a")}`,
    );
    expect((await client.response()).status).toBe(502);
    expect((await client.response()).body).toBe("GET /a HTTP/1.1|");
  });
});

test("a body sent to a fixed answer is read and forgotten, sized and chunked", async () => {
  await connected(async (client) => {
    await client.send(`POST /ping HTTP/1.1\r\n${HOST}Content-Length: 20000\r\n\r\n${"a".repeat(10000)}`);
    await client.send("a".repeat(10000) + get("/a"));
    expect((await client.response()).body).toBe("pong\n");
    expect((await client.response()).body).toBe("GET /a HTTP/1.1|");
  });
  const { body } = await ask(
    weir.port(),
    `POST /ping HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${CHUNKS}`,
  );
  expect(body).toBe("pong\n");
});

test("a client that leaves before its answer has its request called off", async () => {
  const silent = await Origin.start(() => undefined);
  const other = await startWeir(`
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { to: silent } ]
upstreams: { silent: [ "${silent.address}" ] }
`);
  try {
    const client = await RawClient.connect(other.port());
    await client.send(get("/"));
    await eventually(() => silent.received[0]?.includes("\r\n\r\n"), 5000, "the request to arrive");
    client.reset();
    await eventually(() => silent.connections[0]?.isClosed, 5000, "the endpoint's connection to close");
  } finally {
    await other.stop();
    await silent.stop();
  }
});
