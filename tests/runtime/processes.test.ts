/**
 * Between processes: shared memory, signals, messages.
 */
import { afterAll, expect, test } from "bun:test";
import { ftruncateSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../support/eventually.ts";

const folder = mkdtempSync(join(tmpdir(), "weir-runtime-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function script(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

function mapped(name: string, size: number): string {
  const path = join(folder, name);
  ftruncateSync(openSync(path, "wx+"), size);
  return path;
}

test("Atomics on a file mapped shared are exact across processes", async () => {
  const path = mapped("atomics", 4096);
  const words = new Int32Array(Bun.mmap(path, { shared: true }).buffer);
  const file = script(
    "add.ts",
    `const words = new Int32Array(Bun.mmap(process.argv[2]!, { shared: true }).buffer);
     for (let n = 0; n < 200_000; n++) Atomics.add(words, 0, 1);`,
  );
  const children = [1, 2].map(() =>
    Bun.spawn([process.execPath, file, path], { stdio: ["ignore", "inherit", "inherit"] }),
  );
  for (let n = 0; n < 200_000; n++) Atomics.add(words, 0, 1);
  expect(await Promise.all(children.map((child) => child.exited))).toEqual([0, 0]);
  expect(Atomics.load(words, 0)).toBe(600_000);
});

test("a plain Float64 store in a shared mapping is seen by another process, also after the writer was killed", async () => {
  const path = mapped("floats", 4096);
  const floats = new Float64Array(Bun.mmap(path, { shared: true }).buffer);
  const file = script(
    "store.ts",
    `const floats = new Float64Array(Bun.mmap(process.argv[2]!, { shared: true }).buffer);
     floats[1] = 1234.5;
     floats[0] = 1;
     setInterval(() => {}, 1000);`,
  );
  const child = Bun.spawn([process.execPath, file, path], { stdio: ["ignore", "inherit", "inherit"] });
  await eventually(() => floats[0] === 1);
  child.kill("SIGKILL");
  await child.exited;
  expect(floats[1]).toBe(1234.5);
});

test("a mapping is not a copy: a view of it takes only the pages that are touched", () => {
  const size = 1 << 30;
  const bytes = Bun.mmap(mapped("sparse", size), { shared: true });
  const before = process.memoryUsage.rss();
  bytes[size - 1] = 1;
  expect(bytes.length).toBe(size);
  expect(process.memoryUsage.rss() - before).toBeLessThan(64 << 20);
});

const SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGPIPE"] as const;

test("every signal the control process listens to can be caught, and none of them ends it", async () => {
  const file = script(
    "signals.ts",
    `for (const name of ${JSON.stringify(SIGNALS)}) process.on(name, () => console.log(name));
     setInterval(() => {}, 1000);
     console.log("ready");`,
  );
  const child = Bun.spawn([process.execPath, file], { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  let text = "";
  const reading = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout) text += decoder.decode(chunk, { stream: true });
  })();
  await eventually(() => text.includes("ready"));
  for (const name of SIGNALS) {
    child.kill(name);
    await eventually(() => text.includes(`${name}\n`), 3000, name);
  }
  expect(child.exitCode).toBeNull();
  child.kill("SIGKILL");
  await child.exited;
  await reading;
  expect(child.signalCode).toBe("SIGKILL");
});

test("messages to a spawned process arrive in order in both directions, and its end is told as a disconnect", async () => {
  const file = script(
    "echo.ts",
    `process.on("message", (message) => process.send!(message));
     process.on("disconnect", () => process.exit(7));`,
  );
  const received: unknown[] = [];
  const child = Bun.spawn([process.execPath, file], {
    stdio: ["ignore", "inherit", "inherit"],
    ipc: (message) => received.push(message),
    serialization: "json",
  });
  for (let n = 0; n < 100; n++) child.send({ n });
  await eventually(() => received.length === 100);
  expect(received).toEqual(Array.from({ length: 100 }, (_, n) => ({ n })));
  child.disconnect();
  expect(await child.exited).toBe(7);
});
