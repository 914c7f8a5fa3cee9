/**
 * A purge of very many responses while all of them are asked for: none of them is given once it is answered.
 */
import { afterEach, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { openMemoryStore } from "../../src/cache/memory/memory-store.ts";
import { EXPLICIT } from "../../src/cache/stored.ts";
import { CacheZone } from "../../src/zone/cache-zone.ts";
import { startWeir, type Weir } from "../support/weir.ts";

const OBJECTS = 100_000;
const TAG = "season-42";
const OLD = "old";
const LANES = 8;
/** Far above what it takes, for machines that are busy with more than this. */
const MOST_MS = 1000;
/** Nobody else's. */
const ROW = 100;

let weir: Weir | undefined;
afterEach(async () => {
  await weir?.stop();
  weir = undefined;
});

const yaml = (origin: number) => `
server: { workers: 2 }
cache: { memory: 256MiB }
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { name: site, to: app, cache: true } ]
upstreams: { app: [ "127.0.0.1:${origin}" ] }
`;

const urlOf = (index: number) => `site.test/o/${index}`;

/** Puts them where workers find them, as a third worker would have. */
function fill(zonePath: string) {
  const store = openMemoryStore(CacheZone.open(zonePath), { row: ROW, nearBytes: 0 });
  const body = Buffer.from(OLD);
  const lines = Buffer.from(
    `Content-Type: text/plain\r\nCache-Control: max-age=600\r\nCache-Tag: ${TAG}\r\n`,
  );
  const nowMs = Date.now();
  let taken = 0;
  for (let index = 0; index < OBJECTS; index++) {
    const url = urlOf(index);
    const of = { url, host: "site.test", tags: [TAG], origin: "http://site.test", groups: [] };
    const facts = {
      status: 200,
      requestedAtMs: nowMs,
      respondedAtMs: nowMs,
      initialAgeMs: 0,
      lifetimeMs: 600_000,
      staleWhileRevalidateMs: 0,
      staleIfErrorMs: 0,
      keepMs: 600_000,
      flags: EXPLICIT,
      mark: store.board.clock,
      purgeSlots: store.board.slotsOf(of),
      firstByte: 0,
      completeLength: -1,
    };
    const key = `site\nhttp://${url}`;
    if (store.put({ key, facts, reason: "OK", lines, body, file: undefined })) taken++;
  }
  return { store, taken };
}

/** Asks for one after the other until it is told to stop; each answer is noted with when it was asked for. */
function load(port: number) {
  const seen = { old: 0, lastOldAskedAtMs: 0, fresh: 0 };
  let isStopped = false;
  const lane = async (first: number) => {
    for (let index = first; !isStopped; index = (index + 7919) % OBJECTS) {
      const askedAtMs = performance.now();
      const answer = await fetch(`http://127.0.0.1:${port}/o/${index}`, { headers: { Host: "site.test" } });
      if ((await answer.text()) !== OLD) seen.fresh++;
      else {
        seen.old++;
        seen.lastOldAskedAtMs = Math.max(seen.lastOldAskedAtMs, askedAtMs);
      }
    }
  };
  const lanes = Promise.all(Array.from({ length: LANES }, (_, number) => lane(number * 1009)));
  return {
    seen,
    stop: async () => {
      isStopped = true;
      await lanes;
    },
  };
}

test("a tag of 100,000 responses is purged while they are asked for, in all workers at once", async () => {
  const origin = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () => new Response("new", { headers: { "Cache-Control": "max-age=600" } }),
  });
  const started = await startWeir(yaml(origin.port as number));
  weir = started;
  const [zone = ""] = readdirSync("/dev/shm").filter((name) => name.startsWith(`weir-cache-${started.pid}-`));
  const { store, taken } = fill(`/dev/shm/${zone}`);
  expect(taken).toBe(OBJECTS);
  const { seen, stop } = load(started.port());
  while (seen.old < 2000) await Bun.sleep(10);
  const askedAtMs = performance.now();
  const url = new URL("/api/v1/cache/purge", started.admin);
  const answer = await fetch(url, { method: "POST", body: JSON.stringify({ tag: TAG }) });
  const answeredAtMs = performance.now();
  expect(answer.status).toBe(200);
  const oldThen = seen.old;
  while (seen.fresh < 2000) await Bun.sleep(10);
  await stop();
  await origin.stop(true);
  expect(oldThen).toBeGreaterThan(0);
  // some 10 ms as a rule: it does not grow with what is purged
  expect(answeredAtMs - askedAtMs).toBeLessThan(MOST_MS);
  // what was asked for after the purge was answered is new, on every connection of both workers
  expect(seen.lastOldAskedAtMs).toBeLessThan(answeredAtMs);
  const nowMs = Date.now();
  let found = 0;
  for (let index = 0; index < OBJECTS; index++) {
    const left = store.find(`site\nhttp://${urlOf(index)}`, nowMs);
    if (left !== undefined && !("isCold" in left) && left.body?.toString() === OLD) found++;
  }
  expect(found).toBe(0);
}, 60_000);
