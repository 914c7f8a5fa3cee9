/**
 * Active checks in the real program: asked once for all workers, obeyed by all of them, and kept over reload and upgrade.
 */
import { afterEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { testAuthority } from "../support/certificates.ts";
import { eventually } from "../support/eventually.ts";
import { type Origin, perRequest, response } from "../support/origin.ts";
import { Stage } from "../support/stage.ts";
import type { Weir } from "../support/weir.ts";
import { metric } from "../support/weir-metrics.ts";

const stage = new Stage();
afterEach(() => stage.clear());

const WAIT_MS = 10_000;

/** An endpoint that says its name, and is as fit as the test says. */
class Endpoint {
  status = "200 OK";
  checks = 0;
  served = 0;
  origin: Origin | undefined;

  static async start(name: string): Promise<Endpoint> {
    const endpoint = new Endpoint();
    const script = perRequest(({ requestLine }, connection) => {
      const isCheck = requestLine === "GET /healthz HTTP/1.1";
      if (isCheck) endpoint.checks++;
      else endpoint.served++;
      const answer = isCheck ? response("", [], endpoint.status) : response(name);
      if (!isCheck) return answer;
      connection.write(answer);
      connection.end();
      return undefined;
    });
    endpoint.origin = await stage.origin(script);
    return endpoint;
  }

  get address(): string {
    return this.origin?.address ?? "";
  }
}

const CHECK = "path: /healthz, interval: 200ms, fastInterval: 100ms, timeout: 1s, rise: 2, fall: 2";

function yaml(endpoints: readonly string[], check = CHECK, workers = 1): string {
  return `
server: { workers: ${workers} }
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { to: app, retry: { attempts: 1 } } ]
upstreams:
  app:
    endpoints: [ ${endpoints.map((address) => `"${address}"`).join(", ")} ]
    health: { active: { ${check} }, passive: off }
`;
}

async function get(weir: Weir): Promise<string> {
  return await (await fetch(`http://127.0.0.1:${weir.port("web")}/`, { keepalive: false })).text();
}

async function names(weir: Weir, count: number): Promise<Set<string>> {
  return new Set(await Promise.all(Array.from({ length: count }, () => get(weir))));
}

const said = (weir: Weir, text: string) =>
  eventually(() => weir.stderr().includes(text), WAIT_MS, `the log to say ${text}`);

test("an endpoint that fails its checks takes nothing in any worker, and comes back when it passes", async () => {
  const [one, two] = [await Endpoint.start("one"), await Endpoint.start("two")];
  const weir = await stage.weir(yaml([one.address, two.address], CHECK, 2));
  await eventually(async () => (await names(weir, 20)).size === 2, WAIT_MS, "both to serve");
  two.status = "503 Service Unavailable";
  await said(
    weir,
    `app ${two.address} is down, was up: checks get an unexpected status: HTTP 503, not 200-399`,
  );
  await eventually(async () => !(await names(weir, 10)).has("two"), WAIT_MS, "every worker to have heard");
  const before = two.served;
  expect([...(await names(weir, 60))]).toEqual(["one"]);
  expect(two.served).toBe(before);
  two.status = "200 OK";
  await said(weir, `app ${two.address} is up, was down`);
  await eventually(async () => (await names(weir, 20)).size === 2, WAIT_MS, "both to serve again");
});

test("an endpoint is asked once for all workers, and what is counted of it is told", async () => {
  const one = await Endpoint.start("one");
  const weir = await stage.weir(yaml([one.address], CHECK, 4));
  const fromMs = performance.now();
  const from = one.checks;
  await eventually(() => one.checks >= from + 10, WAIT_MS, "ten checks");
  const intervals = (performance.now() - fromMs) / 200;
  expect(one.checks - from).toBeLessThan(1.5 * intervals + 2);
  const labels = { upstream: "app", endpoint: one.address };
  const text = await weir.metrics();
  expect(metric(text, "weir_upstream_checks_total", { ...labels, result: "passed" })).toBeGreaterThan(8);
  expect(metric(text, "weir_upstream_checks_total", { ...labels, result: "failed" })).toBe(0);
  const seconds = metric(text, "weir_upstream_check_duration_seconds", labels);
  expect(seconds > 0 && seconds < 1).toBe(true);
});

test("a reload keeps what checks have found; an endpoint that leaves is asked no more", async () => {
  const [one, two, three] = [
    await Endpoint.start("one"),
    await Endpoint.start("two"),
    await Endpoint.start("three"),
  ];
  const weir = await stage.weir(yaml([one.address, two.address]));
  two.status = "503 Service Unavailable";
  await said(weir, `${two.address} is down`);
  await eventually(async () => !(await names(weir, 4)).has("two"), WAIT_MS, "the worker to have heard");
  const before = two.served;
  expect(await weir.reload(yaml([three.address, two.address]))).toBe(true);
  expect([...(await names(weir, 20))]).toEqual(["three"]);
  expect(two.served).toBe(before);
  const [gone, kept] = [one.checks, two.checks];
  await eventually(() => two.checks >= kept + 5, WAIT_MS, "the endpoint that stays to be asked");
  expect(one.checks - gone).toBeLessThanOrEqual(1); // one may have been under way
  expect(weir.stderr()).not.toContain(`${two.address} is up`);
});

test("an upgrade takes over what checks have found, without a flap, and goes on asking", async () => {
  const [one, two] = [await Endpoint.start("one"), await Endpoint.start("two")];
  const weir = await stage.weir(yaml([one.address, two.address]));
  two.status = "503 Service Unavailable";
  await said(weir, `${two.address} is down`);
  await eventually(async () => !(await names(weir, 4)).has("two"), WAIT_MS, "the worker to have heard");
  const { pid } = await weir.status();
  const before = two.served;
  weir.signal("SIGUSR2");
  const heir = async () => {
    const next = (await weir.status()).pid;
    return next === pid ? undefined : next;
  };
  const next = (await eventually(heir, WAIT_MS, "the next generation")) as number;
  stage.after(async () => {
    process.kill(next, "SIGTERM");
    await eventually(() => !isAlive(next), WAIT_MS, "the next generation to end");
  });
  expect([...(await names(weir, 20))]).toEqual(["one"]);
  await weir.exited;
  const asked = two.checks;
  await eventually(() => two.checks >= asked + 3, WAIT_MS, "the next generation to ask");
  expect(two.served).toBe(before);
  expect(weir.stderr()).not.toContain(`${two.address} is up`);
  two.status = "200 OK";
  await said(weir, `app ${two.address} is up, was down`);
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test("an agent drains its endpoint, and brings it back", async () => {
  const one = await Endpoint.start("one");
  let line = "up 100%\n";
  const agent = await stage.origin({
    open(connection) {
      connection.write(line);
      connection.end();
    },
  });
  const check = `type: agent, port: ${agent.port}, interval: 200ms, fastInterval: 100ms`;
  const weir = await stage.weir(yaml([one.address], check));
  await eventually(async () => (await get(weir)) === "one", WAIT_MS, "the endpoint to serve");
  line = "drain # deploy\n";
  await said(weir, `app ${one.address} is draining, was up: asked for by the endpoint's agent`);
  await eventually(async () => (await get(weir)) !== "one", WAIT_MS, "the worker to have heard");
  line = "up 100%\n";
  await said(weir, `app ${one.address} is up, was draining`);
  await eventually(async () => (await get(weir)) === "one", WAIT_MS, "the endpoint to serve again");
});

test("a command gets none of our sockets and files", async () => {
  const one = await Endpoint.start("one");
  const files = join(mkdtempSync(join(tmpdir(), "weir-checks-")), "files");
  stage.after(() => rmSync(dirname(files), { recursive: true }));
  const command = `["/bin/sh", "-c", "ls -l /proc/self/fd > ${files}.new && mv ${files}.new ${files}"]`;
  await stage.weir(yaml([one.address], `type: command, command: ${command}`));
  await eventually(() => existsSync(files), WAIT_MS, "the command to run");
  const open = readFileSync(files, "utf8").match(/ \d+ -> .*/g) ?? [];
  // standard streams, and the folder that is being listed
  expect(open.map((line) => line.split(" ")[1])).toEqual(["0", "1", "2", "3"]);
  expect(open[3]).toContain("/proc/");
});

test("https: the upstream's own authority is trusted by its checks too", async () => {
  const ca = await testAuthority();
  const { cert, key } = await ca.issue({ names: ["good.test"] });
  const server: Server = createServer({ cert, key }, (_request, answer) => void answer.end("secured"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stage.after(() => void server.close());
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const config = (serverName: string) => `
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { to: app } ]
upstreams:
  app:
    endpoints: [ "${address}" ]
    tls: { ca: ca.pem, serverName: ${serverName} }
    health: { active: { ${CHECK}, initial: down }, passive: off }
`;
  const weir = await stage.weir(config("good.test"), { files: { "ca.pem": ca.caPem } });
  await said(weir, `app ${address} is up, was down: passed its checks: HTTP 200`);
  expect(metric(await weir.metrics(), "weir_upstream_checks_total", { result: "failed" })).toBe(0);
  expect(await weir.reload(config("other.test"))).toBe(true);
  await said(weir, `app ${address} is down, was up: checks fail in the TLS handshake`);
});
