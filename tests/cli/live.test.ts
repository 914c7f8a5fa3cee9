/**
 * The commands that stay, and those that talk to them: the demo, proxy, run, status, reload.
 */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Status } from "../../src/admin/status.ts";
import { type DemoOrigin, startOrigin } from "../../src/app/demo-origin.ts";
import { eventually } from "../support/eventually.ts";
import { freePort, freePorts } from "../support/ports.ts";
import { weir } from "./program.ts";
import { type RunningProgram, start } from "./running-program.ts";

const root = mkdtempSync(join(tmpdir(), "weir-live-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let count = 0;
function newFolder(files: Readonly<Record<string, string>> = {}): string {
  const folder = join(root, `${count++}`);
  mkdirSync(folder);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

const running: RunningProgram[] = [];
const origins: DemoOrigin[] = [];
function startHere(...args: Parameters<typeof start>): RunningProgram {
  const program = start(...args);
  running.push(program);
  return program;
}
function origin(name: string): string {
  const started = startOrigin({ name, where: { port: 0 } });
  origins.push(started);
  return `127.0.0.1:${started.port}`;
}
afterEach(async () => {
  await Promise.all(running.splice(0).map((program) => program.end()));
  await Promise.all(origins.splice(0).map((each) => each.stop(true)));
});

const body = async (url: string) => await (await fetch(url)).text();
const READY = /is ready/;

describe("weir in a folder without a configuration is the demo", () => {
  test("everything it says to try works, and Ctrl-C ends it with 0", async () => {
    const demo = startHere([], newFolder());
    await demo.says(READY);
    const site = /http:\/\/localhost:\d+/.exec(demo.err())?.[0] ?? "";
    const bodies = [];
    for (let turn = 0; turn < 8; turn++) bodies.push(await body(`${site}/`));
    expect(bodies.join()).toContain("origin A");
    expect(bodies.join()).toContain("origin B");
    expect(await body(`${site}/ping`)).toBe("pong\n");
    const kept = [await fetch(`${site}/kept/x`), await fetch(`${site}/kept/x`)];
    expect(kept.map(({ headers }) => headers.get("cache-status")?.split(";")[1])).toEqual([
      " fwd=uri-miss",
      " hit",
    ]);
    expect(await body(`${site}/hello/you`)).toMatch(/^Hello, you! \(origin [AB]\)\n$/);
    const moved = await fetch(`${site}/old/you`, { redirect: "manual" });
    expect([moved.status, moved.headers.get("location")]).toEqual([308, "/hello/you"]);
    const events = (await fetch(`${site}/events`)).body?.getReader();
    const first = await events?.read();
    expect(new TextDecoder().decode(first?.value as Uint8Array)).toStartWith(
      "event: tick\ndata: 1 from origin ",
    );
    await events?.cancel();
    const socket = new WebSocket(`${site.replace("http", "ws")}/ws`);
    const greeting = await new Promise((resolve) =>
      socket.addEventListener("message", ({ data }) => resolve(data)),
    );
    expect(greeting).toMatch(/^origin [AB] echoes/);
    socket.close();
    const admin = /admin {4}(http:\S+)/.exec(demo.err())?.[1] ?? "";
    expect((await fetch(admin)).headers.get("content-type")).toContain("text/html");
    await eventually(() => demo.out().includes("GET /ping"), 5000, "the access log on standard output");
    expect(await demo.end("SIGINT")).toBe(0);
  }, 40_000);

  test("a taken port is stepped over, and that is said", async () => {
    const hog = tryListen(8080);
    try {
      const demo = startHere(["demo"], newFolder());
      await demo.says(READY);
      const port = /http:\/\/localhost:(\d+)/.exec(demo.err())?.[1];
      expect(Number(port)).toBeGreaterThan(8080);
      expect(demo.err()).toContain(`Port 8080 is in use, so this is port ${port}`);
      expect(await body(`http://127.0.0.1:${port}/ping`)).toBe("pong\n");
    } finally {
      hog?.stop(true);
    }
  }, 30_000);
});

/** Takes the port, unless somebody has it already. */
function tryListen(port: number) {
  try {
    return Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } });
  } catch {
    return undefined;
  }
}

describe("weir proxy", () => {
  test("several --to take turns, and what it does is said", async () => {
    const port = await freePort();
    const [a, b] = [origin("A"), origin("B")];
    const proxy = startHere(
      ["proxy", "--listen", `127.0.0.1:${port}`, "--to", a, "--to", `http://${b}/`],
      newFolder(),
    );
    await proxy.says(READY);
    expect(proxy.err()).toContain(`weir: 127.0.0.1:${port} → ${a} ${b}, in turn`);
    const bodies = [];
    for (let turn = 0; turn < 8; turn++) bodies.push(await body(`http://127.0.0.1:${port}/`));
    expect(bodies.join()).toContain("origin A");
    expect(bodies.join()).toContain("origin B");
    expect(await proxy.end()).toBe(0);
  }, 30_000);

  test("--print gives a file that is right", async () => {
    const { out } = await weir(["proxy", "--to", ":3000", "--listen", "[::1]:81", "--access-log", "--print"]);
    const folder = newFolder({ "weir.yaml": out });
    expect(await weir(["check"], { cwd: folder })).toMatchObject({ code: 0, err: "" });
  });

  test("the demo's --print gives a right file, and says that its servers are not in it", async () => {
    const { out } = await weir(["demo", "--print"]);
    expect(out).toStartWith("# The demo brings its own servers");
    const folder = newFolder({ "weir.yaml": out });
    expect(await weir(["check"], { cwd: folder })).toMatchObject({ code: 0, err: "" });
  });
});

const yaml = (port: number, admin: number, text: string) => `
listeners: { web: { bind: "127.0.0.1:${port}" } }
routes: [ { respond: { status: 200, body: "${text}" } } ]
server: { workers: 1 }
admin: { bind: "127.0.0.1:${admin}", token: { env: TOKEN } }
`;

describe("weir run, with status and reload", () => {
  test("a folder with a weir.yaml is run, asked, changed by reload, and left whole by a bad change", async () => {
    const [port = 0, admin = 0] = await freePorts(2);
    const folder = newFolder({ "weir.yaml": yaml(port, admin, "one") });
    const env = { TOKEN: "s3cret" };
    const here = { cwd: folder, env: { ...process.env, ...env } };
    const program = startHere([], folder, env);
    await program.says(READY);
    const site = `http://127.0.0.1:${port}/`;
    expect(await body(site)).toBe("one");

    const status = await weir(["status", "--json"], here);
    expect(status.code).toBe(0);
    expect(JSON.parse(status.out) as Status).toMatchObject({
      state: "running",
      configVersion: 1,
      pid: program.pid,
    });
    expect((await weir(["status"], here)).out).toContain("web       127.0.0.1:");
    const noToken = await weir(["status", "--admin", `127.0.0.1:${admin}`]);
    expect(noToken).toMatchObject({ code: 1, err: expect.stringContaining("wants an admin token") });
    const wrong = { env: { ...process.env, WEIR_ADMIN_TOKEN: "guess" } };
    const refused = await weir(["status", "--admin", `127.0.0.1:${admin}`], wrong);
    expect(refused).toMatchObject({ code: 1, err: expect.stringContaining("refused the admin token") });

    writeFileSync(join(folder, "weir.yaml"), yaml(port, admin, "two"));
    expect(await weir(["reload"], here)).toEqual({
      code: 0,
      out: "ok: configuration 2 is in force\n",
      err: "",
    });
    expect(await body(site)).toBe("two");

    writeFileSync(join(folder, "weir.yaml"), yaml(port, admin, "three").replace("respond", "rspond"));
    const bad = await weir(["reload"], here);
    expect(bad).toMatchObject({ code: 2, out: "" });
    expect(bad.err).toContain("weir.yaml:3:");
    expect(bad.err).toContain("not reloaded");
    expect(bad.err).not.toContain("s3cret");
    expect(await body(site)).toBe("two");
    // a file with problems still says where to ask
    expect((await weir(["status"], here)).out).toContain("last reload refused");
    const tokenEnv = { env: { ...process.env, WEIR_ADMIN_TOKEN: "s3cret" } };
    const asked = await weir(["reload", "--admin", `127.0.0.1:${admin}`, "--json"], tokenEnv);
    expect(asked.code).toBe(2);
    expect(JSON.parse(asked.out)).toMatchObject({ applied: false, configVersion: 2 });

    // the shell that asks need not have the environment of the program that runs
    writeFileSync(join(folder, "weir.yaml"), yaml(port, admin, "four"));
    expect(await weir(["reload"], { cwd: folder, ...tokenEnv })).toMatchObject({ code: 0, err: "" });
    expect(await body(site)).toBe("four");
    expect(await program.end()).toBe(0);
  }, 60_000);

  test("--watch takes over a changed file", async () => {
    const [port = 0, admin = 0] = await freePorts(2);
    const folder = newFolder({ "own.yaml": yaml(port, admin, "one") });
    const program = startHere(["run", "-c", "own.yaml", "--watch"], folder, { TOKEN: "x" });
    await program.says(READY);
    writeFileSync(join(folder, "own.yaml"), yaml(port, admin, "two"));
    await eventually(
      async () => (await body(`http://127.0.0.1:${port}/`)) === "two",
      10_000,
      "the new answer",
    );
  }, 30_000);

  test("a configuration with problems is not run: exit code 2, each with its place", async () => {
    const folder = newFolder({ "weir.yaml": "listeners: { web: { bidn: 1 } }\nroutes: [ { to: ap } ]\n" });
    const run = await weir([], { cwd: folder });
    expect(run.code).toBe(2);
    expect(run.err).toContain("weir.yaml:1:");
    expect(run.err).toContain("weir.yaml:2:");
  });

  test("no file is said, with the names that were looked for", async () => {
    const run = await weir(["run"], { cwd: newFolder() });
    expect(run.code).toBe(2);
    expect(run.err).toContain("weir.config.ts");
  });
});

describe("weir check", () => {
  test("counts what is there", async () => {
    const folder = newFolder({ "weir.yaml": yaml(1, 2, "x") });
    const run = await weir(["check"], { cwd: folder, env: { ...process.env, TOKEN: "s3cret" } });
    expect(run).toEqual({
      code: 0,
      out: "ok: 1 listener, 1 route (weir.yaml)\n",
      err: "",
    });
  });

  test("tells every problem at once with place and hint, for people and as JSON", async () => {
    const folder = newFolder({
      "weir.yaml": 'listeners: { web: { bidn: 1 } }\nroutes: [ { to: ap } ]\nupstreams: { app: [ ":1" ] }\n',
    });
    const run = await weir(["check"], { cwd: folder });
    expect(run).toMatchObject({ code: 2, out: "" });
    expect(run.err).toMatch(/^weir\.yaml:1:\d+: .*bidn.*Did you mean `bind`\?/m);
    expect(run.err).toMatch(/^weir\.yaml:2:\d+: .*Did you mean `app`\?/m);
    const { ok, problems } = JSON.parse((await weir(["check", "--json"], { cwd: folder })).out);
    expect(ok).toBe(false);
    expect(problems.length).toBeGreaterThanOrEqual(2);
  });
});

test("weir schema is a JSON Schema that names the keys", async () => {
  const schema = JSON.parse((await weir(["schema"])).out);
  expect(schema.$schema).toContain("2020-12");
  expect(Object.keys(schema.properties)).toContain("listeners");
});
