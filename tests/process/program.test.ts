/**
 * The real program, from `bin/weir`, under a steady stream of requests while everything about it changes.
 */
import { afterEach, expect, test } from "bun:test";
import { eventually } from "../support/eventually.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { allGone, childrenOf, zonesOf } from "./processes.ts";

const RELOADS = 15;
const LANES = 4;

let weir: Weir | undefined;
afterEach(async () => {
  await weir?.stop();
  weir = undefined;
});

const yaml = (origin: number, text: string, workers = 2) => `
server: { workers: ${workers}, drainTimeout: 10s }
listeners: { web: { bind: "127.0.0.1:0" } }
routes:
  - { to: app }
  - { match: { path: /version }, respond: { status: 200, body: "${text}" } }
upstreams: { app: [ "127.0.0.1:${origin}" ] }
`;

function stream(url: string) {
  let isStopped = false;
  const counts = { done: 0, failures: [] as string[] };
  const lane = async () => {
    while (!isStopped) {
      try {
        const answer = await fetch(url);
        const text = await answer.text();
        if (answer.status !== 200 || text !== "from the origin")
          counts.failures.push(`${answer.status} ${text}`);
        counts.done++;
      } catch (error) {
        counts.failures.push(String(error));
      }
    }
  };
  const lanes = Promise.all(Array.from({ length: LANES }, lane));
  return async () => {
    isStopped = true;
    await lanes;
    return counts;
  };
}

test("reloads, a change of workers and an upgrade fail not one request and forget no counter", async () => {
  const origin = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("from the origin") });
  const port = origin.port as number;
  const started = await startWeir(yaml(port, "version 1"));
  weir = started;
  const [url, first] = [`http://127.0.0.1:${started.port()}`, await started.status()];
  const stop = stream(`${url}/`);
  for (let version = 2; version <= RELOADS; version++) {
    const workers = version % 5 === 0 ? 3 : 2;
    expect(await started.reload(yaml(port, `version ${version}`, workers))).toBe(true);
    expect(await (await fetch(`${url}/version`)).text()).toBe(`version ${version}`);
  }
  started.signal("SIGUSR2");
  await eventually(async () => (await started.status()).pid !== first.pid, 20_000, "the next generation");
  expect(await started.exited).toBe(0);
  const { done, failures } = await stop();
  expect(failures).toEqual([]);
  expect(done).toBeGreaterThan(RELOADS);
  const last = await started.status();
  expect(last).toMatchObject({ configVersion: RELOADS + 1, startedAt: first.startedAt });
  expect(last.routes.find((route) => route.name === "route-1")?.requests).toBe(done);
  expect(last.workers.map((worker) => worker.restarts)).toEqual([0, 0, 0].slice(0, last.workers.length));
  const pids = [last.pid, ...childrenOf(last.pid)];
  process.kill(last.pid, "SIGTERM");
  await allGone(pids);
  expect(zonesOf([first.pid, last.pid])).toEqual([]);
  await origin.stop(true);
});

test("a worker that is killed takes only its own connections with it", async () => {
  const origin = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("from the origin") });
  const started = await startWeir(yaml(origin.port as number, "version 1"));
  weir = started;
  const stop = stream(`http://127.0.0.1:${started.port()}/`);
  const victim = (await started.status()).workers[0]?.pid ?? 0;
  process.kill(victim, "SIGKILL");
  const replaced = async () => {
    const { workers } = await started.status();
    return workers.length === 2 && workers.every(({ pid, state }) => pid !== victim && state === "running");
  };
  await eventually(replaced, 5000, "the worker to be replaced");
  const { failures } = await stop();
  expect(failures.length).toBeLessThanOrEqual(LANES);
  await origin.stop(true);
});
