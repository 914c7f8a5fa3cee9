import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CHUNK_BYTES, OpenFile, openBelow } from "./file-reader.ts";

const base = mkdtempSync(join(tmpdir(), "weir-file-reader-"));
const root = join(base, "root");

beforeAll(() => {
  mkdirSync(join(root, "folder/.git"), { recursive: true });
  mkdirSync(join(root, ".well-known/.deep"), { recursive: true });
  mkdirSync(join(base, "root-sibling"));
  mkdirSync(join(base, "outside"));
  writeFileSync(join(base, "outside/secret"), "secret");
  writeFileSync(join(base, "root-sibling/secret"), "secret");
  writeFileSync(join(root, "a.txt"), "alpha");
  writeFileSync(join(root, ".env"), "hidden");
  writeFileSync(join(root, "folder/b.txt"), "beta");
  writeFileSync(join(root, "folder/.git/config"), "hidden");
  writeFileSync(join(root, ".well-known/token"), "token");
  writeFileSync(join(root, ".well-known/.hidden"), "hidden");
  writeFileSync(join(root, ".well-known/.deep/x"), "hidden");
  writeFileSync(join(root, "big"), Buffer.alloc(CHUNK_BYTES + 1000, "x"));
  symlinkSync("a.txt", join(root, "link-inside"));
  symlinkSync("../outside/secret", join(root, "link-outside"));
  symlinkSync("../root-sibling/secret", join(root, "link-sibling"));
  symlinkSync("../outside", join(root, "folder-outside"));
  symlinkSync("..", join(root, "folder-above"));
  symlinkSync("loop", join(root, "loop"));
  symlinkSync("/dev/zero", join(root, "device"));
  Bun.spawnSync(["mkfifo", join(root, "pipe")]);
});
afterAll(() => rmSync(base, { recursive: true }));

async function textOf(path: string, from = root): Promise<string> {
  const opened = await openBelow(from, path);
  if (!(opened instanceof OpenFile)) return opened.kind;
  const bytes = await opened.read(0, opened.size);
  opened.close();
  return bytes.toString();
}

describe("what is opened below a root", () => {
  const rows: [rule: string, path: string, out: string][] = [
    ["a file", "/a.txt", "alpha"],
    ["a file in a folder", "/folder/b.txt", "beta"],
    ["a folder is said to be one", "/folder", "folder"],
    ["the root itself", "/", "folder"],
    ["a link that stays inside", "/link-inside", "alpha"],
    ["the well-known folder (RFC 8615)", "/.well-known/token", "token"],
    ["nothing there", "/none", "missing"],
    ["a file as a folder", "/a.txt/b", "missing"],
    ["a name that is too long", `/${"n".repeat(300)}`, "missing"],
    ["a loop of links", "/loop", "missing"],
    ["a link to a file outside", "/link-outside", "missing"],
    ["a link to a folder whose name begins as the root's", "/link-sibling", "missing"],
    ["a linked folder outside", "/folder-outside", "missing"],
    ["a file in a linked folder outside", "/folder-outside/secret", "missing"],
    ["a way back in through a linked folder", "/folder-above/root/a.txt", "alpha"],
    ["dots that climb", "/../outside/secret", "missing"],
    ["dots that stay inside", "/folder/../a.txt", "missing"],
    ["a hidden file", "/.env", "missing"],
    ["a hidden folder", "/folder/.git/config", "missing"],
    ["a hidden file in the well-known folder", "/.well-known/.hidden", "missing"],
    ["a hidden folder in the well-known folder", "/.well-known/.deep/x", "missing"],
    ["climbing out of the well-known folder", "/.well-known/../a.txt", "missing"],
    ["a NUL", "/a.txt\0.png", "missing"],
    ["a device", "/device", "missing"],
    ["a pipe, without waiting for its writer", "/pipe", "missing"],
  ];
  test.each(rows)("%s: %s", async (_rule, path, out) => {
    expect(await textOf(path)).toBe(out);
  });
});

test("a root that is a link may be pointed elsewhere at any time", async () => {
  for (const release of ["one", "two"]) {
    mkdirSync(join(base, release));
    writeFileSync(join(base, release, "version"), release);
  }
  const current = join(base, "current");
  for (const release of ["one", "two", "one"]) {
    symlinkSync(release, `${current}.new`);
    renameSync(`${current}.new`, current);
    expect(await textOf("/version", current)).toBe(release);
  }
});

test("a root that is not there is missing", async () => {
  expect(await textOf("/a", join(base, "none"))).toBe("missing");
});

describe("reading", () => {
  test("comes in pieces of a bounded size that join to the file", async () => {
    const file = (await openBelow(root, "/big")) as OpenFile;
    const first = await file.read(0, file.size);
    const second = await file.read(first.length, file.size);
    file.close();
    expect([first.length, second.length]).toEqual([CHUNK_BYTES, 1000]);
  });

  test("past the end of a file that was cut is an error, not an empty piece", async () => {
    const path = join(root, "cut");
    writeFileSync(path, "x".repeat(100));
    const file = (await openBelow(root, "/cut")) as OpenFile;
    truncateSync(path, 10);
    expect((await file.read(0, file.size)).length).toBe(10);
    await expect(file.read(10, file.size)).rejects.toThrow("the file ends at 10 of 100 bytes");
    file.close();
  });

  test("after close is an error; closing twice is none", async () => {
    const file = (await openBelow(root, "/a.txt")) as OpenFile;
    file.close();
    file.close();
    await expect(file.read(0, 5)).rejects.toThrow("closed");
  });

  test("under way when closed ends well", async () => {
    const file = (await openBelow(root, "/big")) as OpenFile;
    const reading = file.read(0, file.size);
    file.close();
    expect((await reading).every((byte) => byte === 120)).toBe(true);
  });
});

test.skipIf(process.platform !== "linux")("every descriptor is given back, whatever was found", async () => {
  const openCount = () => readdirSync("/proc/self/fd").length;
  const before = openCount();
  const paths = ["/a.txt", "/folder", "/link-outside", "/device", "/pipe", "/none", "/.env"];
  for (let round = 0; round < 20; round++) await Promise.all(paths.map((path) => textOf(path)));
  const deadline = performance.now() + 2000;
  while (openCount() > before && performance.now() < deadline) await Bun.sleep(5);
  expect(openCount()).toBeLessThanOrEqual(before);
});
