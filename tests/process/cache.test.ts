/**
 * The cache of the real program: one for all workers, kept over all that happens to a running Weir.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CacheShown } from "../../src/admin/cache-status.ts";
import { eventually } from "../support/eventually.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { allGone, childrenOf } from "./processes.ts";

const SMALL = "/small";
/** Too large for a record: a file of its own. */
const LARGE = "/large";
const LARGE_BYTES = 300_000;
/** Enough that two workers answer some of them. */
const ROUNDS = 24;

let weir: Weir | undefined;
let folder: string | undefined;
const origins: Bun.Server<undefined>[] = [];
afterEach(async () => {
  await weir?.stop();
  weir = undefined;
  for (const origin of origins.splice(0)) await origin.stop(true);
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  folder = undefined;
});

/** Answers count its requests: a second copy of a response is seen by its number. */
function startOrigin() {
  const seen = { count: 0 };
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request) => {
      seen.count++;
      const { pathname } = new URL(request.url);
      const text = `${pathname} ${seen.count} ${"x".repeat(pathname === LARGE ? LARGE_BYTES : 10)}`;
      return new Response(text, {
        headers: { "Cache-Control": "max-age=600", "Cache-Tag": `all-of-it, tag${pathname}` },
      });
    },
  });
  origins.push(server);
  return { seen, port: server.port as number };
}

const yaml = (origin: number, cache: string, more = "") => `
server: { workers: 2, drainTimeout: 5s }
cache: ${cache}
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { name: site, to: app, cache: { key: { query: { except: [utm] } } } } ]
upstreams: { app: [ "127.0.0.1:${origin}" ] }
${more}`;

/** The same host whatever the port, so that a start anew finds what the one before has stored. */
const HOST = "site.test";

async function textOf(started: Weir, path: string): Promise<string> {
  const url = `http://127.0.0.1:${started.port()}${path}`;
  const answer = await fetch(url, { keepalive: false, headers: { Host: HOST } });
  expect(answer.status).toBe(200);
  return await answer.text();
}

/** As `textOf`, and waits until it is stored: a client has its answer a moment before. */
async function storedText(started: Weir, path: string): Promise<string> {
  const text = await textOf(started, path);
  const url = new URL(`/api/v1/cache/show?url=${encodeURIComponent(`http://${HOST}${path}`)}`, started.admin);
  const isStored = async () =>
    ((await (await fetch(url)).json()) as CacheShown).objects[0]?.state === "fresh";
  await eventually(isStored, 5000, `${path} to be stored`);
  return text;
}

async function storedTexts(started: Weir): Promise<string[]> {
  return [await storedText(started, SMALL), await storedText(started, LARGE)];
}

/** Each on its own connection. out  the different answers */
async function answersTo(started: Weir, path: string): Promise<Set<string>> {
  const answers = await Promise.all(Array.from({ length: ROUNDS }, () => textOf(started, path)));
  return new Set(answers);
}

async function purge(started: Weir, wish: object) {
  const url = new URL("/api/v1/cache/purge", started.admin);
  const answer = await fetch(url, { method: "POST", body: JSON.stringify(wish) });
  return { status: answer.status, json: (await answer.json()) as { readonly purged?: readonly string[] } };
}

/** Names that belong to the cache of a process. */
const cachesOf = (pid: number) =>
  readdirSync("/dev/shm").filter((name) => name.startsWith(`weir-cache-${pid}-`));

async function upgraded(started: Weir): Promise<number> {
  const first = started.pid;
  started.signal("SIGUSR2");
  await eventually(async () => (await started.status()).pid !== first, 20_000, "the next generation");
  expect(await started.exited).toBe(0);
  return (await started.status()).pid;
}

async function endOf(pid: number): Promise<void> {
  const pids = [pid, ...childrenOf(pid)];
  process.kill(pid, "SIGTERM");
  await allGone(pids);
}

describe("one cache for all workers", () => {
  test("what one worker has stored is a hit for all, and is told", async () => {
    const { seen, port } = startOrigin();
    const started = await startWeir(yaml(port, "{ memory: 32MiB }"));
    weir = started;
    for (const path of [SMALL, LARGE]) {
      const first = await storedText(started, path);
      expect(await answersTo(started, path)).toEqual(new Set([first]));
    }
    expect(seen.count).toBe(2);
    const { cache, routes } = await started.status();
    expect(cache?.tiers).toMatchObject([{ tier: "memory", objects: 2, evicted: 0 }]);
    expect(cache?.tiers[0]?.usedBytes).toBeGreaterThan(LARGE_BYTES);
    const site = routes.find(({ name }) => name === "site")?.cache;
    expect(site).toMatchObject({ hit: 2 * ROUNDS, miss: 2, stored: 2, bypass: 0 });
    expect(site?.bytesFromCache).toBeGreaterThan(ROUNDS * LARGE_BYTES);
    const metrics = await started.metrics();
    expect(metrics).toContain(`weir_cache_requests_total{route="site",result="hit"} ${2 * ROUNDS}`);
    expect(metrics).toContain('weir_cache_objects{tier="memory"} 2');
  });

  test("a purge is in force in all workers when it is answered, whatever it names", async () => {
    const { port } = startOrigin();
    const started = await startWeir(yaml(port, "{ memory: 32MiB, purge: { from: [127.0.0.1] } }"));
    weir = started;
    const wishes: (readonly [path: string, wish: object])[] = [
      [SMALL, { url: `http://${HOST}${SMALL}` }],
      [SMALL, { tag: "tag/small" }],
      [LARGE, { tag: ["none", "all-of-it"] }],
      [SMALL, { host: HOST }],
      [SMALL, { prefix: `${HOST}/sm` }],
      ["/q?a=1", { url: `${HOST}/q?utm=5&a=1` }],
      [LARGE, { all: true }],
    ];
    for (const [path, wish] of wishes) {
      const before = await storedText(started, path);
      expect(await answersTo(started, path)).toEqual(new Set([before]));
      expect((await purge(started, wish)).status).toBe(200);
      const after = await answersTo(started, path);
      expect(after.has(before)).toBe(false);
    }
    const before = await storedText(started, SMALL);
    const answer = await fetch(`http://127.0.0.1:${started.port()}${SMALL}`, {
      method: "PURGE",
      headers: { Host: HOST },
    });
    expect([answer.status, await answer.text()]).toEqual([200, "purged\n"]);
    expect((await answersTo(started, SMALL)).has(before)).toBe(false);
    const events = await (await fetch(new URL("/api/v1/events", started.admin))).json();
    expect(events.purges.map(({ kind }: { kind: string }) => kind)).toEqual([
      ...["url", "tag", "tag", "host", "prefix", "url", "all"],
      "url",
    ]);
  });
});

describe("in memory it is kept over", () => {
  test("a reload; other sizes begin an empty one, and the old one's names go", async () => {
    const { seen, port } = startOrigin();
    const started = await startWeir(yaml(port, "{ memory: 32MiB }"));
    weir = started;
    const before = await storedTexts(started);
    expect(await started.reload(yaml(port, "{ memory: 32MiB, purge: { from: [10.0.0.1] } }"))).toBe(true);
    expect([await textOf(started, SMALL), await textOf(started, LARGE)]).toEqual(before);
    expect(cachesOf(started.pid)).toHaveLength(1);
    expect(await started.reload(yaml(port, "{ memory: 64MiB }"))).toBe(true);
    expect(cachesOf(started.pid)).toHaveLength(1);
    expect(await textOf(started, SMALL)).not.toBe(before[0] as string);
    expect(seen.count).toBe(3);
    expect((await started.status()).cache?.tiers[0]?.objects).toBe(1);
  });

  test("the death of a worker", async () => {
    const { seen, port } = startOrigin();
    const started = await startWeir(yaml(port, "{ memory: 32MiB }"));
    weir = started;
    const before = await storedTexts(started);
    const killed = (await started.status()).workers.map(({ pid }) => pid);
    for (const pid of killed) {
      process.kill(pid, "SIGKILL");
      const isReplaced = async () => {
        const { workers } = await started.status();
        return (
          workers.length === 2 && workers.every((worker) => worker.pid !== pid && worker.state === "running")
        );
      };
      await eventually(isReplaced, 10_000, "the worker to be replaced");
    }
    expect([await textOf(started, SMALL), await textOf(started, LARGE)]).toEqual(before);
    expect(seen.count).toBe(2);
    // rows and locks of the dead are free again: what is new can be stored
    const fresh = await storedText(started, "/fresh");
    expect(await answersTo(started, "/fresh")).toEqual(new Set([fresh]));
  });

  test("an upgrade, purges counted; at the end nothing is left", async () => {
    const { seen, port } = startOrigin();
    const started = await startWeir(yaml(port, "{ memory: 32MiB }"));
    weir = started;
    const before = await storedTexts(started);
    await purge(started, { tag: "nothing" });
    const first = started.pid;
    const next = await upgraded(started);
    expect([await textOf(started, SMALL), await textOf(started, LARGE)]).toEqual(before);
    expect(seen.count).toBe(2);
    expect((await started.status()).cache).toMatchObject({ purges: 1, tiers: [{ objects: 2 }] });
    await endOf(next);
    expect([...cachesOf(first), ...cachesOf(next)]).toEqual([]);
  });
});

test("server.user: workers without root store, purge and share as others do, over an upgrade too", async () => {
  if (process.getuid?.() !== 0) return;
  const { seen, port } = startOrigin();
  const asRoot = yaml(port, "{ memory: 32MiB }");
  const started = await startWeir(asRoot.replace("server: {", "server: { user: nobody,"));
  weir = started;
  const before = await storedTexts(started);
  for (const path of [SMALL, LARGE]) expect((await answersTo(started, path)).size).toBe(1);
  const next = await upgraded(started);
  expect([await textOf(started, SMALL), await textOf(started, LARGE)]).toEqual(before);
  expect(seen.count).toBe(2);
  expect((await purge(started, { all: true })).status).toBe(200);
  expect(await storedTexts(started)).not.toEqual(before);
  expect(seen.count).toBe(4);
  const folders = () => readdirSync("/dev/shm").filter((name) => name.startsWith("weir-bodies-"));
  const own = folders().filter((name) => readFileSync(`/dev/shm/${name}/owner`, "latin1") === `${next}`);
  await endOf(next);
  expect([own.length, folders().filter((name) => own.includes(name)).length]).toEqual([1, 0]);
});

test("when control is killed, its workers leave nothing of the cache behind", async () => {
  const { port } = startOrigin();
  const started = await startWeir(yaml(port, "{ memory: 32MiB }"));
  weir = started;
  await storedTexts(started);
  const folders = () => readdirSync("/dev/shm").filter((name) => name.startsWith("weir-bodies-"));
  const owned = folders().filter(
    (name) => readFileSync(`/dev/shm/${name}/owner`, "latin1") === `${started.pid}`,
  );
  expect([cachesOf(started.pid).length, owned.length]).toEqual([1, 1]);
  const workers = childrenOf(started.pid);
  process.kill(started.pid, "SIGKILL");
  await allGone([started.pid, ...workers]);
  expect(cachesOf(started.pid)).toEqual([]);
  expect(folders()).not.toContain(owned[0] as string);
});

describe("on a disk it is kept over", () => {
  const onDisk = (memory: string) => `{ memory: ${memory}, disk: { path: ${folder}, size: 64MiB } }`;

  async function filled() {
    folder = mkdtempSync(join(tmpdir(), "weir-cache-"));
    const { seen, port } = startOrigin();
    const started = await startWeir(yaml(port, onDisk("32MiB")));
    weir = started;
    return { seen, port, started, before: await storedTexts(started) };
  }

  test("a stop and a start, and so is what was purged", async () => {
    const { seen, port, started, before } = await filled();
    const gone = await storedText(started, "/gone");
    expect((await purge(started, { tag: "tag/gone" })).status).toBe(200);
    expect(await started.stop()).toBe(0);
    const again = await startWeir(yaml(port, onDisk("32MiB")));
    weir = again;
    expect([await textOf(again, SMALL), await textOf(again, LARGE)]).toEqual(before);
    expect(seen.count).toBe(3);
    expect(await textOf(again, "/gone")).not.toBe(gone);
  });

  test("other sizes of memory", async () => {
    const { seen, port, started, before } = await filled();
    // records are written to the disk a moment after they are stored
    await eventually(
      async () => ((await started.status()).cache?.tiers[1]?.usedBytes ?? 0) > LARGE_BYTES,
      5000,
      "the disk",
    );
    expect(await started.reload(yaml(port, onDisk("48MiB")))).toBe(true);
    expect([await textOf(started, SMALL), await textOf(started, LARGE)]).toEqual(before);
    expect(seen.count).toBe(2);
    const fresh = await storedText(started, "/fresh");
    expect(await answersTo(started, "/fresh")).toEqual(new Set([fresh]));
    expect((await purge(started, { all: true })).status).toBe(200);
    expect(await textOf(started, SMALL)).not.toBe(before[0] as string);
  });

  test("an upgrade", async () => {
    const { seen, started, before } = await filled();
    const next = await upgraded(started);
    expect([await textOf(started, SMALL), await textOf(started, LARGE)]).toEqual(before);
    expect(seen.count).toBe(2);
    expect((await purge(started, { all: true })).status).toBe(200);
    expect(await textOf(started, LARGE)).not.toBe(before[1] as string);
    await endOf(next);
  });

  test("a second Weir on the same folder is refused, with the reason", async () => {
    const { port } = await filled();
    const failure = await startWeir(yaml(port, onDisk("32MiB"))).catch((error: unknown) => String(error));
    expect(failure).toContain(`cache.disk.path ${folder} is used by another Weir`);
  });
});
