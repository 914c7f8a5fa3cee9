/**
 * Workers that die, hang or are left alone: what clients notice of it.
 */
import { afterEach, expect, test } from "bun:test";
import { eventually } from "../support/eventually.ts";
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

const IS_LINUX = process.platform === "linux";
/** The goal is 100 ms on a quiet machine; here other tests run at the same time. */
const REPLACED_MS = 2000;
const HANG_MS = 8000;

let control: Control | undefined;
let workers: number[] = [];
/** Every process seen, to make sure that none is left. */
let known = new Set<number>();

async function start(plan: TestPlan): Promise<Control> {
  control = await Control.start(plan);
  workers = await control.workerPids();
  known = new Set(workers);
  return control;
}

afterEach(async () => {
  if (control === undefined) return;
  const { pid } = control.child;
  for (const child of childrenOf(pid)) known.add(child);
  if (control.child.exitCode === null && control.child.signalCode === null) await control.stop();
  await allGone([...known]);
  expect(zonesOf([pid])).toEqual([]);
  control = undefined;
});

test("a worker that is killed is replaced at once, and the others go on", async () => {
  const weir = await start(onePort());
  const [victim = 0, survivor = 0] = workers;
  const startedMs = performance.now();
  process.kill(victim, "SIGKILL");
  const replaced = async () => {
    const now = (await weir.status()).workers;
    return now.length === 2 && now.every((worker) => worker.pid !== victim && worker.state === "running");
  };
  await eventually(replaced, REPLACED_MS, "the worker to be replaced");
  expect(performance.now() - startedMs).toBeLessThan(REPLACED_MS);
  expect(isAlive(survivor)).toBe(true);
  expect((await weir.status()).workers.map((worker) => worker.restarts)).toEqual([1, 0]);
  expect(await weir.get()).toMatchObject({ text: "first" });
});

test("counters of a dead worker stay and its gauges go to 0", async () => {
  const weir = await start(onePort({ workers: 1 }));
  for (let request = 0; request < 5; request++) await weir.get();
  // the echo worker counts an open connection, which dies with it
  const waiting = weir.get("/slow").catch(() => "reset");
  const isAlone = async () => {
    const [listener] = (await weir.status()).listeners;
    return listener?.requests === 6 && listener.connectionsActive === 1;
  };
  await eventually(isAlone, 5000, "the connection, and the end of those before it");
  process.kill(workers[0] ?? 0, "SIGKILL");
  expect(await waiting).toBe("reset");
  const counted = async () => {
    const { workers: now, listeners } = await weir.status();
    return now[0]?.state === "running" && now[0].pid !== workers[0] ? listeners[0] : undefined;
  };
  const listener = await eventually(counted, REPLACED_MS, "the worker to be replaced");
  expect(listener).toMatchObject({ requests: 6, connectionsActive: 0 });
});

test("a stopped worker is noticed, killed and replaced", async () => {
  const weir = await start(onePort({ workers: 1 }));
  const [victim = 0] = workers;
  process.kill(victim, "SIGSTOP");
  await eventually(
    async () => (await weir.workerPids())[0] !== victim && (await weir.get()).pid !== victim,
    HANG_MS,
    "the stopped worker to be replaced",
  );
  expect(isAlive(victim)).toBe(false);
  expect(weir.stderr).toContain("hangs: no sign of life");
});

test("a worker in an endless loop is noticed, killed and replaced", async () => {
  const weir = await start(onePort({ workers: 1 }));
  const hanging = weir.get("/hang").catch(() => "reset");
  await eventually(
    async () => (await weir.workerPids())[0] !== workers[0],
    HANG_MS,
    "the worker to be replaced",
  );
  expect(await hanging).toBe("reset");
  expect((await weir.get()).text).toBe("first");
});

test("connections that wait in a dead worker's queue are served by its successor", async () => {
  const weir = await start(onePort({ workers: 1 }));
  const [victim = 0] = workers;
  process.kill(victim, "SIGSTOP"); // nobody accepts any more
  const waiting = Array.from({ length: 20 }, () => weir.get());
  await Bun.sleep(50); // let the kernel put them into the queue; served all the same if it takes longer
  process.kill(victim, "SIGKILL");
  const answers = await Promise.all(waiting);
  expect(answers.every((answer) => answer.pid !== victim)).toBe(true);
});

test.skipIf(!IS_LINUX)("each worker has its own queue and the kernel fills all of them", async () => {
  const weir = await start(onePort({ workers: 2 }));
  const seen = new Set<number>();
  await eventually(async () => seen.add((await weir.get()).pid).size === 2, 5000, "both workers to answer");
  expect([...seen].sort()).toEqual([...workers].sort());
});

test("a worker that dies as soon as it lives is restarted more and more slowly", async () => {
  const weir = await start(onePort({ workers: 1 }));
  let last: number = workers[0] ?? 0;
  for (let death = 0; death < 4; death++) {
    const pid: number | undefined = await eventually<number | undefined>(
      async () => {
        const [worker] = (await weir.status()).workers;
        return worker?.state === "running" && (death === 0 || worker.pid !== last) ? worker.pid : undefined;
      },
      REPLACED_MS,
      "the next worker",
    );
    last = pid ?? 0;
    process.kill(last, "SIGKILL");
    await allGone([last]);
  }
  await eventually(() => /replaced in 250 ms, as it keeps dying/.test(weir.stderr), 5000, "the delay");
  await eventually(async () => (await weir.get()).pid !== last, 5000, "the worker after the delay");
});

test("SIGTERM lets requests in flight finish, refuses new ones and ends with 0", async () => {
  const weir = await start(onePort());
  const slow = [weir.get("/slow"), weir.get("/slow")];
  await eventually(
    async () => (await weir.status()).listeners[0]?.connectionsActive === 2,
    5000,
    "the requests to arrive",
  );
  weir.child.kill("SIGTERM");
  await eventually(async () => !(await weir.isReady()), 1000, "readyz to fail");
  await eventually(() => weir.get().then(() => false, () => true), 1000, "new connections to be refused"); // biome-ignore format: one line reads better
  expect((await Promise.all(slow)).map((answer) => answer.text)).toEqual(["first", "first"]);
  expect(await weir.exited()).toBe(0);
});

test("drainTimeout bounds the end", async () => {
  const weir = await start(onePort({ drainTimeoutMs: 100 }));
  const slow = weir.get("/slow").catch(() => "cut");
  await eventually(
    async () => (await weir.status()).listeners[0]?.connectionsActive === 1,
    5000,
    "the request",
  );
  expect(await weir.stop()).toBe(0);
  expect(await slow).toBe("cut");
});

test("a second signal ends at once with 1", async () => {
  const weir = await start(onePort({ drainTimeoutMs: 60_000 }));
  const slow = weir.get("/slow").catch(() => "cut");
  await eventually(
    async () => (await weir.status()).listeners[0]?.connectionsActive === 1,
    5000,
    "the request",
  );
  weir.child.kill("SIGINT");
  await eventually(async () => !(await weir.isReady()), 1000, "readyz to fail");
  weir.child.kill("SIGINT");
  expect(await weir.exited()).toBe(1);
  expect(await slow).toBe("cut");
});

test("when control is killed, workers finish, leave, and take the zone's file with them", async () => {
  const weir = await start(onePort());
  const slow = weir.get("/slow");
  await eventually(
    async () => (await weir.status()).listeners[0]?.connectionsActive === 1,
    5000,
    "the request",
  );
  const children: number[] | undefined = await eventually(() => {
    const found = childrenOf(weir.child.pid);
    return found.length === 3 ? found : undefined; // two workers and a spare one
  });
  await weir.kill();
  expect((await slow).text).toBe("first");
  await allGone(children ?? []);
});

test("a spare worker waits, takes the place of the dead one, and is followed by another", async () => {
  const weir = await start(onePort({ workers: 1 }));
  const spareOf = async () => {
    const busy = await weir.workerPids();
    return childrenOf(weir.child.pid).find((pid) => !busy.includes(pid));
  };
  let previous = 0;
  for (const victim of workers) {
    const spare = await eventually(spareOf, 5000, "a spare");
    expect(spare).not.toBe(previous);
    process.kill(victim, "SIGKILL");
    await eventually(async () => (await weir.workerPids())[0] === spare, REPLACED_MS, "the spare at work");
    previous = spare ?? 0;
  }
  process.kill((await eventually(spareOf, 5000, "the next spare")) ?? 0, "SIGKILL");
  await eventually(() => weir.stderr.includes("the spare worker"), 5000, "its end to be noticed");
  expect((await weir.get()).pid).toBe(previous);
});

test("SIGUSR1 reaches every worker", async () => {
  const weir = await start(onePort());
  weir.child.kill("SIGUSR1");
  await eventually(() => weir.stderr.split("reopened\n").length - 1 >= 2, 5000, "both workers to reopen");
});

test.skipIf(process.getuid?.() !== 0)(
  "server.user: workers lose root before traffic, control keeps it",
  async () => {
    const weir = await start(onePort({ user: "nobody" }));
    const uid = Number(Bun.spawnSync(["id", "-u", "nobody"]).stdout.toString());
    expect((await weir.get()).uid).toBe(uid);
    const groups = Bun.spawnSync(["grep", "^Groups:", `/proc/${workers[0]}/status`]).stdout.toString();
    if (IS_LINUX) expect(groups).not.toMatch(/\b0\b/);
  },
);

test("an address in use is said with the listener's name, and nothing is left running", async () => {
  const other = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const bind = [{ kind: "tcp", host: "127.0.0.1", port: other.port } as const];
  const failed = Control.launch({ listeners: [{ name: "web", bind }] });
  expect(await failed.exited()).toBe(1);
  other.stop();
  await eventually(() => failed.stderr.includes("address already in use"), 2000, "the reason");
  expect(failed.stderr).toContain(
    `listeners.web: cannot bind 127.0.0.1:${other.port}: address already in use.`,
  );
  expect(zonesOf([failed.child.pid])).toEqual([]);
});

test("a unix socket is accepted on by all workers and removed at the end", async () => {
  const path = `/tmp/weir-test-${process.pid}.sock`;
  const bind = [LOOPBACK, { kind: "unix", path } as const];
  const weir = await start({ workers: 2, listeners: [{ name: "web", bind }] });
  const answer = (await (await fetch("http://localhost/", { unix: path })).json()) as { text: string };
  expect(answer.text).toBe("first");
  expect(await weir.stop()).toBe(0);
  expect(await Bun.file(path).exists()).toBe(false);
});
