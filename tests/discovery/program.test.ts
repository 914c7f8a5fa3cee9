/**
 * Discovery in the running program: endpoints come, go and stay, and nobody who asks notices.
 */
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DockerEngine } from "../support/docker-engine.ts";
import { eventually } from "../support/eventually.ts";
import { Origin, perRequest, response } from "../support/origin.ts";
import { RawClient } from "../support/raw-client.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { ask, get } from "../wire/ask.ts";

const folder = mkdtempSync(join(tmpdir(), "weir-found-"));
const path = join(folder, "endpoints.yaml");
let weir: Weir | undefined;
let engine: DockerEngine | undefined;
let origins: Origin[] = [];

afterEach(async () => {
  await weir?.stop();
  engine?.stop();
  for (const origin of origins) await origin.stop();
  [weir, engine, origins] = [undefined, undefined, []];
  rmSync(path, { force: true });
});

async function startOrigins(count: number): Promise<readonly Origin[]> {
  for (let index = 0; index < count; index++) {
    origins.push(await Origin.start(perRequest(() => response(`e${index}`))));
  }
  return origins;
}

function write(...endpoints: readonly Origin[]): void {
  writeFileSync(`${path}.new`, JSON.stringify(endpoints.map(({ address }) => address)));
  renameSync(`${path}.new`, path);
}

const yaml = (discovery: string, more = "") =>
  `listeners: { web: { bind: "127.0.0.1:0" } }\nroutes: [ { to: app } ]\n` +
  `upstreams: { app: { discovery: ${discovery}${more} } }\nserver: { workers: 2 }\n`;
const FILE = yaml(`{ file: ${JSON.stringify(path)} }`);

async function endpointsOf(running: Weir): Promise<string[]> {
  const [app] = (await running.status()).upstreams;
  return (app?.endpoints ?? []).map(({ name }) => name).toSorted();
}

const addressesOf = (...list: readonly Origin[]) => list.map(({ address }) => address).toSorted();

async function untilFound(running: Weir, ...expected: readonly Origin[]): Promise<void> {
  const wanted = JSON.stringify(addressesOf(...expected));
  await eventually(
    async () => JSON.stringify(await endpointsOf(running)) === wanted,
    10_000,
    `the endpoints ${wanted}`,
  );
}

async function answersOf(running: Weir, count = 12): Promise<ReadonlySet<string>> {
  const bodies = new Set<string>();
  for (let turn = 0; turn < count; turn++) bodies.add((await ask(running.port(), get("/"))).body);
  return bodies;
}

test("an upstream whose source has no list yet answers 503, and works when the list is there", async () => {
  const [a] = (await startOrigins(1)) as [Origin];
  weir = await startWeir(FILE);
  expect((await ask(weir.port(), get("/"))).status).toBe(503);
  write(a);
  await untilFound(weir, a);
  expect((await ask(weir.port(), get("/"))).body).toBe("e0");
});

test("endpoints come and go without a new version of the configuration", async () => {
  const [a, b] = (await startOrigins(2)) as [Origin, Origin];
  write(a);
  weir = await startWeir(FILE);
  expect(await answersOf(weir)).toEqual(new Set(["e0"]));
  write(a, b);
  await untilFound(weir, a, b);
  expect(await answersOf(weir)).toEqual(new Set(["e0", "e1"]));
  write(b);
  await untilFound(weir, b);
  expect(await answersOf(weir)).toEqual(new Set(["e1"]));
  const { configVersion, lastReload } = await weir.status();
  expect([configVersion, lastReload ?? undefined]).toEqual([1, undefined]);
  const { discovery } = await weir.status();
  expect(discovery).toEqual([
    expect.objectContaining({ upstream: "app", source: `file ${path}`, state: "found", endpoints: 1 }),
  ]);
  const metrics = await weir.metrics();
  expect(metrics).toContain('weir_discovery_up{upstream="app"} 1\n');
  expect(metrics).toContain('weir_discovery_endpoints{upstream="app"} 1\n');
  expect(metrics).toContain('weir_discovery_changes_total{upstream="app"} 3\n');
  expect(metrics).toContain("weir_config_version 1\n");
});

test("a source that fails or comes back empty takes nothing away, over a reload too", async () => {
  const [a, b] = (await startOrigins(2)) as [Origin, Origin];
  write(a);
  weir = await startWeir(FILE);
  for (const spoil of [() => rmSync(path), () => writeFileSync(path, "- 10.0.0.1\n"), () => write()]) {
    const before = weir.stderr().split("stays").length;
    spoil();
    await eventually(() => (weir?.stderr().split("stays").length ?? 0) > before, 10_000, "a line in the log");
    expect(await answersOf(weir, 4)).toEqual(new Set(["e0"]));
  }
  expect(await weir.reload(FILE)).toBe(true);
  expect(await answersOf(weir, 4)).toEqual(new Set(["e0"]));
  write(b);
  await untilFound(weir, b);
});

test("a reload that is refused leaves the source that was followed", async () => {
  const [a, b] = (await startOrigins(2)) as [Origin, Origin];
  write(a);
  weir = await startWeir(FILE);
  const other = yaml("{ file: other.yaml }");
  expect(await weir.reload(other.replace("routes:", "wrong: 1\nroutes:"))).toBe(false);
  write(a, b);
  await untilFound(weir, a, b);
});

test("listed endpoints stand beside those found", async () => {
  const [a, b] = (await startOrigins(2)) as [Origin, Origin];
  write(a, b);
  weir = await startWeir(yaml(`{ file: ${JSON.stringify(path)} }`, `, endpoints: [ "${a.address}" ]`));
  await untilFound(weir, a, b);
  write();
  write(b);
  await eventually(async () => (await answersOf(weir as Weir, 4)).size === 2, 5000, "both");
});

test("connections of an endpoint that stays are not touched, and its numbers go on", async () => {
  const [a, b] = (await startOrigins(2)) as [Origin, Origin];
  write(a);
  weir = await startWeir(FILE.replace("workers: 2", "workers: 1"));
  const client = await RawClient.connect(weir.port());
  const once = async () => {
    await client.send(get("/"));
    return (await client.response("GET")).body;
  };
  expect(await once()).toBe("e0");
  write(a, b);
  await untilFound(weir, a, b);
  for (let turn = 0; turn < 4; turn++) await once();
  expect(a.connections).toHaveLength(1);
  write(a);
  await untilFound(weir, a);
  expect(await once()).toBe("e0");
  client.close();
  const [app] = (await weir.status()).upstreams;
  expect(app?.endpoints[0]?.requests).toBeGreaterThanOrEqual(4);
});

test("what is in flight at an endpoint that is gone is finished", async () => {
  let release = () => {};
  const slow = await Origin.start({
    data(connection) {
      release = () => connection.write(response("slow"));
    },
  });
  origins.push(slow);
  const quick = await Origin.start(perRequest(() => response("quick")));
  origins.push(quick);
  write(slow);
  weir = await startWeir(FILE);
  const answer = ask(weir.port(), get("/"));
  await eventually(() => slow.connections.length === 1, 5000, "the request to arrive");
  write(quick);
  await untilFound(weir, quick);
  expect(await answersOf(weir, 4)).toEqual(new Set(["quick"]));
  release();
  expect((await answer).body).toBe("slow");
});

test("no request is lost while the list changes under load", async () => {
  const [a, b, c] = (await startOrigins(3)) as [Origin, Origin, Origin];
  write(a, b);
  weir = await startWeir(FILE);
  const port = weir.port();
  let isStopped = false;
  const bad: string[] = [];
  let count = 0;
  const lane = async () => {
    const client = await RawClient.connect(port);
    while (!isStopped) {
      await client.send(get("/"));
      const { status } = await client.response("GET");
      if (status !== 200) bad.push(String(status));
      count++;
      await Bun.sleep(2);
    }
    client.close();
  };
  const lanes = Array.from({ length: 4 }, () => lane().catch((error: unknown) => bad.push(String(error))));
  const stages = [[b, c], [a, c], [a, b, c], [c], [a, b]];
  for (const stage of stages) {
    write(...stage);
    await untilFound(weir, ...stage);
  }
  isStopped = true;
  await Promise.all(lanes);
  expect(bad).toEqual([]);
  expect(count).toBeGreaterThan(100);
}, 60_000);

test("a new generation goes on with the list when the source is silent at that moment", async () => {
  const [a] = (await startOrigins(1)) as [Origin];
  write(a);
  weir = await startWeir(FILE);
  rmSync(path);
  weir.signal("SIGUSR2");
  await eventually(() => weir?.stderr().includes("upgraded: pid"), 15_000, "the new generation");
  expect(await answersOf(weir, 4)).toEqual(new Set(["e0"]));
}, 30_000);

test("containers are found by an event, long before the interval is over", async () => {
  const [a, b] = (await startOrigins(2)) as [Origin, Origin];
  engine = await DockerEngine.start();
  const container = (origin: Origin) => ({
    name: `web-${origin.port}`,
    ip: "127.0.0.1",
    port: origin.port,
    labels: { "weir.upstream": "app" },
  });
  engine.containers = [container(a)];
  weir = await startWeir(yaml(`{ docker: { socket: "${engine.socket}" }, interval: 1h }`));
  await untilFound(weir, a);
  await eventually(() => engine?.listeners === 1, 5000, "the stream of events");
  engine.change([container(a), container(b)]);
  await untilFound(weir, a, b);
});

test("a registry over HTTP is asked each interval; when it dies, its list stays", async () => {
  const [a, b] = (await startOrigins(2)) as [Origin, Origin];
  let list = [a.address];
  const registry = await Origin.start(perRequest(() => response(JSON.stringify(list))));
  weir = await startWeir(yaml(`{ http: "http://${registry.address}/app", interval: 100ms }`));
  await untilFound(weir, a);
  list = [a.address, b.address];
  await untilFound(weir, a, b);
  await registry.stop();
  await eventually(() => weir?.stderr().includes("nobody listens there"), 10_000, "the failure in the log");
  expect(await answersOf(weir)).toEqual(new Set(["e0", "e1"]));
});
