/**
 * Crowd: one cache for all workers: under ten thousand clients at once, over the death of a worker, over a reload.
 */
import { afterEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { eventually } from "../support/eventually.ts";
import { type OriginConnection, response } from "../support/origin.ts";
import { RawClient } from "../support/raw-client.ts";
import { Stage } from "../support/stage.ts";
import type { Weir } from "../support/weir.ts";
import { ask, get } from "./ask.ts";
import { CountingOrigin, cachedTo, FRESH, type Script, targetOf } from "./cached.ts";

const stage = new Stage();
afterEach(() => stage.clear());

interface Place {
  readonly origin: CountingOrigin;
  readonly weir: Weir;
  readonly port: number;
}

const TWO_WORKERS = "server: { workers: 2 }\n";

async function start(script: Script): Promise<Place> {
  const origin = await CountingOrigin.start(script);
  stage.after(() => origin.stop());
  const weir = await stage.weir(cachedTo(origin.address, "enabled: true", TWO_WORKERS));
  return { origin, weir, port: weir.port() };
}

/** Descriptors that this process may open; Weir needs about as many for two workers. */
function openFilesLimit(): number {
  const line = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"));
  return Number(line?.[1] ?? 1024);
}

const CROWD = Math.min(10_000, Math.max(500, openFilesLimit() - 2000));
/** Connections made at once: the kernel keeps no longer queue. */
const BATCH = 200;

/** A client that keeps next to nothing: ten thousand of them stand in one process. */
interface LightClient {
  received: string;
  write(text: string): void;
  end(): void;
}

async function lightClient(port: number): Promise<LightClient> {
  const client: LightClient = { received: "", write: () => undefined, end: () => undefined };
  const socket = await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data: (_socket, chunk) => {
        client.received += chunk.toString("latin1");
      },
      error: () => undefined,
    },
  });
  client.write = (text) => void socket.write(text);
  client.end = () => socket.terminate();
  return client;
}

test(`${CROWD} clients that ask two workers for one cold object cost at most two requests, and read before its end`, async () => {
  const held: OriginConnection[] = [];
  const { origin, port } = await start((_request, connection) => {
    connection.write(`HTTP/1.1 200 OK\r\n${FRESH}\r\nContent-Length: 10\r\n\r\nfirst`);
    held.push(connection);
    return undefined;
  });
  const clients: LightClient[] = [];
  while (clients.length < CROWD) {
    const size = Math.min(BATCH, CROWD - clients.length);
    clients.push(...(await Promise.all(Array.from({ length: size }, () => lightClient(port)))));
  }
  for (const client of clients) client.write(get("/one"));
  const have = (text: string) => () => clients.every(({ received }) => received.endsWith(text));
  await eventually(have("\r\n\r\nfirst"), 15_000, "the first bytes for all");
  expect(origin.count("/one")).toBeLessThanOrEqual(2);
  for (const connection of held) connection.write(" last");
  await eventually(have("\r\n\r\nfirst last"), 10_000, "the rest for all");
  expect(origin.count("/one")).toBeLessThanOrEqual(2);
  for (const client of clients) client.end();
}, 40_000);

test("what one worker has stored is a hit for all", async () => {
  const { origin, port } = await start(() => response("kept", [FRESH]));
  await ask(port, get("/kept"));
  for (let times = 0; times < 40; times++) expect((await ask(port, get("/kept"))).body).toBe("kept");
  expect(origin.count("/kept")).toBe(1);
});

const PATHS = ["/small", "/kibi", "/large"] as const;
const SIZES: Readonly<Record<string, number>> = { "/small": 20, "/kibi": 10_000, "/large": 300_000 };

const bodyFor = (target: string) => target.padEnd(SIZES[target] ?? 20, target);

/** A client that asks for all paths in turn until it is told to stop, over connections that may break. */
async function asking(port: number, isOver: () => boolean) {
  const counts = { right: 0, wrong: [] as string[], broken: 0 };
  let client: RawClient | undefined;
  for (let turn = 0; !isOver(); turn++) {
    const target = PATHS[turn % PATHS.length] ?? "/small";
    try {
      client ??= await RawClient.connect(port);
      await client.send(get(target));
      const { status, body } = await client.response();
      if (status === 200 && body === bodyFor(target)) counts.right++;
      else counts.wrong.push(`${target}: ${status}, ${body.length} bytes`);
    } catch {
      counts.broken++;
      client?.close();
      client = undefined;
    }
  }
  client?.close();
  return counts;
}

const ASKING = 8;

/** Hits by several clients while something happens. out  what they saw */
async function underHits({ port, origin }: Place, happens: (progress: () => number) => Promise<void>) {
  let isOver = false;
  // a large body is in the store when its file is: a moment after its end
  for (const path of PATHS) {
    const isHit = async () => (await ask(port, get(path))).field("cache-status")?.includes("; hit") === true;
    await eventually(isHit, 5000, `a hit of ${path}`);
  }
  const before = PATHS.map((path) => origin.count(path));
  const seen = { right: 0 };
  const clients = Array.from({ length: ASKING }, async () => {
    const counts = await asking(port, () => {
      seen.right++;
      return isOver;
    });
    return counts;
  });
  try {
    await happens(() => seen.right);
  } finally {
    isOver = true;
  }
  const all = await Promise.all(clients);
  return {
    right: all.reduce((sum, { right }) => sum + right, 0),
    broken: all.reduce((sum, { broken }) => sum + broken, 0),
    wrong: all.flatMap(({ wrong }) => wrong),
    /** What the endpoint was asked for meanwhile. */
    asked: PATHS.filter((path, index) => origin.count(path) !== before[index]),
  };
}

async function progressed(progress: () => number, by = 200): Promise<void> {
  const from = progress();
  await eventually(() => progress() > from + by, 10_000, `${by} more answers`);
}

test("kill -9 of a worker under hits: nobody reads anything wrong, and what was stored is there still", async () => {
  const place = await start((request) => response(bodyFor(targetOf(request)), [FRESH]));
  const { weir } = place;
  const pids = async () => (await weir.status()).workers.map(({ pid }) => pid);
  const seen = await underHits(place, async (progress) => {
    await progressed(progress);
    for (let times = 0; times < 3; times++) {
      const before = await pids();
      process.kill(before[times % before.length] ?? 0, "SIGKILL");
      const replaced = async () => {
        const now = await pids();
        return now.length === 2 && now.some((pid) => !before.includes(pid));
      };
      await eventually(replaced, 10_000, "a new worker");
      await progressed(progress);
    }
  });
  expect(seen.wrong).toEqual([]);
  expect(seen.right).toBeGreaterThan(500);
  expect(seen.asked).toEqual([]);
});

test("kill -9 of all workers in the middle of a fill leaves nothing half behind", async () => {
  let isWell = false;
  const { weir, port } = await start((_request, connection) => {
    if (isWell) return response("x".repeat(200_000), [FRESH]);
    connection.write(`HTTP/1.1 200 OK\r\n${FRESH}\r\nContent-Length: 200000\r\n\r\n${"x".repeat(100_000)}`);
    return undefined;
  });
  const client = await stage.client(port);
  await client.send(get("/half"));
  await client.until("x".repeat(1000));
  const before = (await weir.status()).workers.map(({ pid }) => pid);
  isWell = true;
  for (const pid of before) process.kill(pid, "SIGKILL");
  await client.untilClose();
  const answered = async () => (await ask(port, get("/half"))).body;
  const body = await eventually(answered, 10_000, "an answer of a new worker");
  expect(body).toBe("x".repeat(200_000));
  expect((await ask(port, get("/half"))).body).toBe("x".repeat(200_000));
});

test("a reload under hits breaks no answer and forgets nothing", async () => {
  const place = await start((request) => response(bodyFor(targetOf(request)), [FRESH]));
  const { origin, weir } = place;
  const edited = (value: number) =>
    cachedTo(origin.address, "enabled: true", TWO_WORKERS).replace(
      "cache: {",
      `headers: { response: { set: { X-Version: "${value}" } } }, cache: {`,
    );
  const seen = await underHits(place, async (progress) => {
    for (let value = 1; value <= 3; value++) {
      await progressed(progress, 50);
      expect(await weir.reload(edited(value))).toBe(true);
    }
    await progressed(progress);
  });
  expect(seen.wrong).toEqual([]);
  expect(seen.right).toBeGreaterThan(300);
  // connections may be closed by the reload between two requests; that is not an answer that broke
  expect(seen.broken).toBeLessThanOrEqual(4 * ASKING);
  expect(seen.asked).toEqual([]);
  expect((await ask(place.port, get("/small"))).field("x-version")).toBe("3");
});
