/**
 * Cache kill, the processes: `control FOLDER BYTES MEMORY NUMBERS` restores the cache, checks all of it, starts two workers and purges;
 * `worker FOLDER BYTES ZONE ROW NUMBERS CONTROL` stores and reads for as long as it lives.
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
else
  await worker(rest[0] ?? "", { row: Number(rest[1]), numbers: Number(rest[2]), control: Number(rest[3]) });

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
  const start = (row: number) =>
    Bun.spawn(
      [process.execPath, import.meta.path, "worker", path, bytes, zone.path, row, numbers, process.pid].map(
        String,
      ),
      {
        stdio: ["ignore", "inherit", "inherit"],
      },
    );
  const workers = [start(0), start(1)];
  const tell = () => say({ kind: "ready", pids: workers.map(({ pid }) => pid) });
  tell();
  setInterval(() => keeper.look(), 50);
  for (let turn = 1; ; turn++) {
    const number = Math.floor(Math.random() * 16);
    const startedMs = Date.now();
    const problem = await keeper.purge({ kind: "tag", tag: tagOf(number) }, false);
    if (problem === undefined) say({ kind: "purged", tag: tagOf(number), startedMs });
    await Bun.sleep(20);
    if (turn % 4 !== 0) continue;
    const row = turn % 8 === 0 ? 0 : 1;
    const killed = workers[row];
    killed?.kill("SIGKILL");
    await killed?.exited;
    zone.forgetWorker(row);
    await keeper.forgetWorker(killed?.pid ?? 0);
    workers[row] = start(row);
    say({ kind: "killed" });
    tell();
  }
}

interface WorkerPlan {
  readonly row: number;
  readonly numbers: number;
  readonly control: number;
}

async function worker(zonePath: string, { row, numbers, control }: WorkerPlan): Promise<void> {
  const zone = openZone(zonePath);
  const tier = openDiskTier(disk);
  const store = openMemoryStore(zone, { row, files: tier.files, cold: tier.records });
  const wrong = (number: number) => say({ kind: "wrong", number });
  for (let turn = 0; ; turn++) {
    const number = Math.floor(Math.random() * numbers);
    await putPatterned(store, number, turn);
    const other = Math.floor(Math.random() * numbers);
    const body = await readPatterned(store, other);
    if (body !== undefined && bornOf(other, body) === undefined) wrong(other);
    if (turn % 20 !== 0) continue;
    await Bun.sleep(1);
    if (process.ppid !== control) process.exit(0); // nobody would end it
  }
}

/** Control may have been killed before its worker came to this. */
function openZone(path: string): CacheZone {
  try {
    return CacheZone.open(path);
  } catch {
    process.exit(0);
  }
}
