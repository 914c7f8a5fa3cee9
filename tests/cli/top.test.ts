/**
 * `weir top`, `weir events` and the words for endpoints, at the real program and on a terminal of its own.
 */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EndpointChangeEvent } from "../../src/admin/status.ts";
import { type DemoOrigin, startOrigin } from "../../src/app/demo-origin.ts";
import { eventually, within } from "../support/eventually.ts";
import { freePorts } from "../support/ports.ts";
import { WEIR, weir } from "./program.ts";
import { type RunningProgram, start } from "./running-program.ts";

const root = mkdtempSync(join(tmpdir(), "weir-top-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const origins: DemoOrigin[] = [];
let program: RunningProgram | undefined;
let count = 0;
afterEach(async () => {
  await program?.end();
  await Promise.all(origins.splice(0).map((origin) => origin.stop(true)));
});

/** A Weir with two endpoints. */
async function startWeir() {
  const folder = join(root, `${count++}`);
  mkdirSync(folder);
  const [port = 0, admin = 0] = await freePorts(2);
  const names = ["A", "B"].map((name) => {
    const origin = startOrigin({ name, where: { port: 0 } });
    origins.push(origin);
    return `127.0.0.1:${origin.port}`;
  });
  writeFileSync(
    join(folder, "weir.yaml"),
    `server: { workers: 1 }
listeners: { web: { bind: "127.0.0.1:${port}" } }
routes: [ { name: all, to: app } ]
upstreams: { app: [ "${names[0]}", "${names[1]}" ] }
admin: { bind: "127.0.0.1:${admin}" }
`,
  );
  program = start([], folder);
  await program.says(/is ready/);
  const [a = "", b = ""] = names;
  return { folder, a, b, site: `http://127.0.0.1:${port}/` };
}

const bodies = async (site: string) => {
  const seen = new Set<string>();
  for (let turn = 0; turn < 8; turn++)
    seen.add(/origin [AB]/.exec(await (await fetch(site)).text())?.[0] ?? "");
  return [...seen].toSorted();
};

describe("an endpoint is taken out and put back by a word", () => {
  test("drain, weight, maintenance and up: requests follow, status, events and the log tell of it", async () => {
    const { folder, a, b, site } = await startWeir();
    const here = { cwd: folder };
    expect(await bodies(site)).toEqual(["origin A", "origin B"]);

    const drained = await weir(["drain", "app", b, "--note", "new disk", "--wait", "10s"], here);
    expect(drained).toEqual({
      code: 0,
      out: `ok: app ${b} is draining (set by an operator: new disk)\n`,
      err: "",
    });
    expect(await bodies(site)).toEqual(["origin A"]);
    const status = await weir(["status"], here);
    expect(status.out).toMatch(new RegExp(`^app +${b} +draining +\\S+`, "m"));
    expect(status.out).toContain(`app ${b} is draining: set by an operator: new disk`);

    expect(await weir(["reload"], here)).toMatchObject({ code: 0 });
    expect(await bodies(site)).toEqual(["origin A"]);
    expect((await weir(["weight", "app", a, "5", "--json"], here)).out).toContain('"isWeightSet": true');
    expect((await weir(["maintenance", "app", b], here)).out).toContain("is in maintenance");
    expect((await weir(["up", "app", b], here)).out).toContain(`app ${b} is up`);
    expect(await bodies(site)).toEqual(["origin A", "origin B"]);

    const events = JSON.parse((await weir(["events", "--json"], here)).out) as EndpointChangeEvent[];
    expect(events.map(({ endpoint, from, to, why }) => [endpoint, from, to, why])).toEqual([
      [b, "up", "draining", "set by an operator: new disk"],
      [b, "draining", "maintenance", "set by an operator"],
      [b, "maintenance", "up", "set by an operator"],
    ]);
    expect((await weir(["events"], here)).out).toMatch(/draining +set by an operator: new disk\n/);
    expect(program?.err()).toContain(`info health app ${b} is draining`);
    expect(program?.err()).toContain(`info health app ${a} has weight 5: set by an operator`);
  }, 60_000);

  test("names that are not there are refused with what was probably meant, exit code 2", async () => {
    const { folder, a } = await startWeir();
    const here = { cwd: folder };
    expect(await weir(["drain", "ap", a], here)).toEqual({
      code: 2,
      out: "",
      err: 'not changed: no upstream "ap"; did you mean "app"?\n',
    });
    const wrong = await weir(["up", "app", "127.0.0.1:1"], here);
    expect(wrong).toMatchObject({ code: 2, out: "" });
    expect(wrong.err).toContain('upstream "app" has no endpoint "127.0.0.1:1"');
    expect(await weir(["drain", "app", a, "--admin", "127.0.0.1:1"])).toMatchObject({ code: 1 });
  }, 30_000);
});

describe("weir top", () => {
  test("--once prints a second of rates, for people and as JSON", async () => {
    const { folder, b, site } = await startWeir();
    await weir(["drain", "app", b], { cwd: folder });
    const load = setInterval(() => void fetch(site).then((answer) => answer.text()), 20);
    try {
      const once = await weir(["top", "--once"], { cwd: folder });
      expect(once).toMatchObject({ code: 0, err: "" });
      expect(once.out).toMatch(/^all +[1-9]\S* +0 +\d/m);
      expect(once.out).toMatch(new RegExp(`^app ${b} +draining`, "m"));
      const { total, endpoints } = JSON.parse((await weir(["top", "--json"], { cwd: folder })).out);
      expect(total.requests).toBeGreaterThan(5);
      expect(total.p50Ms).toBeGreaterThan(0);
      expect(endpoints).toMatchObject([{ state: "up" }, { state: "draining", requests: 0 }]);
    } finally {
      clearInterval(load);
    }
  }, 30_000);

  test("nobody there is said at once", async () => {
    const said = await weir(["top", "--admin", "127.0.0.1:1"]);
    expect(said).toMatchObject({ code: 1, out: "", err: expect.stringContaining("nothing listens") });
  });

  const ways: [what: string, leave: (terminal: Bun.Terminal, child: Bun.Subprocess) => void][] = [
    ["q", (terminal) => void terminal.write("q")],
    ["Ctrl-C", (terminal) => void terminal.write("\x03")],
    ["SIGTERM", (_, child) => child.kill("SIGTERM")],
  ];
  test.each(ways)(
    "on a terminal: fits it, follows its size, and %s gives it back as it was",
    async (_, leave) => {
      const { folder } = await startWeir();
      let seen = "";
      const terminal = new Bun.Terminal({
        cols: 80,
        rows: 24,
        data: (_self, data) => {
          seen += Buffer.from(data).toString();
        },
      });
      const child = Bun.spawn([WEIR, "top"], {
        cwd: folder,
        terminal,
        env: { ...process.env, TERM: "xterm-256color" },
      });
      const frames = () => seen.split("\x1b[H").slice(1);
      try {
        await eventually(() => frames().length >= 2, 10_000, "a second frame");
        expect(seen).toStartWith("\x1b[?1049h\x1b[?25l");
        const lines = Bun.stripANSI(frames().at(-1) ?? "").split("\r\n");
        expect(lines.length).toBeLessThanOrEqual(24);
        expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
        expect(lines.at(-1)).toBe("q leaves");
        const before = frames().length;
        terminal.resize(120, 10);
        await eventually(
          () => frames().length > before && (frames().at(-1) ?? "").includes("P50      P95      P99"),
          5000,
          "a wide frame",
        );
        leave(terminal, child);
        expect(await within(child.exited, 5000, "weir top to leave")).toBe(0);
        await eventually(() => seen.endsWith("\x1b[?25h\x1b[?1049l"), 5000, "the terminal as it was");
      } finally {
        child.kill("SIGKILL");
        terminal.close();
      }
    },
    30_000,
  );
});
