/** Many processes in one cache, some of them killed at any instant: no wrong byte, nothing that stands still. */
import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import { ROW_STORED, ROW_WORDS } from "../../src/cache/memory/layout.ts";
import { openMemoryStore } from "../../src/cache/memory/memory-store.ts";
import { keptFrom, statsOf } from "../../src/cache/memory/sweep.ts";
import { keyOf, NOW, responseOf } from "../../src/cache/store.cases.ts";
import { CacheZone } from "../../src/zone/cache-zone.ts";
import { eventually } from "../support/eventually.ts";

const MIB = 1024 * 1024;
const WORKER = join(import.meta.dir, "cache-zone-worker.ts");
const KEYS = 3000;
const KILLS = Number(process.env["KILLS"] ?? 20);
const TIMEOUT_MS = 60_000;

const zones: CacheZone[] = [];
const children: Bun.Subprocess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  for (const zone of zones.splice(0)) zone.remove();
});

function start(zone: CacheZone, row: number): Bun.Subprocess {
  const child = Bun.spawn([process.execPath, WORKER, zone.path, `${row}`, `${KEYS}`], { stderr: "inherit" });
  children.push(child);
  return child;
}

const storedBy = (zone: CacheZone, row: number) => zone.rows[row * ROW_WORDS + ROW_STORED] as number;

test(
  "processes that are killed at any instant leave no wrong byte and stop nobody",
  async () => {
    const zone = CacheZone.create({ memoryBytes: 8 * MIB, diskBytes: 0, workers: 3 });
    zones.push(zone);
    const store = openMemoryStore(zone, { row: 10 });
    const steady = start(zone, 0);
    let victim = start(zone, 1);
    for (let kill = 0; kill < KILLS; kill++) {
      const before = storedBy(zone, 1);
      await eventually(() => storedBy(zone, 1) > before + 500 + ((kill * 7919) % 2000));
      victim.kill("SIGKILL");
      await victim.exited;
      expect(victim.signalCode).toBe("SIGKILL");
      zone.forgetWorker(1);
      victim = start(zone, 1);
    }
    expect(steady.exitCode).toBeNull();
    for (const child of [steady, victim]) {
      child.kill("SIGKILL");
      await child.exited;
    }
    zone.forgetWorker(0);
    zone.forgetWorker(1);
    expect(zone.locks.every((lock) => lock === 0)).toBe(true);
    const { budgetBytes, segmentBytes, evicted } = statsOf(store.parts);
    expect(segmentBytes).toBeLessThanOrEqual(budgetBytes);
    expect(evicted).toBeGreaterThan(0);
    expect(keptFrom(store.parts, 0, Number.MAX_SAFE_INTEGER).length).toBeGreaterThan(100);
    // the arena goes round once more, over everything that they left
    for (let number = 0; number < 2000; number++) {
      expect(store.put(responseOf(keyOf(`/after/${number}`), Buffer.alloc(9000, `${number}`)))).toBe(true);
      const seen = store.find(keyOf(`/after/${number}`), NOW);
      expect(
        seen !== undefined && !("isCold" in seen) && seen.body?.equals(Buffer.alloc(9000, `${number}`)),
      ).toBe(true);
    }
  },
  TIMEOUT_MS,
);

test(
  "a purge in one process is in force in the others when it returns",
  async () => {
    const zone = CacheZone.create({ memoryBytes: 8 * MIB, diskBytes: 0, workers: 1 });
    zones.push(zone);
    const store = openMemoryStore(zone, { row: 0 });
    store.put(responseOf(keyOf("/x"), "x"));
    const script = `
      import { openMemoryStore } from ${JSON.stringify(join(import.meta.dir, "../../src/cache/memory/memory-store.ts"))};
      import { CacheZone } from ${JSON.stringify(join(import.meta.dir, "../../src/zone/cache-zone.ts"))};
      const store = openMemoryStore(CacheZone.open(${JSON.stringify(zone.path)}), { row: 1 });
      const look = () => console.log(store.find(${JSON.stringify(keyOf("/x"))}, ${NOW})?.body?.toString() ?? "gone");
      look();
      for await (const line of console) look();`;
    const child = Bun.spawn([process.execPath, "-e", script], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
    children.push(child);
    const lines = child.stdout.getReader();
    const next = async () => new TextDecoder().decode((await lines.read()).value).trim();
    expect(await next()).toBe("x");
    store.board.purge({ kind: "prefix", prefix: "a.example/" }, false);
    child.stdin.write("look\n");
    child.stdin.flush();
    expect(await next()).toBe("gone");
  },
  TIMEOUT_MS,
);
