/** Bodies on their way: trailers, 1xx, early answers, any cut. RFC 9112 §6, §7; RFC 9110 §10.1.1, §15.2. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { eventually } from "../support/eventually.ts";
import { Origin, type OriginConnection, perRequest, response } from "../support/origin.ts";
import { RawClient } from "../support/raw-client.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { ask, get } from "./ask.ts";
import { isWhole, strictRequests } from "./strict-requests.ts";

const HOST = "Host: a.test\r\n";
const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";

let weir: Weir;
const open: { stop(): Promise<unknown> }[] = [];
/** What the endpoint does with the next bytes of a connection. */
let script: (connection: OriginConnection) => void = () => undefined;
let origin: Origin;

beforeAll(async () => {
  origin = await Origin.start((connection) => script(connection));
  open.push(origin);
  weir = await startWeir(`
listeners: { web: { bind: "127.0.0.1:0" } }
routes:
  - { to: app }
  - { match: { path: /ping }, respond: { status: 200, body: "pong\\n" } }
upstreams: { app: { endpoints: [ "${origin.address}" ], pool: { idle: 0 } } }
`);
  open.push(weir);
});

afterAll(async () => {
  for (const thing of open.reverse()) await thing.stop();
});

async function connected(use: (client: RawClient) => Promise<void>): Promise<void> {
  const client = await RawClient.connect(weir.port());
  try {
    await use(client);
  } finally {
    client.close();
  }
}

const last = () => origin.connections.at(-1) as OriginConnection;
const echo = perRequest((request) => response(request.body));

test("a chunked request goes on chunked, with its trailers (RFC 9112 §7.1.2)", async () => {
  script = echo;
  const body = "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX-Sum: 7\r\nX-Sum: 8\r\nHost: b\r\n\r\n";
  const answer = await ask(
    weir.port(),
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${body}`,
  );
  expect(answer.body).toBe("hello world");
  const [seen] = strictRequests(last().received).requests;
  expect([seen?.body, seen?.trailers]).toEqual(["hello world", ["X-Sum: 7", "X-Sum: 8"]]);
});

test("a chunked response goes on chunked, with its trailers", async () => {
  script = (connection) => {
    connection.write(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n",
    );
  };
  const answer = await ask(weir.port(), get("/"));
  expect([answer.body, answer.trailers]).toEqual(["abc", [["x-sum", "7"]]]);
});

test("trailers that come later than the body still arrive", async () => {
  script = (connection) => {
    connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  };
  await connected(async (client) => {
    await client.send(get("/"));
    await client.until("abc");
    last().write("0\r\nX-S");
    last().write("um: 7\r\n\r\n");
    expect((await client.response()).trailers).toEqual([["x-sum", "7"]]);
  });
});

test("a response cut anywhere arrives the same", async () => {
  const bodies = [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n2\r\nhe\r\n3;x\r\nllo\r\n0\r\nX-Sum: 7\r\n\r\n",
    `${CONTINUE}HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello`,
  ];
  for (const bytes of bodies) {
    script = (connection) => {
      const cut = Number(/ \/(\d+) /.exec(connection.received)?.[1]);
      connection.write(bytes.slice(0, cut));
      setTimeout(() => connection.write(bytes.slice(cut)), 5);
    };
    const cuts = Array.from({ length: bytes.length - 1 }, (_, at) => at + 1);
    const answers = await Promise.all(cuts.map((cut) => ask(weir.port(), get(`/${cut}`))));
    for (const answer of answers) {
      expect([answer.status, answer.body, answer.field("x-a")]).toEqual([200, "hello", "b"]);
    }
  }
});

test("a request cut anywhere arrives the same", async () => {
  script = echo;
  const bytes = `POST /a HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nX-S: 7\r\n\r\n`;
  const seen = await Promise.all(
    Array.from({ length: bytes.length - 1 }, async (_, at) => {
      const client = await RawClient.connect(weir.port());
      await client.send(bytes, [at + 1]);
      const { status, body } = await client.response();
      client.close();
      return `${status} ${body}`;
    }),
  );
  expect(new Set(seen)).toEqual(new Set(["200 hello"]));
});

test("100-continue: the endpoint is asked, its 100 passes, then the body (RFC 9110 §10.1.1)", async () => {
  script = (connection) => {
    if (isWhole(connection.received)) connection.write(response("done"));
    else if (connection.received.endsWith("\r\n\r\n")) connection.write(CONTINUE);
  };
  await connected(async (client) => {
    await client.send(`POST / HTTP/1.1\r\n${HOST}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n`);
    expect((await client.response()).status).toBe(100);
    expect(last().received).toMatch(/\r\nExpect: 100-continue\r\n/);
    await client.send(`hello${get("/ping")}`);
    expect((await client.response()).body).toBe("done");
    expect((await client.response()).body).toBe("pong\n");
  });
  expect(last().received).toEndWith("hello");
});

test("100-continue: a final answer without 100 ends the connection, for the body may follow or not", async () => {
  script = (connection) => {
    connection.write("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
  };
  await connected(async (client) => {
    await client.send(`POST / HTTP/1.1\r\n${HOST}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n`);
    const answer = await client.response();
    expect([answer.status, answer.body, answer.field("connection")]).toEqual([401, "no", "close"]);
    expect(await client.untilClose()).toBe(answer.raw);
  });
});

test("100-continue: a client that does not wait is served (RFC 9110 §10.1.1)", async () => {
  script = (connection) => {
    if (isWhole(connection.received)) connection.write(`${CONTINUE}${response("done")}`);
  };
  await connected(async (client) => {
    await client.send(`POST / HTTP/1.1\r\n${HOST}Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello`);
    const first = await client.response();
    const answer = first.status === 100 ? await client.response() : first;
    expect(answer.body).toBe("done");
  });
});

test("100-continue: without a body there is nothing to wait for", async () => {
  script = (connection) => connection.write(`${CONTINUE}${response("done")}`);
  await connected(async (client) => {
    await client.send(get("/", "Expect: 100-continue"));
    expect((await client.response()).body).toBe("done");
  });
});

test("100-continue: a fixed answer does not ask for the body", async () => {
  await connected(async (client) => {
    await client.send(`POST /ping HTTP/1.1\r\n${HOST}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n`);
    const answer = await client.response();
    expect([answer.status, answer.body, answer.field("connection")]).toEqual([200, "pong\n", "close"]);
  });
});

test("an HTTP/1.0 client gets no 1xx, and its Expect goes no further (RFC 9110 §15.2)", async () => {
  script = (connection) => {
    if (isWhole(connection.received)) {
      connection.write(`${CONTINUE}HTTP/1.1 103 Early Hints\r\n\r\n${response("done")}`);
    }
  };
  await connected(async (client) => {
    await client.send(`POST / HTTP/1.0\r\n${HOST}Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello`);
    expect((await client.response()).body).toBe("done");
  });
  expect(last().received).not.toMatch(/expect/i);
});

test("103 passes at once, before the response is there (RFC 8297 §2)", async () => {
  script = (connection) => connection.write("HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n");
  await connected(async (client) => {
    await client.send(get("/"));
    const hints = await client.response();
    expect([hints.status, hints.field("link")]).toEqual([103, "</a>; rel=preload"]);
    last().write(response("done"));
    expect((await client.response()).body).toBe("done");
  });
});

test("an answer that comes before the upload is complete reaches the client, then FIN (RFC 9112 §9.5)", async () => {
  script = (connection) => {
    if (connection.received.includes("hel"))
      connection.write(response("enough", [], "413 Content Too Large"));
  };
  for (const framing of ["Content-Length: 1000", "Transfer-Encoding: chunked"]) {
    await connected(async (client) => {
      await client.send(`POST / HTTP/1.1\r\n${HOST}${framing}\r\n\r\n3\r\nhel\r\n`);
      const answer = await client.response();
      expect([answer.status, answer.body, answer.field("connection")]).toEqual([413, "enough", "close"]);
      await client.send("3\r\nlo!\r\n");
      expect(await client.untilClose()).toBe(answer.raw);
      expect(client.errorCode).toBeUndefined();
    });
    await eventually(
      () => last().isClosed || last().isEnded,
      5000,
      "the endpoint's connection to be given up",
    );
  }
});

test("a long early answer to an unfinished upload arrives whole", async () => {
  const body = "a".repeat(3_000_000);
  script = (connection) => {
    if (!connection.received.includes("hel")) return;
    connection.write(response(body));
    script = () => undefined;
  };
  await connected(async (client) => {
    await client.send(`POST / HTTP/1.1\r\n${HOST}Content-Length: 1000\r\n\r\nhel`);
    const answer = await client.response("GET", 10_000);
    expect(answer.body.length).toBe(body.length);
  });
});

test("a broken chunk in the middle of an upload cuts it off at the endpoint", async () => {
  script = () => undefined;
  await connected(async (client) => {
    await client.send(`POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n`);
    await eventually(() => last().received.endsWith("hel\r\n"), 5000, "the first chunk to arrive");
    await client.send("zz\r\n");
    const answer = await client.response();
    expect([answer.status, answer.field("connection")]).toEqual([400, "close"]);
    await eventually(() => last().isClosed, 5000, "the endpoint's connection to close");
    expect(last().received).not.toContain("\r\n0\r\n");
  });
});

test("a client that closes in the middle of its upload leaves no whole request at the endpoint", async () => {
  script = () => undefined;
  for (const framing of [
    "Content-Length: 1000\r\n\r\nhel",
    "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n",
  ]) {
    await connected(async (client) => {
      await client.send(`POST / HTTP/1.1\r\n${HOST}${framing}`);
      await eventually(() => last().received.includes("hel"), 5000, "the beginning to arrive");
      client.end();
      await eventually(() => last().isClosed, 5000, "the endpoint's connection to close");
    });
    expect(strictRequests(last().received).requests).toEqual([]);
  }
});

test("a quarter of a megabyte each way in odd pieces is the same", async () => {
  script = echo;
  const body = Array.from({ length: 70_000 }, (_, at) => at.toString(36))
    .join("")
    .slice(0, 250_000);
  const chunks = body.match(/.{1,777}/g) ?? [];
  const chunked = `${chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join("")}0\r\n\r\n`;
  const bytes = `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${chunked}`;
  await connected(async (client) => {
    await client.send(bytes, [1000, 1001, 50_000, 99_999, 180_000]);
    expect((await client.response("GET", 10_000)).body === body).toBe(true);
  });
  const sized = await ask(
    weir.port(),
    `POST / HTTP/1.1\r\n${HOST}Content-Length: ${body.length}\r\n\r\n${body}`,
  );
  expect(sized.body === body).toBe(true);
});
