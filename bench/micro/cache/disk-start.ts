/**
 * Disk start: how long Weir takes to find a million responses on the disk again.
 *
 * shape  `bun bench/micro/cache/disk-start.ts [FOLDER] [RECORDS] [RECORD BYTES]`: fills a folder, then starts on it three
 *        times: after an orderly end, after a kill of the process that wrote last, and with nothing of it in the page cache
 *        (as root)
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openMemoryStore } from "../../../src/cache/memory/memory-store.ts";
import { DiskKeeper, openDiskTier } from "../../../src/transport/cache-disk/disk-tier.ts";
import { readTrailer, TRAILER_BYTES } from "../../../src/transport/cache-disk/segment-format.ts";
import { CacheZone } from "../../../src/zone/cache-zone.ts";
import { CONTROL_ROW } from "../../../src/zone/zone.ts";

const GIB = 1024 ** 3;
const [root = "/var/tmp", records = "1000000", recordBytes = "1024"] = process.argv.slice(2);
const options = {
  path: join(mkdtempSync(join(root, "weir-disk-start-")), "cache"),
  budgetBytes: 20 * GIB,
  descriptors: { openCount: 0, mayOpen: () => true },
  report: (line: string) => process.stdout.write(`${line}\n`),
  owner: undefined,
};
const sizes = { memoryBytes: GIB, diskBytes: options.budgetBytes, workers: 2 };

await fill();
await start("ended in order");
cutLastSegment();
await start("its last writer was killed");
if (process.getuid?.() === 0) writeFileSync("/proc/sys/vm/drop_caches", "3");
await start("not in the page cache");
rmSync(join(options.path, ".."), { recursive: true });

async function fill(): Promise<void> {
  const keeper = opened();
  const zone = CacheZone.create(sizes, { board: keeper.board });
  const store = openMemoryStore(zone, { row: CONTROL_ROW, cold: keeper.tier.records });
  await keeper.restore(store.coldIndex(), store.board);
  const tier = openDiskTier(options);
  await tier.records.flush();
  const startedMs = performance.now();
  for (let number = 0; number < Number(records); number++) {
    const hash = { high: randomBytes(4).readInt32LE(), low: randomBytes(4).readInt32LE() };
    const record = Buffer.alloc(Number(recordBytes), number);
    const what = { hash, keepUntilS: 2_000_000_000, file: undefined };
    while (tier.records.append(record, what) === undefined) await tier.records.flush();
  }
  await tier.close();
  const seconds = (performance.now() - startedMs) / 1000;
  const rate = (Number(records) * Number(recordBytes)) / seconds / 1e6;
  process.stdout.write(`${records} records of ${recordBytes} bytes written at ${rate.toFixed(0)} MB/s\n`);
  await keeper.close();
  zone.remove();
}

function opened(): DiskKeeper {
  const found = DiskKeeper.open(options);
  if ("problem" in found) throw new Error(found.problem);
  return found.keeper;
}

async function start(how: string): Promise<void> {
  const startedMs = performance.now();
  const keeper = opened();
  const zone = CacheZone.create(sizes, { board: keeper.board });
  const zoneMs = performance.now() - startedMs;
  const store = openMemoryStore(zone, { row: CONTROL_ROW, cold: keeper.tier.records });
  const restored = await keeper.restore(store.coldIndex(), store.board);
  const ms = performance.now() - startedMs;
  process.stdout.write(
    `${how}: ${restored.records} records in ${restored.segments} segments, ${ms.toFixed(0)} ms ` +
      `(folder and zone ${zoneMs.toFixed(0)} ms, restore ${restored.ms.toFixed(0)} ms)\n`,
  );
  await keeper.swept;
  await keeper.close();
  zone.remove();
}

/** As it looks when its process was killed: without a list. */
function cutLastSegment(): void {
  const folder = join(options.path, "log");
  const name = readdirSync(folder).sort().at(-1) ?? "";
  const bytes = readFileSync(join(folder, name));
  const trailer = readTrailer(bytes.subarray(-TRAILER_BYTES), Number.parseInt(name, 16), bytes.length);
  if (trailer !== undefined) truncateSync(join(folder, name), trailer.end);
}
