/**
 * What control and workers rely on beyond descriptors: errno after a call, changing user, the end of a parent.
 */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { errno, libc } from "../../src/transport/libc.ts";

const IS_ROOT = process.getuid?.() === 0;

test("errno is that of the call just made", () => {
  expect(libc().close(1_000_000)).toBe(-1);
  expect(errno()).toBe("errno 9"); // EBADF, which nobody here has a word for
  expect(libc().socket(-1, 1, 0)).toBe(-1);
  expect(errno()).toBe("EAFNOSUPPORT");
});

test("a child is told by `disconnect` that its parent was killed", async () => {
  const child = `process.on("disconnect", () => { console.log("disconnected"); process.exit(0); });
    process.send("up"); setInterval(() => {}, 1000);`;
  const parent = `Bun.spawn([process.execPath, "-e", ${JSON.stringify(child)}],
    { stdio: ["ignore", "inherit", "inherit"], ipc: () => process.kill(process.pid, "SIGKILL") });`;
  const spawned = Bun.spawn([process.execPath, "-e", parent], { stdio: ["ignore", "pipe", "inherit"] });
  expect((await new Response(spawned.stdout).text()).trim()).toBe("disconnected");
  expect(spawned.signalCode).toBe("SIGKILL");
});

test.skipIf(!IS_ROOT || process.platform !== "linux")(
  "setgroups, setgid and setuid change every thread, for good; IPC goes on",
  async () => {
    const source = `import { become } from ${JSON.stringify(join(import.meta.dir, "../../src/transport/privileges.ts"))};
    import { readdirSync, readFileSync } from "node:fs";
    become({ name: "nobody", uid: 65534, gid: 65534, groups: [65534] });
    const threads = readdirSync("/proc/self/task").map((id) => readFileSync("/proc/self/task/" + id + "/status", "utf8"));
    const lines = threads.flatMap((text) => text.match(/^(Uid|Gid|Groups):.*$/gm) ?? []);
    process.send([...new Set(lines.map((line) => line.replace(/\\s+/g, " ").trim()))].sort());`;
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const spawned = Bun.spawn([process.execPath, "-e", source], {
      stdio: ["ignore", "inherit", "inherit"],
      ipc: resolve,
    });
    expect(await promise).toEqual([
      "Gid: 65534 65534 65534 65534",
      "Groups: 65534",
      "Uid: 65534 65534 65534 65534",
    ]);
    await spawned.exited;
  },
);
