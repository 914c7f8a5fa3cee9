import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type MemoryStore, openMemoryStore } from "../../src/cache/memory/memory-store.ts";
import { DiskKeeper, type KeeperOptions, openDiskTier } from "../../src/transport/cache-disk/disk-tier.ts";
import { CacheZone } from "../../src/zone/cache-zone.ts";
import { CONTROL_ROW } from "../../src/zone/zone.ts";
import { killAgainAndAgain } from "../campaign/cache-kill.ts";
import { eventually } from "../support/eventually.ts";
import {
  bodyLengthOf,
  bornOf,
  keyOf,
  putPatterned,
  readPatterned,
  tagOf,
} from "../support/patterned-responses.ts";

const MIB = 1024 * 1024;
const IS_ROOT = process.getuid?.() === 0;
const NOBODY = { uid: 65534, gid: 65534 };
const SOURCE = join(import.meta.dir, "../..");

let root: string;
let count = 0;
beforeAll(() => {
  root = mkdtempSync("/var/tmp/weir-disk-test-");
  chmodSync(root, 0o711);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

interface Life {
  readonly keeper: DiskKeeper;
  readonly zone: CacheZone;
  readonly store: MemoryStore;
  readonly records: number;
  readonly lines: readonly string[];
  end(): Promise<void>;
}

const newFolder = () => join(root, `cache${count++}`);

function optionsFor(path: string, lines: string[] = []): KeeperOptions {
  return {
    path,
    budgetBytes: 64 * MIB,
    descriptors: { openCount: 0, mayOpen: () => true },
    report: (line) => lines.push(line),
    owner: undefined,
  };
}

/** One start of Weir: control, and a store that writes. */
async function live(path: string, changes: Partial<KeeperOptions> = {}): Promise<Life> {
  const lines: string[] = [];
  const options = { ...optionsFor(path, lines), ...changes };
  const opened = DiskKeeper.open(options);
  if ("problem" in opened) throw new Error(opened.problem);
  const { keeper } = opened;
  const sizes = { memoryBytes: 16 * MIB, diskBytes: options.budgetBytes, workers: 2 };
  const zone = CacheZone.create(sizes, { board: keeper.board, owner: options.owner });
  const { files, records } = keeper.tier;
  const kept = openMemoryStore(zone, { row: CONTROL_ROW, files, cold: records });
  const restored = await keeper.restore(kept.coldIndex(), kept.board);
  const tier = openDiskTier(options);
  const store = openMemoryStore(zone, { row: 0, files: tier.files, cold: tier.records });
  await tier.records.flush();
  const end = async () => {
    await tier.close();
    await keeper.close();
    zone.remove();
  };
  return { keeper, zone, store, records: restored.records, lines, end };
}

async function foundIn({ store }: Life, numbers: number): Promise<number[]> {
  const found: number[] = [];
  for (let number = 0; number < numbers; number++) {
    const body = await readPatterned(store, number);
    if (body === undefined) continue;
    expect(bornOf(number, body)).toBeDefined();
    found.push(number);
  }
  return found;
}

async function filled(path: string, numbers: number): Promise<void> {
  const life = await live(path);
  for (let number = 0; number < numbers; number++)
    expect(await putPatterned(life.store, number, 1)).toBe(true);
  await life.end();
}

const numbersTo = (end: number) => Array.from({ length: end }, (_, number) => number);

test("what was stored, small and large, is there after a restart", async () => {
  const path = newFolder();
  await filled(path, 100);
  const life = await live(path);
  expect(life.records).toBe(100);
  expect(await foundIn(life, 100)).toEqual(numbersTo(100));
  expect(life.lines).toEqual([]);
  await life.end();
});

test("what a response was replaced by is there after a restart, and its old body is gone", async () => {
  const path = newFolder();
  const first = await live(path);
  for (const version of [1, 2, 3]) {
    for (const number of [6, 7, 15]) await putPatterned(first.store, number, version);
  }
  await first.end();
  const again = await live(path);
  for (const number of [6, 7, 15]) {
    const body = await readPatterned(again.store, number);
    expect(body === undefined ? undefined : bornOf(number, body)?.version).toBe(3);
  }
  await again.keeper.swept;
  await eventually(() => bodiesIn(path).length === 2);
  await again.end();
});

test("what was removed by name is not there after a restart", async () => {
  const path = newFolder();
  const first = await live(path);
  for (const number of numbersTo(20)) await putPatterned(first.store, number, 1);
  for (const number of [3, 7]) first.store.remove(keyOf(number));
  await first.end();
  const again = await live(path);
  expect(await foundIn(again, 20)).toEqual(numbersTo(20).filter((number) => number !== 3 && number !== 7));
  await again.end();
});

test("a purge lasts over a restart, and over a start that follows it; later purges still work", async () => {
  const path = newFolder();
  await filled(path, 64);
  const isLeft = (tags: readonly string[]) => numbersTo(64).filter((number) => !tags.includes(tagOf(number)));
  const first = await live(path);
  expect(await first.keeper.purge({ kind: "tag", tag: tagOf(3) }, false)).toBeUndefined();
  expect(await foundIn(first, 64)).toEqual(isLeft(["tag3"]));
  await first.end();
  const second = await live(path);
  expect(await foundIn(second, 64)).toEqual(isLeft(["tag3"]));
  await putPatterned(second.store, 3, 2);
  await second.end();
  const third = await live(path);
  expect(await foundIn(third, 64)).toContain(3);
  await third.keeper.purge({ kind: "tag", tag: tagOf(3) }, false);
  expect(await foundIn(third, 64)).toEqual(isLeft(["tag3"]));
  await third.end();
});

test("a prefix that was purged stays purged", async () => {
  const path = newFolder();
  await filled(path, 30);
  const first = await live(path);
  await first.keeper.purge({ kind: "prefix", prefix: "cache.test/1" }, false);
  await first.end();
  const again = await live(path);
  expect(await foundIn(again, 30)).toEqual(numbersTo(30).filter((number) => !`${number}`.startsWith("1")));
  await again.end();
});

test.each([
  ["", false],
  [", and files are torn as by a power cut", true],
])(
  "after kill -9 of all processes while they write%s: no wrong byte, no purge undone",
  async (_how, tears) => {
    const report = await killAgainAndAgain({ rounds: 4, diskBytes: 64 * MIB, root, writeMs: 300, tears });
    expect({ wrong: report.wrong, undone: report.undone, reports: report.reports }).toEqual({
      wrong: 0,
      undone: 0,
      reports: [],
    });
    expect(report.found).toBeGreaterThan(0);
    expect(report.mostBytes).toBeLessThanOrEqual(64 * MIB);
  },
  60_000,
);

test.each([
  ["what was purged is damaged", (path: string) => flip(join(path, "purges.snapshot"), 40)],
  ["what was purged is missing", (path: string) => rmSync(join(path, "purges.snapshot"))],
  [
    "it is of another format",
    (path: string) => edit(join(path, "format.json"), (text) => text.replace("1", "9")),
  ],
  ["its format is no JSON", (path: string) => writeFileSync(join(path, "format.json"), "{")],
] as const)(
  "a folder where %s begins empty, with one line, and leaves what is not ours",
  async (_why, damage) => {
    const path = newFolder();
    await filled(path, 40);
    writeFileSync(join(path, "notes.txt"), "mine");
    damage(path);
    const life = await live(path);
    expect(life.lines.length).toBe(1);
    expect(life.lines[0]).toContain("begins empty");
    expect(await foundIn(life, 40)).toEqual([]);
    expect(readFileSync(join(path, "notes.txt"), "utf8")).toBe("mine");
    expect(bodiesIn(path)).toEqual([]);
    await life.end();
  },
);

test("files that nobody refers to go after the start; what is referred to stays", async () => {
  const path = newFolder();
  await filled(path, 40);
  const [one = ""] = bodiesIn(path);
  const orphan = join(one, "..", "fffffff");
  writeFileSync(orphan, "x");
  writeFileSync(join(path, "parts", "abc.999999999"), "x");
  const life = await live(path);
  expect(await life.keeper.swept).toBe(2);
  expect(existsSync(orphan)).toBe(false);
  expect((await foundIn(life, 40)).length).toBe(40);
  await life.end();
});

test("ids of bodies are never used again, also when all files are gone", async () => {
  const path = newFolder();
  const ids = new Set<number>();
  for (let start = 0; start < 3; start++) {
    const life = await live(path);
    const writer = life.store.write(100_000);
    writer?.write(Buffer.alloc(100_000));
    const ref = await writer?.finish();
    expect(ids.has(ref?.id ?? 0)).toBe(false);
    ids.add(ref?.id ?? 0);
    await life.end();
    rmSync(join(path, "bodies"), { recursive: true });
  }
});

test("a second Weir on one folder is refused, and told which process has it", async () => {
  const path = newFolder();
  const life = await live(path);
  const source = `import { DiskKeeper } from ${JSON.stringify(join(SOURCE, "src/transport/cache-disk/disk-tier.ts"))};
    const opened = DiskKeeper.open({ path: ${JSON.stringify(path)}, budgetBytes: 1e8, owner: undefined,
      descriptors: { openCount: 0, mayOpen: () => true }, report: () => {} });
    console.log("problem" in opened ? opened.problem : "opened");`;
  const ask = async () => await new Response(Bun.spawn([process.execPath, "-e", source]).stdout).text();
  expect(await ask()).toBe(
    `cache.disk.path ${path} is used by another Weir (process ${process.pid}). Stop that one, or give each its own folder.\n`,
  );
  expect((await foundIn(life, 1)).length).toBe(0);
  await life.end();
  expect(await ask()).toBe("opened\n");
});

test("over an upgrade old and new control share the folder, and a purge by either lasts", async () => {
  const path = newFolder();
  const old = await live(path);
  for (const number of numbersTo(48)) await putPatterned(old.store, number, 1);
  const adopted = DiskKeeper.adopt(optionsFor(path), old.store.board);
  if ("problem" in adopted) throw new Error(adopted.problem);
  const { keeper } = adopted;
  await keeper.purge({ kind: "tag", tag: tagOf(1) }, false);
  old.keeper.handOver();
  await old.keeper.purge({ kind: "tag", tag: tagOf(2) }, false);
  keeper.look();
  await keeper.purge({ kind: "tag", tag: tagOf(3) }, false);
  await old.end();
  await keeper.close();
  const next = await live(path);
  expect(await foundIn(next, 48)).toEqual(numbersTo(48).filter((number) => ![1, 2, 3].includes(number % 16)));
  await next.end();
});

test("a worker that was killed gives its room back, and what it wrote is found by the next start", async () => {
  const path = newFolder();
  const life = await live(path);
  const source = `import { openDiskTier } from ${JSON.stringify(join(SOURCE, "src/transport/cache-disk/disk-tier.ts"))};
    const tier = openDiskTier({ path: ${JSON.stringify(path)}, budgetBytes: ${64 * MIB},
      descriptors: { openCount: 0, mayOpen: () => true }, report: () => {} });
    await tier.records.flush();
    tier.files.create(5_000_000).write(Buffer.alloc(100_000));
    const what = { hash: { high: 1, low: 2 }, keepUntilS: 2e9, file: undefined };
    console.log(JSON.stringify(tier.records.append(Buffer.alloc(1000), what)));
    await tier.records.flush();
    setInterval(() => {}, 1000);
    console.log("written");`;
  const before = life.keeper.usage();
  const child = Bun.spawn([process.execPath, "-e", source], { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  for await (const chunk of child.stdout) {
    text += new TextDecoder().decode(chunk);
    if (text.includes("written")) child.kill("SIGKILL");
  }
  await child.exited;
  expect(life.keeper.usage().bodyBytes).toBeGreaterThan(before.bodyBytes + 5_000_000 - 4096);
  await life.keeper.forgetWorker(child.pid);
  await eventually(() => readdirSync(join(path, "parts")).length === 0);
  const after = life.keeper.usage();
  expect(after.bodyBytes).toBe(before.bodyBytes);
  expect(after.logBytes).toBeLessThanOrEqual(before.logBytes + 4096);
  await life.end();
  const next = await live(path);
  expect(next.records).toBe(1);
  await next.end();
});

test.skipIf(!IS_ROOT)(
  "control is root and workers are not: they write, control reads and keeps",
  async () => {
    const path = newFolder();
    const life = await live(path, { owner: NOBODY });
    const script = `import { openMemoryStore } from ${JSON.stringify(join(SOURCE, "src/cache/memory/memory-store.ts"))};
    import { openDiskTier } from ${JSON.stringify(join(SOURCE, "src/transport/cache-disk/disk-tier.ts"))};
    import { CacheZone } from ${JSON.stringify(join(SOURCE, "src/zone/cache-zone.ts"))};
    import { become } from ${JSON.stringify(join(SOURCE, "src/transport/privileges.ts"))};
    import { putPatterned, readPatterned } from ${JSON.stringify(join(SOURCE, "tests/support/patterned-responses.ts"))};
    become({ name: "nobody", uid: 65534, gid: 65534, groups: [65534] });
    const zone = CacheZone.open(${JSON.stringify(life.zone.path)});
    const tier = openDiskTier({ path: ${JSON.stringify(path)}, budgetBytes: ${64 * MIB},
      descriptors: { openCount: 0, mayOpen: () => true }, report: console.log });
    await tier.records.flush();
    const store = openMemoryStore(zone, { row: 1, files: tier.files, cold: tier.records });
    for (let number = 0; number < 32; number++) if (!(await putPatterned(store, number, 1))) console.log("not stored");
    for (let number = 0; number < 32; number++) if (!(await readPatterned(store, number))) console.log("not read");
    await tier.close();
    console.log("done");`;
    const child = Bun.spawn([process.execPath, "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    expect(await new Response(child.stdout).text()).toBe("done\n");
    expect((await foundIn(life, 32)).length).toBe(32);
    expect(statSync(path).uid).toBe(0);
    expect(statSync(join(path, "log")).uid).toBe(NOBODY.uid);
    await life.end();
    const next = await live(path, { owner: NOBODY });
    expect((await foundIn(next, 32)).length).toBe(32);
    await next.end();
    const other = await live(path, { owner: { uid: 1, gid: 1 } });
    expect(other.lines[0]).toContain("another user's");
    await other.end();
  },
);

test.skipIf(!IS_ROOT)("a folder that workers cannot get to is said at the start, with what to do", () => {
  const closed = join(root, "closed");
  mkdirSync(closed, { mode: 0o700 });
  const opened = DiskKeeper.open({ ...optionsFor(join(closed, "cache")), owner: NOBODY });
  expect("problem" in opened ? opened.problem : "").toContain(`chmod o+x ${closed}`);
});

test.skipIf(!IS_ROOT)("links that a worker left are followed by nobody", async () => {
  const path = newFolder();
  await filled(path, 20);
  const secret = join(root, "secret");
  writeFileSync(secret, "x".repeat(10_000));
  const [segment = ""] = readdirSync(join(path, "log"));
  rmSync(join(path, "log", segment));
  symlinkSync(secret, join(path, "log", segment));
  const life = await live(path);
  expect(readFileSync(secret, "utf8").length).toBe(10_000);
  expect(life.records).toBe(0);
  await life.end();
});

test.skipIf(!IS_ROOT)(
  "a disk that is full: not stored, one line, what is there is served",
  async () => {
    const path = newFolder();
    const script = join(root, "full.ts");
    writeFileSync(
      script,
      `import { openMemoryStore } from ${JSON.stringify(join(SOURCE, "src/cache/memory/memory-store.ts"))};
    import { DiskKeeper, openDiskTier } from ${JSON.stringify(join(SOURCE, "src/transport/cache-disk/disk-tier.ts"))};
    import { CacheZone } from ${JSON.stringify(join(SOURCE, "src/zone/cache-zone.ts"))};
    import { bornOf, putPatterned, readPatterned } from ${JSON.stringify(join(SOURCE, "tests/support/patterned-responses.ts"))};
    const lines = [];
    const options = { path: ${JSON.stringify(path)} + "/cache", budgetBytes: ${64 * MIB}, owner: undefined,
      descriptors: { openCount: 0, mayOpen: () => true }, report: (line) => lines.push(line) };
    const { keeper, problem } = DiskKeeper.open(options);
    if (problem) throw new Error(problem);
    const zone = CacheZone.create({ memoryBytes: ${16 * MIB}, diskBytes: ${64 * MIB}, workers: 1 }, { board: keeper.board });
    const tier = openDiskTier(options);
    const store = openMemoryStore(zone, { row: 0, files: tier.files, cold: tier.records });
    await keeper.restore(store.coldIndex(), store.board);
    let wrong = 0, found = 0, stored = 0;
    for (let number = 0; number < 1200; number++) {
      if (await putPatterned(store, number, 1)) stored++;
      if (number % 16 === 0) await tier.records.flush();
    }
    for (let number = 0; number < 1200; number++) {
      const body = await readPatterned(store, number);
      if (body === undefined) continue;
      found++;
      if (bornOf(number, body) === undefined) wrong++;
    }
    const problems = await keeper.purge({ kind: "all" }, false);
    console.log(JSON.stringify({ wrong, isFound: found > 100, isFull: stored < 1200, lines: lines.length, line: lines[0] }));
    zone.remove();
    process.exit(0);`,
    );
    const command = `mkdir -p ${path} && mount -t tmpfs -o size=8m none ${path} && exec ${process.execPath} ${script}`;
    const child = Bun.spawn(["unshare", "-m", "sh", "-c", command], { stdio: ["ignore", "pipe", "inherit"] });
    const told = JSON.parse(await new Response(child.stdout).text());
    expect(told).toMatchObject({ wrong: 0, isFound: true, isFull: true, lines: 1 });
    expect(told.line).toContain("the disk is full");
  },
  20_000,
);

function bodiesIn(path: string): string[] {
  const bodies = join(path, "bodies");
  return readdirSync(bodies).flatMap((folder) =>
    readdirSync(join(bodies, folder)).map((name) => join(bodies, folder, name)),
  );
}

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}

function edit(path: string, change: (text: string) => string): void {
  writeFileSync(path, change(readFileSync(path, "utf8")));
}

test("every eighth of the responses here is a body of its own", () => {
  expect(bodyLengthOf(7)).toBeGreaterThan(64 * 1024);
});
