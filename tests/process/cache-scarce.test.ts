/**
 * Scarce: a cache whose place is too small, or goes away, costs hits: never an answer, never a worker.
 *
 * note   file systems of a few MiB are mounted in a namespace of the program's own, which takes the right to make one
 */
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Stage } from "../support/stage.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { ask, get } from "../wire/ask.ts";

const stage = new Stage();
afterEach(() => stage.clear());

const mayMount = process.platform === "linux" && Bun.spawnSync(["unshare", "-m", "true"]).exitCode === 0;
const LARGE_BYTES = 1 << 20;
const LARGE = 40;
const SMALL = 3000;
const SMALL_BYTES = 8000;

/** `GET /large/7` has a mebibyte of sevens, so to speak: each URL has bytes of its own. */
const bodyOf = (path: string, bytes: number) =>
  `${path}|`.repeat(Math.ceil(bytes / path.length)).slice(0, bytes);
const bytesOf = (path: string) => (path.startsWith("/large") ? LARGE_BYTES : SMALL_BYTES);

function startOrigin() {
  const origin = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request) => {
      const { pathname } = new URL(request.url);
      return new Response(bodyOf(pathname, bytesOf(pathname)), {
        headers: { "Cache-Control": "max-age=600" },
      });
    },
  });
  stage.after(() => origin.stop(true));
  return origin;
}

/** in  `mounted`: this folder becomes a file system of 16 MiB, for the program alone */
async function start(cache: string, mounted?: string): Promise<Weir> {
  const origin = startOrigin();
  const script = `mount -t tmpfs -o size=16m tmpfs ${mounted} && exec "$@"`;
  const weir = await startWeir(
    `
server: { workers: 2 }
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { name: site, to: "127.0.0.1:${origin.port}", cache: true } ]
cache: { ${cache} }
`,
    mounted === undefined ? {} : { within: ["unshare", "-m", "sh", "-c", script, "sh"] },
  );
  stage.after(() => weir.stop());
  return weir;
}

/** Far more than there is room for, twice. fails  at the first answer that is not whole */
async function fill(weir: Weir): Promise<void> {
  const paths = [
    ...Array.from({ length: SMALL }, (_, index) => `/small/${index}`),
    ...Array.from({ length: LARGE }, (_, index) => `/large/${index}`),
  ];
  for (let round = 0; round < 2; round++) {
    const left = [...paths];
    const lane = async () => {
      for (let path = left.pop(); path !== undefined; path = left.pop()) {
        const answer = await fetch(`http://127.0.0.1:${weir.port()}${path}`);
        const isWhole = (await answer.text()) === bodyOf(path, bytesOf(path));
        expect([path, answer.status, isWhole]).toEqual([path, 200, true]);
      }
    };
    await Promise.all(Array.from({ length: 8 }, lane));
  }
}

const pidsOf = async (weir: Weir) => (await weir.status()).workers.map(({ pid }) => pid);

async function isHit(weir: Weir, path: string): Promise<boolean> {
  const { field } = await ask(weir.port(), get(path));
  return field("cache-status")?.includes("; hit") === true;
}

async function expectHit(weir: Weir, path: string): Promise<void> {
  await isHit(weir, path);
  expect(await isHit(weir, path)).toBe(true);
}

async function expectServing(weir: Weir, work: () => Promise<void>): Promise<void> {
  const before = await pidsOf(weir);
  await work();
  expect(await pidsOf(weir)).toEqual(before);
}

test.skipIf(!mayMount)(
  "a /dev/shm that is too small for the cache costs hits, not answers",
  async () => {
    const weir = await start("memory: 64MiB", "/dev/shm");
    await expectServing(weir, () => fill(weir));
    expect(weir.stderr()).toContain("/dev/shm is full. Make cache.memory smaller");
  },
  60_000,
);

test.skipIf(!mayMount)(
  "a disk that is full costs what is stored, not answers; a purge is in force all the same",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "weir-scarce-"));
    stage.after(() => rmSync(folder, { recursive: true, force: true }));
    const weir = await start(`memory: 32MiB, disk: { path: ${folder}, size: 256MiB }`, folder);
    await expectServing(weir, () => fill(weir));
    expect(weir.stderr()).toContain("the disk is full");
    await expectPurge(weir);
  },
  60_000,
);

test("a folder that is taken away costs what is stored, not answers; a purge is in force all the same", async () => {
  const folder = mkdtempSync(join(tmpdir(), "weir-scarce-"));
  stage.after(() => rmSync(folder, { recursive: true, force: true }));
  const weir = await start(`memory: 32MiB, disk: { path: ${folder}, size: 256MiB }`);
  await fill(weir);
  await expectServing(weir, async () => {
    rmSync(folder, { recursive: true, force: true });
    await fill(weir);
  });
  expect(weir.stderr()).toContain("the folder is gone");
  await expectPurge(weir);
}, 60_000);

/** Whether it can be written down or not. */
async function expectPurge(weir: Weir): Promise<void> {
  await expectHit(weir, "/small/purged");
  const url = new URL("/api/v1/cache/purge", weir.admin);
  const answer = await fetch(url, { method: "POST", body: JSON.stringify({ host: "a.test" }) });
  const said = await answer.text();
  if (answer.status !== 200) expect(said).toContain("it is in force now");
  expect(await isHit(weir, "/small/purged")).toBe(false);
}
