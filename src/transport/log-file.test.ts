import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../../tests/support/eventually.ts";
import { LogFile, type WriteCall } from "./log-file.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "weir-log-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
const newPath = () => join(folder, `${++files}.log`);
const read = (path: string) => readFileSync(path, "latin1");

/** A disk under the test's hand: each call is answered by the next step, then everything is taken. */
function scripted(...steps: (number | string)[]) {
  let taken = "";
  let calls = 0;
  const write: WriteCall = (_file, bytes, done) => {
    const step = steps[calls++] ?? bytes.length;
    const count = typeof step === "number" ? Math.min(step, bytes.length) : 0;
    taken += Buffer.from(bytes.subarray(0, count)).toString();
    queueMicrotask(() =>
      done(typeof step === "string" ? Object.assign(new Error(step), { code: step }) : null, count),
    );
  };
  return { write, taken: () => taken, calls: () => calls };
}

describe("gathering", () => {
  test("lines are written in one call at the end of the interval", async () => {
    const disk = scripted();
    const log = new LogFile(newPath(), { write: disk.write, flushMs: 5 });
    for (const line of ["a", "b", "c"]) log.write(line);
    expect(disk.calls()).toBe(0);
    await eventually(() => disk.calls() === 1);
    expect(disk.taken()).toBe("a\nb\nc\n");
    await log.close();
    expect(disk.calls()).toBe(1);
  });

  test("a full batch does not wait for the interval", async () => {
    const disk = scripted();
    const log = new LogFile(newPath(), { write: disk.write, flushMs: 60_000, batchBytes: 10 });
    log.write("12345");
    expect(disk.calls()).toBe(0);
    log.write("6789");
    expect(disk.calls()).toBe(1);
    await log.close();
  });

  test("what comes during a write follows it, without another full batch", async () => {
    const disk = scripted();
    const log = new LogFile(newPath(), { write: disk.write, flushMs: 5 });
    log.write("a");
    log.flush();
    log.write("b");
    await eventually(() => disk.taken() === "a\nb\n");
    log.write("c");
    await eventually(() => disk.taken() === "a\nb\nc\n");
    await log.close();
  });

  test("lines that come while a slow write lasts longer than the interval are not forgotten", async () => {
    const waiting: (() => void)[] = [];
    let taken = "";
    const log = new LogFile(newPath(), {
      flushMs: 2,
      write: (_file, bytes, done) => {
        taken += Buffer.from(bytes).toString();
        waiting.push(() => done(null, bytes.length));
      },
    });
    log.write("a");
    await eventually(() => waiting.length === 1);
    log.write("b");
    await Bun.sleep(10);
    expect(taken).toBe("a\n");
    waiting[0]?.();
    await eventually(() => waiting.length === 2);
    expect(taken).toBe("a\nb\n");
    waiting[1]?.();
    await log.close();
  });
});

describe("trouble", () => {
  test("a partial write goes on with the very next byte", async () => {
    const disk = scripted(1, 2, 3);
    const log = new LogFile(newPath(), { write: disk.write });
    log.write("hello");
    log.write("world");
    await log.close();
    expect(disk.taken()).toBe("hello\nworld\n");
    expect(log.dropped).toBe(0);
  });

  test("a full disk keeps lines to its bound, counts the rest, and goes on when there is room", async () => {
    const disk = scripted(4, "ENOSPC", "ENOSPC", 0);
    const reports: (string | undefined)[] = [];
    const log = new LogFile(newPath(), {
      write: disk.write,
      retryMs: 2,
      maxBytes: 40,
      report: (problem) => reports.push(problem),
    });
    for (let line = 10; line < 30; line++) log.write(`line ${line}`);
    log.flush();
    expect(log.dropped).toBe(15);
    await eventually(() => disk.taken().length === 40);
    expect(disk.taken()).toBe("line 10\nline 11\nline 12\nline 13\nline 14\n");
    expect(reports.length).toBe(2);
    expect(reports[0]).toContain("ENOSPC");
    expect(reports[1]).toBeUndefined();
    log.write("line 30");
    await log.close();
    expect(disk.taken().endsWith("line 14\nline 30\n")).toBe(true);
    expect(log.dropped).toBe(15);
  });

  test("while a write fails full batches do not try again before their time", async () => {
    const disk = scripted("ENOSPC", "ENOSPC");
    const log = new LogFile(newPath(), { write: disk.write, retryMs: 60_000, batchBytes: 4 });
    log.write("12345");
    await eventually(() => disk.calls() === 1);
    await Bun.sleep(1);
    for (let line = 0; line < 100; line++) log.write("12345");
    expect(disk.calls()).toBe(1);
    await log.close();
  });

  test("closing on a broken disk does not wait and counts what is lost", async () => {
    const disk = scripted("EIO", "EIO", "EIO");
    const log = new LogFile(newPath(), { write: disk.write });
    log.write("a");
    log.write("b");
    await log.close();
    expect(log.dropped).toBe(2);
    log.write("c");
    expect(log.dropped).toBe(3);
  });

  test.if(existsSync("/dev/full"))("a device that is really full never throws", async () => {
    const reports: (string | undefined)[] = [];
    const log = new LogFile("/dev/full", { retryMs: 2, report: (problem) => reports.push(problem) });
    log.write("a");
    log.flush();
    await eventually(() => reports.length > 0);
    expect(reports[0]).toContain("ENOSPC");
    await log.close();
    expect(log.dropped).toBe(1);
  });

  const rows: [what: string, path: () => string, message: RegExp][] = [
    [
      "a missing folder",
      () => join(folder, "nope", "a.log"),
      /cannot open log .*nope.a\.log: the folder .*nope does not exist\. Create/,
    ],
    ["a folder", () => folder, /it is a folder/],
    ["a file as folder", () => join(import.meta.path, "a.log"), /is not a folder/],
    [
      "a named pipe that nobody reads",
      () => {
        const path = newPath();
        Bun.spawnSync(["mkfifo", path]);
        return path;
      },
      /named pipe that nobody reads/,
    ],
  ];
  for (const [what, path, message] of rows) {
    test(`${what} is refused at once, with what to do`, () =>
      expect(() => new LogFile(path())).toThrow(message));
  }
});

describe("files", () => {
  test("are appended to and made for owner and group only", async () => {
    const path = newPath();
    for (const line of ["first", "second é"]) {
      const log = new LogFile(path);
      log.write(line);
      await log.close();
    }
    expect(readFileSync(path, "utf8")).toBe("first\nsecond é\n");
    expect(statSync(path).mode & 0o777 & ~0o640).toBe(0);
  });

  test("reopen goes on in a new file, and no line is lost or doubled", async () => {
    const path = newPath();
    const log = new LogFile(path, { flushMs: 1 });
    for (let line = 0; line < 3000; line++) {
      log.write(`line ${line}`);
      if (line % 1000 === 500) {
        renameSync(path, `${path}.${line}`);
        log.reopen();
        log.write(`during ${line}`);
        await eventually(() => existsSync(path));
      }
      if (line % 100 === 0) await Bun.sleep(0);
    }
    await log.close();
    const all = [500, 1500, 2500].map((line) => read(`${path}.${line}`)).join("") + read(path);
    const expected = Array.from({ length: 3000 }, (_, line) => {
      return line % 1000 === 500 ? `line ${line}\nduring ${line}\n` : `line ${line}\n`;
    });
    expect(all).toBe(expected.join(""));
    expect(read(path)).not.toBe("");
  });

  test("a line cut by a full disk stands whole in the file opened next", async () => {
    const disk = scripted(8, "ENOSPC");
    const log = new LogFile(newPath(), { write: disk.write, retryMs: 60_000 });
    log.write("first");
    log.write("second");
    log.flush();
    await eventually(() => disk.calls() === 2);
    log.reopen();
    await log.close();
    expect(disk.taken()).toBe("first\nsesecond\n");
  });

  test("when the path cannot be opened again, the old file stays in use", async () => {
    const inner = join(folder, "inner");
    mkdirSync(inner);
    const reports: (string | undefined)[] = [];
    const log = new LogFile(join(inner, "a.log"), { report: (problem) => reports.push(problem) });
    renameSync(inner, `${inner}-moved`);
    log.reopen();
    log.write("still here");
    await log.close();
    expect(reports[0]).toMatch(/does not exist.*the old file stays in use/);
    expect(read(join(`${inner}-moved`, "a.log"))).toBe("still here\n");
    chmodSync(`${inner}-moved`, 0o700);
  });
});

describe("several processes", () => {
  const LINES = 4000;
  const WRITER = `
    import { LogFile } from ${JSON.stringify(join(import.meta.dir, "log-file.ts"))};
    const [target, name] = process.argv.slice(1).slice(-2);
    const log = new LogFile(target, { flushMs: 1, closeMs: 15_000 });
    for (let line = 0; line < ${LINES}; line++) {
      log.write(name + ":" + line + ":" + name.repeat(1 + (line * 7) % 300) + ";");
      if (line % 50 === 0) await Bun.sleep(0);
    }
    await log.close();
  `;
  const spawn = (target: string, name: string, stdout: "ignore" | "pipe" = "ignore") =>
    Bun.spawn([process.execPath, "-e", WRITER, target, name], { stdout, stderr: "inherit" });

  function check(text: string, names: readonly string[]): void {
    const next = new Map(names.map((name) => [name, 0]));
    for (const line of text.slice(0, -1).split("\n")) {
      const [name = "", number, body] = line.split(":");
      expect(Number(number)).toBe(next.get(name) as number);
      expect(body).toBe(`${name.repeat(1 + ((Number(number) * 7) % 300))};`);
      next.set(name, Number(number) + 1);
    }
    expect([...next.values()]).toEqual(names.map(() => LINES));
  }

  test("append to one file without cutting or mixing a line", async () => {
    const path = newPath();
    const names = ["a", "b", "c"];
    await Promise.all(names.map((name) => spawn(path, name).exited));
    check(read(path), names);
  }, 20_000);

  test("share a pipe without cutting or mixing a line", async () => {
    const path = newPath();
    Bun.spawnSync(["mkfifo", path]);
    // open both ways, it is there for the writers from the start and never blocks
    const held = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    const reader = Bun.spawn(["sh", "-c", 'exec cat < "$0"', path], { stdout: "pipe" });
    const text = new Response(reader.stdout).text();
    const names = ["a", "b"];
    await Promise.all(names.map((name) => spawn(path, name).exited));
    closeSync(held);
    check(await text, names);
  }, 20_000);

  test("stdout of a process is written in full before it is closed", async () => {
    const child = spawn("stdout", "x", "pipe");
    check(await new Response(child.stdout).text(), ["x"]);
    expect(await child.exited).toBe(0);
  }, 20_000);
});
