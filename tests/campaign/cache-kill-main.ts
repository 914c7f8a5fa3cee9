/**
 * Cache kill, the processes: `control FOLDER BYTES MEMORY NUMBERS` restores the cache, checks all of it, starts two workers and purges;
 * `worker FOLDER BYTES ZONE ROW NUMBERS` stores and reads for as long as it lives.
 *
 * out    lines of JSON on stdout, which the campaign reads
 */
import { openMemoryStore } from "../../src/cache/memory/memory-store.ts";
import { DiskKeeper, openDiskTier } from "../../src/transport/cache-disk/disk-tier.ts";
import { CacheZone } from "../../src/zone/cache-zone.ts";
import { CONTROL_ROW } from "../../src/zone/zone.ts";
import { bornOf, putPatterned, readPatterned, tagOf } from "../support/patterned-responses.ts";

const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);
const descriptors = { openCount: 0, mayOpen: () => true };
const report = (line: string) => say({ kind: "report", line });
const [role, path = "", bytes = "", ...rest] = process.argv.slice(2);
const disk = { path, budgetBytes: Number(bytes), descriptors, report };

if (role === "control") await control(Number(rest[0]), Number(rest[1]));
else await worker(rest[0] ?? "", Number(rest[1]), Number(rest[2]));

async function control(memoryBytes: number, numbers: number): Promise<void> {
  const opened = DiskKeeper.open({ ...disk, owner: undefined });
  if ("problem" in opened) throw new Error(opened.problem);
  const { keeper } = opened;
  const zone = CacheZone.create(
    { memoryBytes, diskBytes: Number(bytes), workers: 2 },
    { board: keeper.board },
  );
  const { files, records } = keeper.tier;
  const store = openMemoryStore(zone, { row: CONTROL_ROW, files, cold: records });
  const restored = await keeper.restore(store.coldIndex(), store.board);
  say({ kind: "restored", ...restored });
  for (let number = 0; number < numbers; number++) {
    const body = await readPatterned(store, number);
    if (body === undefined) continue;
    const born = bornOf(number, body);
    say(born === undefined ? { kind: "wrong", number } : { kind: "found", number, ...born });
  }
  const workers = [0, 1].map((row) =>
    Bun.spawn(
      [process.execPath, import.meta.path, "worker", path, bytes, zone.path, `${row}`, `${numbers}`],
      {
        stdio: ["ignore", "inherit", "inherit"],
      },
    ),
  );
  say({ kind: "ready", pids: workers.map(({ pid }) => pid) });
  setInterval(() => keeper.look(), 50);
  for (;;) {
    const number = Math.floor(Math.random() * 16);
    const startedMs = Date.now();
    const problem = await keeper.purge({ kind: "tag", tag: tagOf(number) }, false);
    if (problem === undefined) say({ kind: "purged", tag: tagOf(number), startedMs });
    await Bun.sleep(20);
  }
}

async function worker(zonePath: string, row: number, numbers: number): Promise<void> {
  const zone = CacheZone.open(zonePath);
  const tier = openDiskTier(disk);
  const store = openMemoryStore(zone, { row, files: tier.files, cold: tier.records });
  const wrong = (number: number) => say({ kind: "wrong", number });
  for (let turn = 0; ; turn++) {
    const number = Math.floor(Math.random() * numbers);
    await putPatterned(store, number, turn);
    const other = Math.floor(Math.random() * numbers);
    const body = await readPatterned(store, other);
    if (body !== undefined && bornOf(other, body) === undefined) wrong(other);
    if (turn % 20 === 0) await Bun.sleep(1);
  }
}
