/**
 * What the disk cache relies on: words shared through a file on a disk, locks that go with their process, checksums that
 * can be continued, gathered writes at a place.
 */
import { afterAll, expect, test } from "bun:test";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writev } from "node:fs";
import { join } from "node:path";
import { FolderLock } from "../../src/transport/cache-disk/folder-lock.ts";

const root = mkdtempSync("/var/tmp/weir-runtime-test-");
afterAll(() => rmSync(root, { recursive: true, force: true }));

test("a file that is mapped as shared is seen by other processes, and Atomics are exact across them", async () => {
  const path = join(root, "words");
  writeFileSync(path, Buffer.alloc(4096));
  const source = `const words = new Int32Array(Bun.mmap(${JSON.stringify(path)}, { shared: true }).buffer);
    for (let turn = 0; turn < 200000; turn++) Atomics.add(words, 5, 1);`;
  const children = [1, 2].map(() => Bun.spawn([process.execPath, "-e", source]));
  const words = new Int32Array(Bun.mmap(path, { shared: true }).buffer);
  for (let turn = 0; turn < 200_000; turn++) Atomics.add(words, 5, 1);
  await Promise.all(children.map(({ exited }) => exited));
  expect(Atomics.load(words, 5)).toBe(600_000);
});

test("a file that is mapped stays mapped when its name goes to another", () => {
  const path = join(root, "named");
  writeFileSync(path, Buffer.alloc(4096, 7));
  const bytes = Bun.mmap(path, { shared: true });
  rmSync(path);
  writeFileSync(path, Buffer.alloc(4096, 9));
  expect(bytes[100]).toBe(7);
});

test("a lock is refused to another process, and free when its holder is killed", async () => {
  const path = join(root, "lock");
  const source = `import { FolderLock } from ${JSON.stringify(join(import.meta.dir, "../../src/transport/cache-disk/folder-lock.ts"))};
    console.log(JSON.stringify(new FolderLock(${JSON.stringify(path)}).take())); setInterval(() => {}, 1000);`;
  const child = Bun.spawn([process.execPath, "-e", source], { stdio: ["ignore", "pipe", "inherit"] });
  for await (const chunk of child.stdout) {
    expect(JSON.parse(new TextDecoder().decode(chunk))).toEqual({ isTaken: true });
    const lock = new FolderLock(path);
    expect(lock.take()).toEqual({ isTaken: false, holder: `${child.pid}` });
    child.kill("SIGKILL");
    await child.exited;
    expect(lock.take()).toEqual({ isTaken: true });
    lock.release();
  }
});

test("CRC-32 can be continued from piece to piece", () => {
  const [one, two] = [Buffer.from("some bytes, "), Buffer.from("and more")];
  expect(Bun.hash.crc32(two, Bun.hash.crc32(one))).toBe(Bun.hash.crc32(Buffer.concat([one, two])));
  expect(Bun.hash.crc32("123456789")).toBe(0xcbf43926);
});

test("pieces are written in one call, at the place that is asked for", async () => {
  const path = join(root, "pieces");
  const file = openSync(path, "wx+");
  const count = await new Promise<number>((resolve, reject) => {
    writev(file, [Buffer.from("ab"), Buffer.from("cde")], 3, (error, written) =>
      error === null ? resolve(written) : reject(error),
    );
  });
  closeSync(file);
  expect(count).toBe(5);
  expect(readFileSync(path).toString("latin1")).toBe("\0\0\0abcde");
});
