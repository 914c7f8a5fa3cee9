/**
 * Coalescing: one fetch for all who wait for the same thing, and for nobody else's.
 *
 * why    what waits together must not end together: a client that leaves, an endpoint that lies, a body that is cut or a
 *        reader that is slow is the trouble of one exchange, not of all
 */
import { afterEach, expect, test } from "bun:test";
import { eventually } from "../support/eventually.ts";
import type { OriginConnection } from "../support/origin.ts";
import { response } from "../support/origin.ts";
import { ownMemoryBytes } from "../support/proc.ts";
import type { RawClient } from "../support/raw-client.ts";
import { Stage } from "../support/stage.ts";
import type { Weir } from "../support/weir.ts";
import { ask, get } from "./ask.ts";
import { CountingOrigin, cachedTo, FRESH, type Script } from "./cached.ts";

const stage = new Stage();
afterEach(() => stage.clear());

const CLIENTS = 40;
const MIB = 1 << 20;

interface Place {
  readonly origin: CountingOrigin;
  readonly weir: Weir;
  readonly port: number;
}

async function start(script: Script, cache = "enabled: true", rest = ""): Promise<Place> {
  const origin = await CountingOrigin.start(script);
  stage.after(() => origin.stop());
  const weir = await stage.weir(cachedTo(origin.address, cache, rest));
  return { origin, weir, port: weir.port() };
}

/** So many clients that ask for the same at once. */
async function crowd(port: number, request: (index: number) => string, size = CLIENTS): Promise<RawClient[]> {
  const clients = await Promise.all(Array.from({ length: size }, () => stage.client(port)));
  await Promise.all(clients.map((client, index) => client.send(request(index))));
  return clients;
}

test("a crowd that asks for one cold object costs one request, and has its first bytes before the end", async () => {
  let held: OriginConnection | undefined;
  const { origin, port } = await start((_request, connection) => {
    connection.write(`HTTP/1.1 200 OK\r\n${FRESH}\r\nContent-Length: 10\r\n\r\nfirst`);
    held = connection;
    return undefined;
  });
  const clients = await crowd(port, () => get("/one"));
  await Promise.all(clients.map((client) => client.until("first")));
  expect(origin.count("/one")).toBe(1);
  held?.write(" last");
  const answers = await Promise.all(clients.map((client) => client.response()));
  expect(new Set(answers.map(({ body }) => body))).toEqual(new Set(["first last"]));
  expect((await ask(port, get("/one"))).body).toBe("first last");
  expect(origin.count("/one")).toBe(1);
});

test("who comes in the middle of a fill gets all of it, from its beginning", async () => {
  let held: OriginConnection | undefined;
  const { origin, port } = await start((_request, connection) => {
    connection.write(`HTTP/1.1 200 OK\r\n${FRESH}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n`);
    held = connection;
    return undefined;
  });
  const [early] = await crowd(port, () => get("/one"), 1);
  await early?.until("first");
  const late = await crowd(port, () => get("/one"), 3);
  await Promise.all(late.map((client) => client.until("first")));
  held?.write("5\r\n last\r\n0\r\n\r\n");
  for (const client of [early, ...late]) expect((await client?.response())?.body).toBe("first last");
  expect(origin.count("/one")).toBe(1);
});

const HOLD_MS = 300;

for (const [title, fields] of [
  ["private", ["Cache-Control: private, max-age=60"]],
  ["no-store", ["Cache-Control: no-store"]],
  ["Set-Cookie", [FRESH, "Set-Cookie: id=1"]],
  ["Vary: *", [FRESH, "Vary: *"]],
  ["Vary: X-User", [FRESH, "Vary: X-User"]],
  ["no word about caching", []],
] as const) {
  test(`an answer that is not for all (${title}) goes to the one that it was made for, and frees the others at once`, async () => {
    const { origin, port } = await start((request, connection) => {
      const text = response(`for ${request.field("x-user")}`, fields);
      setTimeout(() => connection.write(text), HOLD_MS);
      return undefined;
    });
    const startedAt = performance.now();
    const clients = await crowd(port, (index) => get("/own", `X-User: ${index}`));
    const answers = await Promise.all(clients.map((client) => client.response()));
    const tookMs = performance.now() - startedAt;
    expect(answers.map(({ body }) => body)).toEqual(clients.map((_, index) => `for ${index}`));
    expect(origin.count("/own")).toBe(CLIENTS);
    // one after the other would take CLIENTS times as long; two rounds are needed
    expect(tookMs).toBeLessThan((HOLD_MS * CLIENTS) / 4);
  });
}

test("requests with their own Authorization do not wait for each other's answers", async () => {
  const { port } = await start((request) => response(`for ${request.field("authorization")}`, [FRESH]));
  const clients = await crowd(port, (index) => get("/own", `Authorization: Bearer ${index}`));
  const answers = await Promise.all(clients.map((client) => client.response()));
  expect(answers.map(({ body }) => body)).toEqual(clients.map((_, index) => `for Bearer ${index}`));
});

test("a private answer to a client that has left is given to nobody who waited with it", async () => {
  let held: OriginConnection | undefined;
  const script: Script = (request, connection) => {
    const text = response(`for ${request.field("cookie")}`, ["Cache-Control: private"]);
    if (held !== undefined) return text;
    held = connection;
    return undefined;
  };
  const { origin, port } = await start(script);
  const [alice] = await crowd(port, () => get("/own", "Cookie: alice"), 1);
  await eventually(() => origin.count("/own") === 1, 5000, "the first request");
  const [bob] = await crowd(port, () => get("/own", "Cookie: bob"), 1);
  await Bun.sleep(50); // bob's request has to be waiting; if it is not, it asks for itself, and nothing is shown
  alice?.reset();
  await Bun.sleep(50);
  held?.write(response("for alice", ["Cache-Control: private"]));
  expect((await bob?.response())?.body).toBe("for bob");
});

test("a private answer to a refresh is given to nobody who asks meanwhile", async () => {
  let held: OriginConnection | undefined;
  const script: Script = (request, connection) => {
    if (origin.count("/own") === 1)
      return response("for all", ["Cache-Control: max-age=60, stale-while-revalidate=60", "Age: 61"]);
    if (held !== undefined) return response(`for ${request.field("cookie")}`, ["Cache-Control: private"]);
    held = connection;
    return undefined;
  };
  const { origin, port } = await start(script);
  await ask(port, get("/own"));
  // answered with what is stale; what refreshes it carries alice's cookie
  expect((await ask(port, get("/own", "Cookie: alice"))).body).toBe("for all");
  await eventually(() => origin.count("/own") === 2, 5000, "the refresh");
  const [bob] = await crowd(port, () => get("/own", "Cookie: bob", "Cache-Control: no-cache"), 1);
  await Bun.sleep(50);
  held?.write(response("for alice", ["Cache-Control: private"]));
  expect((await bob?.response())?.body).toBe("for bob");
});

test("a cookie for the client that was asked for is set for nobody who waited with it", async () => {
  const fields = ['Cache-Control: max-age=60, private="Set-Cookie"', "Set-Cookie: id=alice"];
  let held: OriginConnection | undefined;
  const { origin, port } = await start((_request, connection) => {
    held = connection;
    return undefined;
  });
  const [alice] = await crowd(port, () => get("/own", "Cookie: alice"), 1);
  await eventually(() => origin.count("/own") === 1, 5000, "the first request");
  const others = await crowd(port, (index) => get("/own", `Cookie: ${index}`), 5);
  await Bun.sleep(50);
  held?.write(response("for all", fields));
  expect((await alice?.response())?.field("set-cookie")).toBe("id=alice");
  for (const client of others) expect((await client.response()).field("set-cookie")).toBeUndefined();
  expect(origin.count("/own")).toBe(1);
});

test("a cookie that comes with a confirmation is set for nobody who waited with the client it is for (§4.3.4)", async () => {
  let held: OriginConnection | undefined;
  const { origin, port } = await start((_request, connection) => {
    if (origin.count("/own") === 1)
      return response("for all", ["Cache-Control: max-age=60", "Age: 61", 'ETag: "a"']);
    if (held !== undefined) return response("for all", [FRESH]);
    held = connection;
    return undefined;
  });
  await ask(port, get("/own"));
  const [alice] = await crowd(port, () => get("/own", "Cookie: alice"), 1);
  await eventually(() => origin.count("/own") === 2, 5000, "the question");
  const others = await crowd(port, (index) => get("/own", `Cookie: ${index}`), 5);
  await Bun.sleep(50);
  held?.write(`HTTP/1.1 304 Not Modified\r\n${FRESH}\r\nETag: "a"\r\nSet-Cookie: id=alice\r\n\r\n`);
  expect((await alice?.response())?.body).toBe("for all");
  for (const client of others) expect((await client.response()).field("set-cookie")).toBeUndefined();
  expect((await ask(port, get("/own"))).field("set-cookie")).toBeUndefined();
});

for (const [title, leaves] of [
  ["resets", (client: RawClient) => client.reset()],
  ["closes", (client: RawClient) => client.close()],
] as const) {
  test(`a client that asked first and ${title} in the middle takes nothing from the others`, async () => {
    let held: OriginConnection | undefined;
    const { origin, port } = await start((_request, connection) => {
      connection.write(`HTTP/1.1 200 OK\r\n${FRESH}\r\nContent-Length: 10\r\n\r\nfirst`);
      held ??= connection;
      return undefined;
    });
    const [first] = await crowd(port, () => get("/one"), 1);
    await first?.until("first");
    const others = await crowd(port, () => get("/one"), 5);
    await Promise.all(others.map((client) => client.until("first")));
    leaves(first as RawClient);
    await Bun.sleep(50); // the reset may be on its way still: the rest must come whenever it is noticed
    held?.write(" last");
    for (const client of others) expect((await client.response()).body).toBe("first last");
    expect((await ask(port, get("/one"))).body).toBe("first last");
    expect(origin.count("/one")).toBe(1);
  });
}

test("when all have left in the middle, the next one gets all of it", async () => {
  let answered = 0;
  const { port } = await start((_request, connection) => {
    answered++;
    if (answered > 1) return response("first last", [FRESH]);
    connection.write(`HTTP/1.1 200 OK\r\n${FRESH}\r\nContent-Length: 10\r\n\r\nfirst`);
    setTimeout(() => connection.write(" last"), HOLD_MS);
    return undefined;
  });
  const clients = await crowd(port, () => get("/one"), 3);
  await Promise.all(clients.map((client) => client.until("first")));
  for (const client of clients) client.reset();
  expect((await ask(port, get("/one"))).body).toBe("first last");
});

// biome-ignore format: a table is read by columns
const CUTS: readonly (readonly [title: string, head: string, body: string, isReset: boolean])[] = [
  ["short of its length",         "Content-Length: 100\r\n",       "half",                false],
  ["short of its length, by RST", "Content-Length: 100\r\n",       "half",                true],
  ["without a last chunk",        "Transfer-Encoding: chunked\r\n", "4\r\nhalf\r\n",       false],
  ["in the middle of a chunk",    "Transfer-Encoding: chunked\r\n", "ff\r\nhalf",          false],
  ["by a chunk that is none",     "Transfer-Encoding: chunked\r\n", "4\r\nhalf\r\nzz\r\n", false],
  ["by RST before an end",        "",                              "half",                true],
];

for (const [title, head, body, isReset] of CUTS) {
  test(`a body that is cut ${title} reaches nobody as whole, and is not kept (RFC 9111 §3.3)`, async () => {
    let isWell = false;
    const { port } = await start((_request, connection) => {
      if (isWell) return response("whole", [FRESH]);
      connection.write(`HTTP/1.1 200 OK\r\n${FRESH}\r\n${head}\r\n${body}`);
      // when all have what came, so that nothing is tried again for them
      setTimeout(() => (isReset ? connection.reset() : connection.end()), 150);
      return undefined;
    });
    const clients = await crowd(port, () => get("/cut"), 5);
    for (const client of clients) {
      await client.untilClose(3000); // a client that hears of no end would wait for ever
      await expect(client.response()).rejects.toThrow();
    }
    isWell = true;
    for (let times = 0; times < 2; times++) expect((await ask(port, get("/cut"))).body).toBe("whole");
  });
}

test("what an endpoint sends behind the declared length is in nobody's answer", async () => {
  const { port } = await start((_request, connection) => {
    connection.write(`${response("right", [FRESH])}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`);
    return undefined;
  });
  for (const path of ["/a", "/a", "/b", "/b"]) expect((await ask(port, get(path))).body).toBe("right");
});

test("two different lengths are refused, and nothing is kept (RFC 9112 §6.3)", async () => {
  let isWell = false;
  const { port } = await start(() =>
    isWell
      ? response("well", [FRESH])
      : `HTTP/1.1 200 OK\r\n${FRESH}\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nevil1`,
  );
  expect((await ask(port, get("/two"))).status).toBe(502);
  isWell = true;
  expect((await ask(port, get("/two"))).body).toBe("well");
});

const LARGE = Buffer.alloc(8 * MIB, "0123456789abcdef").toString("latin1");

test("slow readers of a large hit each get all of it, and cost no memory that grows with it", async () => {
  const { origin, weir, port } = await start(() => response(LARGE, [FRESH]));
  const deadlineMs = 20_000;
  const first = await stage.client(port);
  await first.send(get("/large"));
  expect((await first.response("GET", deadlineMs)).body === LARGE).toBe(true);
  const worker = (await weir.status()).workers[0]?.pid ?? 0;
  const before = ownMemoryBytes(worker);
  const clients = await Promise.all(Array.from({ length: 20 }, () => stage.client(port)));
  for (const client of clients) {
    client.pause();
    await client.send(get("/large"));
  }
  await Bun.sleep(500); // time to take too much
  expect((ownMemoryBytes(worker) - before) / MIB).toBeLessThan(80);
  for (const client of clients) {
    client.resume();
    expect((await client.response("GET", deadlineMs)).body === LARGE).toBe(true);
  }
  expect(origin.count("/large")).toBe(1);
});

test("a reader that does not read does not hold up those that do", async () => {
  const { origin, port } = await start((_request, connection) => {
    connection.write(response(LARGE, [FRESH]));
    return undefined;
  });
  const stuck = await stage.client(port);
  stuck.pause();
  await stuck.send(get("/large"));
  await eventually(() => origin.count("/large") === 1, 5000, "the fetch to begin");
  const others = await crowd(port, () => get("/large"), 3);
  for (const client of others) expect((await client.response("GET", 20_000)).body === LARGE).toBe(true);
  stuck.resume();
  expect((await stuck.response("GET", 20_000)).body === LARGE).toBe(true);
  expect(origin.count("/large")).toBe(1);
});

/** Answers without an end that anybody told, a piece every few milliseconds. */
const endless: Script = (_request, connection) => {
  connection.write(`HTTP/1.1 200 OK\r\n${FRESH}\r\nTransfer-Encoding: chunked\r\n\r\n`);
  const piece = `10000\r\n${"x".repeat(1 << 16)}\r\n`;
  const timer = setInterval(() => {
    if (connection.isClosed) clearInterval(timer);
    else if (connection.queuedBytes < MIB) connection.write(piece);
  }, 2);
  return undefined;
};

test("a body that is too large to be kept is not fetched on when nobody reads it", async () => {
  const closed: OriginConnection[] = [];
  const script: Script = (request, connection) => {
    closed.push(connection);
    return endless(request, connection);
  };
  const { port } = await start(script, "enabled: true, maxSize: 1MiB");
  const client = await stage.client(port);
  await client.send(get("/endless"));
  await client.until(() => client.length > 3 * MIB, 10_000);
  client.reset();
  await eventually(() => closed[0]?.isClosed === true, 5000, "the endpoint's connection to end");
});

for (const [title, head, end] of [
  ["of a length that was told", `Content-Length: ${5 * MIB}`, ""],
  ["in chunks", "Transfer-Encoding: chunked", "\r\n0\r\n\r\n"],
] as const) {
  test(`a body ${title} that the store has no room for reaches all who waited`, async () => {
    const body = "0123456789abcdef".repeat((5 * MIB) / 16);
    const start16 = end === "" ? "" : `${body.length.toString(16)}\r\n`;
    const script: Script = () => `HTTP/1.1 200 OK\r\n${FRESH}\r\n${head}\r\n\r\n${start16}${body}${end}`;
    const { port } = await start(script, "enabled: true", "cache: { memory: 8MiB }\n");
    const clients = await crowd(port, () => get("/big"), 5);
    for (const client of clients) expect((await client.response("GET", 10_000)).body === body).toBe(true);
  });
}

test("who asks while another one reads what is too large to be kept gets an answer from its beginning", async () => {
  const { port } = await start(endless, "enabled: true, maxSize: 1MiB");
  const [first] = await crowd(port, () => get("/endless"), 1);
  await first?.until(() => first.length > 3 * MIB, 10_000);
  const [second] = await crowd(port, () => get("/endless"), 1);
  await second?.until(() => second.length > 3 * MIB, 10_000);
  expect(second?.text.slice(0, 15)).toBe("HTTP/1.1 200 OK");
});

test("a fetch that stays silent is waited for as long as `coalesce` says, then everybody asks for the own answer", async () => {
  let asked = 0;
  let silent: OriginConnection | undefined;
  const script: Script = (_request, connection) => {
    if (++asked > 1) return response("well", [FRESH]);
    silent = connection;
    return undefined;
  };
  const { port } = await start(script, "enabled: true, coalesce: 300ms");
  const [first] = await crowd(port, () => get("/silent"), 1);
  await eventually(() => asked === 1, 5000, "the first request");
  expect((await ask(port, get("/silent"))).body).toBe("well");
  first?.close();
  silent?.end(); // else the fetch goes on, and Weir waits for it before it stops
});

test("one request with an unsafe method is not answered by a fetch for another", async () => {
  const { origin, port } = await start((request, connection) => {
    setTimeout(() => connection.write(response(request.requestLine, [FRESH])), 100);
    return undefined;
  });
  const [read, write] = await Promise.all([
    ask(port, get("/m")),
    ask(port, "POST /m HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\nx"),
  ]);
  expect(read.body).toStartWith("GET");
  expect(write.body).toStartWith("POST");
  expect(origin.count("/m")).toBe(2);
});
