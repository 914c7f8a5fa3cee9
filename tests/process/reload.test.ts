/**
 * Reload and upgrade: what changes, what stays, and that nobody is turned away meanwhile.
 */
import { afterEach, expect, test } from "bun:test";
import type { Address } from "../../src/core/address.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/ports.ts";
import {
  allGone,
  Control,
  childrenOf,
  isAlive,
  LOOPBACK,
  onePort,
  type TestPlan,
  zonesOf,
} from "./processes.ts";

let control: Control | undefined;
/** Every process seen, to make sure that none is left. */
let seen = new Set<number>();

async function start(plan: TestPlan): Promise<Control> {
  control = await Control.start(plan);
  seen = new Set([control.child.pid, ...(await control.workerPids())]);
  return control;
}

async function look(weir: Control): Promise<readonly number[]> {
  const { pid, workers } = await weir.status();
  for (const one of [pid, ...workers.map((worker) => worker.pid), ...childrenOf(pid)]) seen.add(one);
  return workers.map((worker) => worker.pid);
}

afterEach(async () => {
  if (control === undefined) return;
  if (control.child.exitCode === null) {
    await look(control);
    await control.stop();
  }
  control = undefined;
  try {
    await allGone([...seen]);
    expect(zonesOf([...seen])).toEqual([]);
  } finally {
    for (const pid of seen) if (isAlive(pid)) process.kill(pid, "SIGKILL");
  }
});

/** Asks without pause, on new connections, until stopped. out  what failed */
function stream(
  ask: () => Promise<unknown>,
  lanes = 4,
): { stop(): Promise<{ count: number; failures: string[] }> } {
  let isStopped = false;
  let count = 0;
  const failures: string[] = [];
  const lane = async () => {
    while (!isStopped) {
      try {
        await ask();
        count++;
      } catch (error) {
        failures.push(String(error));
      }
    }
  };
  const all = Promise.all(Array.from({ length: lanes }, lane));
  return {
    async stop() {
      isStopped = true;
      await all;
      return { count, failures };
    },
  };
}

const tcp = (port: number): Address => ({ kind: "tcp", host: "127.0.0.1", port });

test("a reload changes the answers, keeps processes and sockets, and fails no request", async () => {
  const weir = await start(onePort());
  const before = await look(weir);
  const port = weir.port();
  const load = stream(() => weir.get("/", port));
  for (let version = 2; version <= 20; version++) {
    const answer = await weir.reload(onePort({ text: `version ${version}` }));
    expect(answer).toMatchObject({ applied: true, configVersion: version });
    expect((await weir.get("/", port)).text).toBe(`version ${version}`);
  }
  const { count, failures } = await load.stop();
  expect(failures).toEqual([]);
  expect(count).toBeGreaterThan(20);
  expect(weir.port()).toBe(port);
  expect(await look(weir)).toEqual(before);
});

test("SIGHUP reloads", async () => {
  const weir = await start(onePort());
  weir.write(onePort({ text: "by signal" }));
  weir.child.kill("SIGHUP");
  await eventually(async () => (await weir.get()).text === "by signal", 5000, "the new configuration");
});

const FAILURES: readonly [what: string, plan: () => Promise<TestPlan>, reason: string][] = [
  [
    "a version that workers refuse",
    async () => onePort({ listeners: [{ name: "broken", bind: [LOOPBACK] }] }),
    "a broken listener",
  ],
  [
    "a version that workers die of",
    async () => onePort({ listeners: [{ name: "suicidal", bind: [LOOPBACK] }] }),
    "no worker lived long enough",
  ],
  [
    "an address that cannot be bound",
    async () =>
      onePort({
        listeners: [
          { name: "web", bind: [LOOPBACK, { kind: "tcp", host: "192.0.2.1", port: 8080 }] },
          { name: "more", bind: [tcp(await freePort())] },
        ],
      }),
    "cannot bind 192.0.2.1:8080: no interface of this machine has that address",
  ],
  [
    "a user of the configuration file that makes no sense",
    async () => ({ listeners: undefined }) as unknown as TestPlan,
    "TypeError",
  ],
];
for (const [what, plan, reason] of FAILURES) {
  test(`${what} changes nothing`, async () => {
    const weir = await start(onePort());
    const [port, before] = [weir.port(), await weir.status()];
    const wanted = await plan();
    const answer = await weir.reload(wanted);
    expect(answer).toMatchObject({ applied: false, configVersion: 1 });
    expect(answer.problems[0]?.message).toContain(reason);
    await eventually(
      async () => (await weir.get("/", port)).text === "first",
      5000,
      "the old version to answer",
    );
    const after = await weir.status();
    await look(weir);
    expect(after.lastReload?.applied).toBe(false);
    expect(after.listeners.map(({ addresses }) => addresses)).toEqual(
      before.listeners.map(({ addresses }) => addresses),
    );
    for (const { bind } of wanted.listeners?.slice(1) ?? []) {
      const [address] = bind;
      if (address?.kind === "tcp") expect(weir.get("/", address.port)).rejects.toThrow();
    }
    // and the next good one is taken
    expect((await weir.reload(onePort({ text: "good again" }))).applied).toBe(true);
    expect((await weir.get("/", port)).text).toBe("good again");
  });
}

test("listeners come and go, the others keep their sockets and connections", async () => {
  const [first, second] = [await freePort(), await freePort()];
  const one = { name: "one", bind: [tcp(first)] };
  const weir = await start({ listeners: [one] });
  const slow = weir.get("/slow", first);
  const more = await weir.reload({ listeners: [one, { name: "two", bind: [tcp(second)] }] });
  expect(more.problems).toEqual([]);
  expect((await weir.get("/", second)).listener).toBe("two");
  expect((await weir.reload({ listeners: [one] })).applied).toBe(true);
  expect(weir.get("/", second)).rejects.toThrow();
  expect((await slow).listener).toBe("one");
});

test("an address may change its listener without a refused connection", async () => {
  const port = await freePort();
  const weir = await start({ listeners: [{ name: "one", bind: [tcp(port)] }] });
  const load = stream(() => weir.get("/", port));
  expect((await weir.reload({ listeners: [{ name: "two", bind: [tcp(port)] }] })).applied).toBe(true);
  await eventually(async () => (await weir.get("/", port)).listener === "two", 5000, "the new name");
  expect((await load.stop()).failures).toEqual([]);
});

test("workers become more and fewer without a failed request", async () => {
  const weir = await start(onePort({ workers: 1 }));
  const port = weir.port();
  const load = stream(() => weir.get("/", port));
  for (const workers of [3, 1, 2, 4, 1]) {
    expect((await weir.reload(onePort({ workers }))).applied).toBe(true);
    await look(weir);
    const settled = async () => (await weir.status()).workers.filter((worker) => worker.state === "running");
    await eventually(async () => (await settled()).length === workers, 5000, `${workers} workers`);
  }
  const { failures } = await load.stop();
  expect(failures).toEqual([]);
});

test("a failed reload to more workers resets nothing", async () => {
  const weir = await start(onePort({ workers: 1 }));
  const port = weir.port();
  const load = stream(() => weir.get("/", port));
  for (let tries = 0; tries < 10; tries++) {
    const broken = { name: "broken", bind: [tcp(await freePort())] };
    const listeners = [{ name: "web", bind: [LOOPBACK] }, broken];
    expect((await weir.reload({ workers: 4, listeners })).applied).toBe(false);
  }
  expect((await load.stop()).failures).toEqual([]);
});

test("a worker killed in the middle of reloads does not make them fail", async () => {
  const weir = await start(onePort({ workers: 2 }));
  for (let version = 2; version < 8; version++) {
    const [victim = 0] = await look(weir);
    const reloading = weir.reload(onePort({ text: `version ${version}` }));
    process.kill(victim, "SIGKILL");
    expect((await reloading).applied).toBe(true);
    await eventually(
      async () => {
        const { workers } = await weir.status();
        return workers.length === 2 && workers.every((worker) => worker.state === "running");
      },
      8000,
      "both workers",
    );
    const texts = await Promise.all(Array.from({ length: 20 }, () => weir.get()));
    expect(new Set(texts.map((answer) => answer.text))).toEqual(new Set([`version ${version}`]));
  }
});

test("reloads asked for during a reload become one", async () => {
  const weir = await start(onePort());
  await Promise.all(Array.from({ length: 20 }, () => weir.reload(onePort({ text: "last" }))));
  const { configVersion } = await weir.status();
  expect(configVersion).toBeLessThan(21);
  expect((await weir.get()).text).toBe("last");
});

async function upgrade(weir: Control): Promise<void> {
  const { pid } = await weir.status();
  process.kill(pid, "SIGUSR2");
  const isNext = async () => (await weir.status()).pid !== pid;
  await eventually(isNext, 20_000, "the next generation").catch((error: unknown) => {
    throw new Error(`${String(error)}\nwhat it said:\n${weir.stderr}`);
  });
  await look(weir);
}

test("SIGUSR2: the next generation takes over without a failed request, counters go on", async () => {
  const weir = await start(onePort());
  const [old, port] = [await look(weir), weir.port()];
  const load = stream(() => weir.get("/", port));
  const slow = weir.get("/slow", port);
  await eventually(async () => (await weir.status()).listeners[0]?.connectionsActive !== 0, 5000, "load");
  weir.write(onePort({ text: "next generation" }));
  await upgrade(weir);
  expect((await slow).text).toBe("first");
  expect(await weir.exited()).toBe(0);
  await allGone(old);
  const { count, failures } = await load.stop();
  expect(failures).toEqual([]);
  const status = await weir.status();
  expect((await weir.get("/", port)).text).toBe("next generation");
  expect(status.configVersion).toBe(2);
  expect(status.listeners[0]?.addresses).toEqual([`127.0.0.1:${port}`]);
  expect(status.listeners[0]?.requests).toBe(count + 1);
  expect(await weir.isReady()).toBe(true);
  // gauges of the old generation are gone with it
  await eventually(async () => (await weir.status()).listeners[0]?.connectionsActive === 0, 5000, "gauges");

  // and once more, now from the heir
  await upgrade(weir);
  expect((await weir.get("/", port)).text).toBe("next generation");
  expect((await weir.status()).configVersion).toBe(3);
  process.kill((await weir.status()).pid, "SIGTERM");
  await allGone([...seen]);
});

test("SIGUSR2 with a configuration that is wrong: the old generation goes on and says why", async () => {
  const weir = await start(onePort());
  const [pid, before, port] = [weir.child.pid, await look(weir), weir.port()];
  for (const plan of [
    { listeners: undefined } as unknown as TestPlan,
    onePort({ listeners: [{ name: "broken", bind: [tcp(port)] }] }),
  ]) {
    const failures = weir.stderr.split("upgrade failed").length;
    const load = stream(() => weir.get("/", port));
    weir.write(plan);
    process.kill(pid, "SIGUSR2");
    const refused = () => weir.stderr.split("upgrade failed").length > failures;
    await eventually(refused, 15_000, "the upgrade to fail");
    expect((await load.stop()).failures).toEqual([]);
    expect(await look(weir)).toEqual(before);
    expect((await weir.status()).pid).toBe(pid);
  }
  for (const child of weir.stderr.matchAll(/upgrade: started pid (\d+)/g)) seen.add(Number(child[1]));
  expect((await weir.reload(onePort({ text: "still alive" }))).applied).toBe(true);
});

test("a unix socket survives an upgrade", async () => {
  const path = `/tmp/weir-upgrade-${process.pid}.sock`;
  const weir = await start({ listeners: [{ name: "web", bind: [LOOPBACK, { kind: "unix", path }] }] });
  const ask = () =>
    fetch("http://localhost/", { unix: path, keepalive: false }).then((answer) => answer.json());
  const load = stream(ask);
  await upgrade(weir);
  await weir.exited();
  expect((await load.stop()).failures).toEqual([]);
  expect((await Bun.file(path).exists()) || (await ask()) !== undefined).toBe(true);
  process.kill((await weir.status()).pid, "SIGTERM");
  await allGone([...seen]);
  expect(await Bun.file(path).exists()).toBe(false);
});
