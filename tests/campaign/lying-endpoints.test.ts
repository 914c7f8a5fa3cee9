/**
 * Lying endpoints: whatever one of two endpoints does, every client gets a whole answer or knows that it did not,
 * in time, and nothing is left behind.
 */
import { afterAll, afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Status } from "../../src/admin/status.ts";
import { libc } from "../../src/transport/libc.ts";
import { openListenSocket } from "../../src/transport/listen-sockets.ts";
import { eventually } from "../support/eventually.ts";
import { Origin, type OriginConnection, perRequest, response } from "../support/origin.ts";
import { freePort } from "../support/ports.ts";
import { RawClient } from "../support/raw-client.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { usedMs } from "./kernel.ts";

const folder = mkdtempSync(join(tmpdir(), "weir-endpoints-"));
const REQUESTS = 60;
const LANES = 12;
const GOOD = "from the good one";

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function originWith(script: Parameters<typeof Origin.start>[0], unix?: string): Promise<Origin> {
  const origin = await Origin.start(script, unix === undefined ? {} : { unix });
  stops.push(() => origin.stop());
  return origin;
}

const good = perRequest(() => response(GOOD));
const ONE_MIB = "x".repeat(1 << 20);

/** A port whose queue is full: a connection to it is never made, never refused. */
async function blackhole(): Promise<string> {
  const opened = openListenSocket({ kind: "tcp", host: "127.0.0.1", port: 0 }, false);
  if (opened.kind !== "socket") throw new Error(opened.text);
  libc().listen(opened.descriptor, 0);
  const filler = await RawClient.connect(opened.port);
  stops.push(async () => {
    filler.close();
    libc().close(opened.descriptor);
  });
  return `127.0.0.1:${opened.port}`;
}

type Outcome = "whole" | "cut" | 502 | 504;

interface Row {
  readonly what: string;
  readonly endpoint: () => Promise<string>;
  /** What the clients see who meet the bad one; all others see "whole". */
  readonly outcomes: readonly Outcome[];
  /** Whether any client meets it is left to chance. */
  readonly isRace?: boolean;
}

const scripted = (script: Parameters<typeof Origin.start>[0]) => async () =>
  (await originWith(script)).address;
const onRequest = (act: (connection: OriginConnection) => void) =>
  scripted(
    perRequest((_request, connection) => {
      act(connection);
      return undefined;
    }),
  );

const ROWS: readonly Row[] = [
  { what: "refuses", endpoint: async () => `127.0.0.1:${await freePort()}`, outcomes: [] },
  { what: "is a unix socket that is not there", endpoint: async () => `unix:${folder}/none`, outcomes: [] },
  { what: "never answers a SYN", endpoint: blackhole, outcomes: [] },
  {
    what: "resets every connection at once",
    endpoint: scripted({ open: (connection) => connection.reset() }),
    outcomes: [502],
    isRace: true, // a reset that is faster than our look at the new connection is a refusal, and goes elsewhere
  },
  { what: "resets after the request", endpoint: onRequest((one) => one.reset()), outcomes: [502] },
  { what: "closes after the request", endpoint: onRequest((one) => one.end()), outcomes: [502] },
  {
    what: "resets in the middle of its head",
    endpoint: onRequest((one) => {
      one.write("HTTP/1.1 200 OK\r\nContent-Le");
      setTimeout(() => one.reset(), 5);
    }),
    outcomes: [502],
  },
  {
    what: "closes in the middle of a body with a length",
    endpoint: onRequest((one) => {
      one.write(`HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n${"y".repeat(500)}`);
      setTimeout(() => one.end(), 5);
    }),
    outcomes: ["cut"],
  },
  {
    what: "resets in the middle of a chunk",
    endpoint: onRequest((one) => {
      one.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n${"y".repeat(500)}`);
      setTimeout(() => one.reset(), 5);
    }),
    outcomes: ["cut"],
  },
  { what: "takes the request and freezes", endpoint: onRequest(() => undefined), outcomes: [504] },
  {
    what: "freezes in the middle of a large body",
    endpoint: onRequest((one) =>
      one.write(`HTTP/1.1 200 OK\r\nContent-Length: ${ONE_MIB.length + 1}\r\n\r\n${ONE_MIB}`),
    ),
    outcomes: ["cut"],
  },
  {
    what: "sends a second response that nobody asked for",
    endpoint: onRequest((one) => one.write(response(GOOD) + response("poison"))),
    outcomes: [],
  },
  {
    what: "says nonsense",
    endpoint: onRequest((one) => one.write("220 smtp.example ESMTP\r\n\r\n")),
    outcomes: [502],
  },
  {
    what: "is a unix socket that works",
    endpoint: async () => (await originWith(good, join(folder, "good.sock"))).address,
    outcomes: [],
  },
];

/** A connection a request: what a client sees, to the last byte. */
async function ask(port: number): Promise<Outcome> {
  const client = await RawClient.connect(port);
  try {
    await client.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
    await eventually(() => client.isEnded || client.isClosed, 8000, "the connection to end");
    const { text } = client;
    if (text.startsWith("HTTP/1.1 502 ")) return 502;
    if (text.startsWith("HTTP/1.1 504 ")) return 504;
    if (!text.startsWith("HTTP/1.1 200 ")) throw new Error(`neither an answer nor an error: ${text}`);
    if (text.endsWith(`\r\n\r\n${GOOD}`)) return "whole";
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? Number.NaN);
    const bodyBytes = text.length - text.indexOf("\r\n\r\n") - 4;
    const isCut = Number.isNaN(length) ? !text.endsWith("0\r\n\r\n") : bodyBytes < length;
    if (!isCut) throw new Error(`shown as complete: ${text.slice(0, 300)}`);
    return "cut";
  } finally {
    client.close();
  }
}

async function askMany(port: number): Promise<Map<Outcome, number>> {
  const seen = new Map<Outcome, number>();
  let left = REQUESTS;
  const lane = async () => {
    while (left-- > 0) {
      const outcome = await ask(port);
      seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return seen;
}

function isQuiet({ listeners, routes, upstreams }: Status): boolean {
  const endpoints = upstreams.flatMap((upstream) => upstream.endpoints);
  return (
    listeners.every((listener) => listener.connectionsActive === 0) &&
    routes.every((route) => route.active === 0) &&
    endpoints.every((one) => one.active === 0 && one.connectionsOpen === one.connectionsPooled)
  );
}

async function start(endpoints: readonly string[]): Promise<Weir> {
  const weir = await startWeir(`
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { to: app, timeouts: { connect: 200ms, response: 400ms, idle: 400ms } } ]
upstreams: { app: [ ${endpoints.map((address) => `"${address}"`).join(", ")} ] }
`);
  stops.push(() => weir.stop());
  return weir;
}

const QUIET_MS = 400;
/** Of that time: a worker with nothing to do beats and reads its clock. */
const IDLE_CPU_MS = 150;

for (const { what, endpoint, outcomes, isRace } of ROWS) {
  test(`one endpoint ${what}: ${outcomes.join(", ") || "nobody notices"}`, async () => {
    const weir = await start([await endpoint(), (await originWith(good)).address]);
    const worker = (await weir.status()).workers[0]?.pid ?? 0;
    const seen = await askMany(weir.port());
    const bad = [...seen.keys()].filter((outcome) => outcome !== "whole");
    if (isRace !== true || bad.length > 0) expect(bad).toEqual([...outcomes] as Exclude<Outcome, "whole">[]);
    expect(seen.get("whole") ?? 0).toBeGreaterThanOrEqual(REQUESTS / 2);
    await eventually(async () => isQuiet(await weir.status()), 5000, "gauges to come back to 0");
    const usedBefore = usedMs(worker);
    await Bun.sleep(QUIET_MS);
    expect(usedMs(worker) - usedBefore).toBeLessThan(IDLE_CPU_MS);
    expect((await weir.status()).workers[0]).toMatchObject({ pid: worker, restarts: 0 });
  });
}

test("all endpoints dead: 502 at once; the first that comes back is used at once", async () => {
  const port = await freePort();
  const weir = await start([`127.0.0.1:${port}`, `unix:${folder}/none`]);
  expect(await ask(weir.port())).toBe(502);
  const origin = await Origin.start(good, { port });
  stops.push(() => origin.stop());
  expect(await ask(weir.port())).toBe("whole");
});
