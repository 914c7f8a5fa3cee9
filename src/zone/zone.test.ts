import { afterEach, expect, test } from "bun:test";
import { existsSync, readdirSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { CONTROL_ROW, Zone } from "./zone.ts";

const zones: Zone[] = [];
afterEach(() => {
  for (const zone of zones.splice(0)) zone.remove();
});

function create(): Zone {
  const zone = Zone.create();
  zones.push(zone);
  return zone;
}

/** What another process reads and writes in the zone. */
async function inChild(zone: Zone, body: string): Promise<string> {
  const script = `
    import { Zone } from ${JSON.stringify(join(import.meta.dir, "zone.ts"))};
    const zone = Zone.open(${JSON.stringify(zone.path)});
    ${body}`;
  const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "inherit" });
  const text = await new Response(child.stdout).text();
  expect(await child.exited).toBe(0);
  return text.trim();
}

test("a new zone is empty, for its owner alone, and takes hardly any memory", () => {
  const zone = create();
  expect([...zone.row(0, 64), ...zone.row(127, 64)].every((slot) => slot === 0)).toBe(true);
  expect(zone.heartbeats.every((beat) => beat === 0)).toBe(true);
  const { mode, blocks } = statSync(zone.path);
  expect(mode & 0o777).toBe(0o600);
  expect(blocks * 512).toBeLessThan(1024 * 1024);
});

test("what one process writes another one reads, and the other way round", async () => {
  const zone = create();
  zone.row(3, 16)[7] = 12.5;
  zone.heartbeats[3] = 99;
  const seen = await inChild(
    zone,
    "const row = zone.row(3, 16); console.log(row[7], zone.heartbeats[3]); row[8] = 4; zone.row(4, 16)[0] = 5;",
  );
  expect(seen).toBe("12.5 99");
  expect([zone.row(3, 16)[8], zone.row(4, 16)[0]]).toEqual([4, 5]);
});

test("rows do not overlap: the last slot of one is not the first of the next", () => {
  const zone = create();
  const first = zone.row(0);
  first[first.length - 1] = 1;
  expect([zone.row(1, 1)[0], zone.heartbeats[0]]).toEqual([0, 0]);
  zone.row(1, 1)[0] = 2;
  expect(first[first.length - 1]).toBe(1);
});

test("control's row and the word that tells of its changes are the same memory for all, and nobody else's", async () => {
  const zone = create();
  zone.row(CONTROL_ROW, 8)[2] = 1.5;
  zone.boardChanges[0] = 7;
  const seen = await inChild(zone, `console.log(zone.row(${CONTROL_ROW}, 8)[2], zone.boardChanges[0]);`);
  expect(seen).toBe("1.5 7");
  expect([zone.heartbeats.every((beat) => beat === 0), zone.row(0, 8)[0]]).toEqual([true, 0]);
});

test("a longer view of a row shows what was written through a shorter one", () => {
  const zone = create();
  zone.row(0, 8)[5] = 6;
  const longer = zone.row(0, 4096);
  expect(longer[5]).toBe(6);
  longer[5] = 7;
  expect(zone.row(0, 8)[5]).toBe(7);
});

test("adopting gives a name of one's own: what the first owner removes lives on", () => {
  const zone = create();
  zone.row(0, 8)[1] = 42;
  const adopted = Zone.adopt(zone.path);
  zones.push(adopted);
  zone.remove();
  expect([existsSync(zone.path), existsSync(adopted.path)]).toEqual([false, true]);
  expect(Zone.open(adopted.path).row(0, 8)[1]).toBe(42);
});

test("removing takes the name, not the memory, and may be done twice", () => {
  const zone = create();
  const row = zone.row(0, 8);
  zone.remove();
  zone.remove();
  row[0] = 1;
  expect([row[0], existsSync(zone.path)]).toEqual([1, false]);
});

test("opening or adopting a zone that is gone throws, and says what was not found", () => {
  const zone = create();
  zone.remove();
  expect(() => Zone.open(zone.path)).toThrow("ENOENT");
  expect(() => Zone.adopt(zone.path)).toThrow("ENOENT");
});

test("a zone whose process was killed is swept away by the next; one that lives is not", async () => {
  const child = Bun.spawn([process.execPath, "-e", ""]);
  await child.exited;
  const folder = dirname(create().path);
  const orphan = join(folder, `weir-zone-${child.pid}-orphan`);
  const living = join(folder, `weir-zone-${process.pid}-living`);
  for (const path of [orphan, living]) writeFileSync(path, "");
  create();
  expect([existsSync(orphan), existsSync(living)]).toEqual([false, true]);
  unlinkSync(living);
});

test("the zone lies in memory on Linux", () => {
  const folder = dirname(create().path);
  expect(folder).toBe(process.platform === "linux" ? "/dev/shm" : tmpdir());
  expect(readdirSync(folder).some((name) => name.startsWith(`weir-zone-${process.pid}-`))).toBe(true);
});
