/**
 * Endpoints that fail, come back, are drained and set apart: the real program with two workers, and what clients see.
 */
import { afterEach, expect, test } from "bun:test";
import type { EndpointStatus } from "../../src/admin/status.ts";
import { eventually } from "../support/eventually.ts";
import { freePorts } from "../support/ports.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { allGone, childrenOf } from "./processes.ts";

const WORKERS = 2;

let weir: Weir | undefined;
const origins: Bun.Server<undefined>[] = [];
afterEach(async () => {
  await weir?.stop();
  weir = undefined;
  for (const origin of origins.splice(0)) await origin.stop(true);
});

/** Answers with its own port; `/slow` only once `letGo` is called. */
function serve(port: number): { readonly origin: Bun.Server<undefined>; letGo(): void; asked: number } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const served = { origin: undefined as never as Bun.Server<undefined>, letGo: resolve, asked: 0 };
  served.origin = Bun.serve({
    port,
    hostname: "127.0.0.1",
    fetch: async (request) => {
      served.asked++;
      if (request.url.endsWith("/slow")) await promise;
      return new Response(`${port}`);
    },
  });
  origins.push(served.origin);
  return served;
}

interface Plan {
  readonly ports: readonly number[];
  readonly passive?: string;
  readonly slowStart?: string;
}

async function start({ ports, passive = "{}", slowStart = "0" }: Plan): Promise<Weir> {
  weir = await startWeir(`
server: { workers: ${WORKERS}, drainTimeout: 10s }
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { to: app, timeouts: { connect: 2s } } ]
upstreams:
  app:
    endpoints: [ ${ports.map((port) => `"127.0.0.1:${port}"`).join(", ")} ]
    health: { passive: ${passive}, slowStart: ${slowStart} }
`);
  return weir;
}

/** Asks on connections of their own, so that all workers get some. out  how many answers each endpoint gave */
async function ask(url: string, count: number): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (let turn = 0; turn < count; turn++) {
    const answer = await fetch(url, { headers: { Connection: "close" } });
    const text = answer.status === 200 ? await answer.text() : `status ${answer.status}`;
    counts[text] = (counts[text] ?? 0) + 1;
  }
  return counts;
}

const urlOf = (started: Weir, path = "/") => `http://127.0.0.1:${started.port()}${path}`;

async function endpointOf(started: Weir, port: number): Promise<EndpointStatus> {
  const { upstreams } = await started.status();
  const found = upstreams[0]?.endpoints.find(({ name }) => name === `127.0.0.1:${port}`);
  if (found === undefined) throw new Error(`no endpoint ${port}`);
  return found;
}

const isIn = (started: Weir, port: number, state: EndpointStatus["state"]) => async () =>
  (await endpointOf(started, port)).state === state;

async function change(started: Weir, port: number, wish: object): Promise<void> {
  const url = new URL(`/api/v1/upstreams/app/endpoints/127.0.0.1:${port}`, started.admin);
  const answer = await fetch(url, { method: "POST", body: JSON.stringify(wish) });
  expect(answer.status).toBe(200);
}

test("an endpoint that refuses is found by few requests, left alone by all workers, and comes back by slow start", async () => {
  const [good = 0, bad = 0] = await freePorts(2);
  serve(good);
  const passive = "{ failures: 3, eject: 2s, maxEject: 2s }";
  const started = await start({ ports: [good, bad], passive, slowStart: "6s" });
  const url = urlOf(started);
  expect(await ask(url, 30)).toEqual({ [good]: 30 });
  await eventually(isIn(started, bad, "ejected"), 5000, "the ejection");
  const met = (await endpointOf(started, bad)).errors;
  expect(met).toBeGreaterThanOrEqual(3);
  expect(met).toBeLessThanOrEqual(3 * WORKERS);
  expect(await endpointOf(started, bad)).toMatchObject({ reason: "failures" });
  expect(await ask(url, 50)).toEqual({ [good]: 50 });
  serve(bad);
  await eventually(isIn(started, bad, "warming"), 5000, "the end of the ejection");
  expect((await endpointOf(started, bad)).errors).toBe(met);
  const early = await ask(url, 100);
  expect(early[bad]).toBeGreaterThan(0);
  expect(early[bad]).toBeLessThan(35);
  await eventually(isIn(started, bad, "up"), 10_000, "the end of slow start");
  const late = await ask(url, 100);
  expect(late[bad]).toBeGreaterThan(40);
}, 30_000);

test("not more than maxEjected are left alone, whatever fails", async () => {
  const ports = await freePorts(4);
  serve(ports[0] as number);
  const started = await start({ ports, passive: "{ failures: 2, eject: 1m, maxEjected: 50%, panic: 0 }" });
  const url = urlOf(started);
  const states = async () => {
    await ask(url, 10);
    const { upstreams } = await started.status();
    return upstreams[0]?.endpoints.filter(({ state }) => state === "ejected").length ?? 0;
  };
  await eventually(async () => (await states()) === 2, 5000, "two ejections");
  for (let turn = 0; turn < 5; turn++) expect(await states()).toBe(2);
  expect(started.stderr()).toContain("but goes on");
  expect(await ask(url, 20)).toEqual({ [ports[0] as number]: 20 });
}, 20_000);

test("with fewer usable endpoints than `panic` all are asked again", async () => {
  const ports = await freePorts(3);
  const served = ports.map(serve);
  const started = await start({ ports, passive: "{ failures: 2, eject: 1m, maxEjected: 100%, panic: 50% }" });
  for (const one of served.slice(1)) await one.origin.stop(true);
  const url = urlOf(started);
  const ejected = async () => {
    await ask(url, 10);
    const { upstreams } = await started.status();
    return upstreams[0]?.endpoints.filter(({ state }) => state === "ejected").length === 2;
  };
  await eventually(ejected, 5000, "two ejections");
  const back = ports.slice(1).map(serve);
  await ask(url, 60);
  for (const { asked } of back) expect(asked).toBeGreaterThan(5);
  expect((await endpointOf(started, ports[1] as number)).state).toBe("ejected");
}, 20_000);

test("a worker that is killed takes no ejection and nothing set by a person with it", async () => {
  const [good = 0, bad = 0, apart = 0] = await freePorts(3);
  serve(good);
  serve(apart);
  const started = await start({ ports: [good, bad, apart], passive: "{ failures: 2, eject: 1m }" });
  const url = urlOf(started);
  await change(started, apart, { state: "maintenance" });
  await ask(url, 20);
  await eventually(isIn(started, bad, "ejected"), 5000, "the ejection");
  const met = (await endpointOf(started, bad)).errors;
  const victims = (await started.status()).workers.map(({ pid }) => pid);
  for (const victim of victims) {
    process.kill(victim, "SIGKILL");
    const replaced = async () => {
      const { workers } = await started.status();
      return (
        workers.length === WORKERS && workers.every(({ pid, state }) => pid !== victim && state === "running")
      );
    };
    await eventually(replaced, 5000, "the worker to be replaced");
  }
  expect(await ask(url, 40)).toEqual({ [good]: 40 });
  expect((await endpointOf(started, bad)).errors).toBe(met);
}, 30_000);

test("an endpoint that drains finishes what it has and gets nothing new; up again it takes its share", async () => {
  const ports = await freePorts(2);
  const [first = 0, second = 0] = ports;
  const served = ports.map(serve);
  const started = await start({ ports });
  const slow = [1, 2, 3, 4].map(async () => (await fetch(urlOf(started, "/slow"))).text());
  await eventually(() => (served[0]?.asked ?? 0) > 0 && (served[1]?.asked ?? 0) > 0, 3000, "slow requests");
  await change(started, first, { state: "drain" });
  const before = served[0]?.asked ?? 0;
  expect(await ask(urlOf(started), 20)).toEqual({ [second]: 20 });
  expect(served[0]?.asked).toBe(before);
  for (const one of served) one.letGo();
  expect((await Promise.all(slow)).toSorted()).toContain(`${first}`);
  await change(started, first, { state: "up" });
  expect((await ask(urlOf(started), 40))[first]).toBeGreaterThan(10);
}, 20_000);

test("a weight set at run time counts at once, and 0 takes an endpoint's share away", async () => {
  const [first = 0, second = 0] = await freePorts(2);
  serve(first);
  serve(second);
  const started = await start({ ports: [first, second] });
  await change(started, first, { weight: 3 });
  const counts = await ask(urlOf(started), 80);
  expect(counts[first]).toBeGreaterThan(50);
  await change(started, first, { weight: 0 });
  expect(await ask(urlOf(started), 20)).toEqual({ [second]: 20 });
}, 20_000);

test("a reload and an upgrade keep what a person has set; an endpoint that is taken out and put in again begins anew", async () => {
  const ports = await freePorts(3);
  const [first = 0, second = 0, third = 0] = ports;
  ports.map(serve);
  const started = await start({ ports });
  const { pid } = await started.status();
  await change(started, first, { state: "maintenance", note: "new disk" });
  await change(started, third, { state: "drain" });
  const yamlOf = (list: readonly number[]) => `
server: { workers: ${WORKERS} }
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { to: app } ]
upstreams: { app: [ ${list.map((port) => `"127.0.0.1:${port}"`).join(", ")} ] }
`;
  expect(await started.reload(yamlOf([first, second]))).toBe(true);
  expect(await started.reload(yamlOf(ports))).toBe(true);
  expect((await endpointOf(started, first)).state).toBe("maintenance");
  expect((await endpointOf(started, third)).state).toBe("up");
  started.signal("SIGUSR2");
  const isNew = async () => (await started.status()).pid !== pid;
  await eventually(isNew, 20_000, "the next generation");
  const next = (await started.status()).pid;
  try {
    expect(await started.exited).toBe(0);
    expect(await endpointOf(started, first)).toMatchObject({ state: "maintenance", operator: "maintenance" });
    const counts = await ask(urlOf(started), 30);
    expect(counts[first]).toBeUndefined();
    await change(started, first, { state: "up" });
    expect((await ask(urlOf(started), 30))[first]).toBeGreaterThan(5);
  } finally {
    const pids = [next, ...childrenOf(next)];
    process.kill(next, "SIGTERM");
    await allGone(pids);
  }
}, 40_000);
