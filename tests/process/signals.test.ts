/**
 * Signals that come at the worst moment: whatever meets whatever, the program ends as told and leaves nothing.
 */
import { afterEach, expect, test } from "bun:test";
import { eventually, within } from "../support/eventually.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { allGone, childrenOf, isAlive, zonesOf } from "./processes.ts";

let weir: Weir | undefined;
const seen = new Set<number>();
afterEach(async () => {
  await weir?.stop();
  weir = undefined;
  for (const pid of seen) if (isAlive(pid)) process.kill(pid, "SIGKILL");
  seen.clear();
});

const YAML = `
server: { workers: 2, drainTimeout: 5s }
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { match: { path: /ping }, respond: { status: 200, body: "pong" } } ]
`;

interface Row {
  readonly what: string;
  /** Signals, and how long to wait after each. */
  readonly signals: readonly (readonly [NodeJS.Signals, afterMs: number])[];
  readonly exitCodes: readonly number[];
}

const STORM = Array.from({ length: 20 }, (): readonly [NodeJS.Signals, number] => ["SIGHUP", 1]);
const ROWS: readonly Row[] = [
  {
    what: "stop in a reload",
    signals: [
      ["SIGHUP", 0],
      ["SIGTERM", 0],
    ],
    exitCodes: [0],
  },
  {
    what: "stop a moment into a reload",
    signals: [
      ["SIGHUP", 8],
      ["SIGTERM", 0],
    ],
    exitCodes: [0],
  },
  {
    what: "reload while stopping",
    signals: [
      ["SIGTERM", 0],
      ["SIGHUP", 0],
    ],
    exitCodes: [0],
  },
  { what: "a storm of reloads, then stop", signals: [...STORM, ["SIGTERM", 0]], exitCodes: [0] },
  {
    what: "upgrade in a reload, then stop",
    signals: [
      ["SIGHUP", 0],
      ["SIGUSR2", 30],
      ["SIGTERM", 0],
    ],
    exitCodes: [0],
  },
  {
    what: "stop early in an upgrade",
    signals: [
      ["SIGUSR2", 20],
      ["SIGTERM", 0],
    ],
    exitCodes: [0],
  },
  {
    what: "logs reopened while stopping",
    signals: [
      ["SIGTERM", 0],
      ["SIGUSR1", 0],
    ],
    exitCodes: [0],
  },
  // the second one may come when all is finished already
  {
    what: "stop, twice",
    signals: [
      ["SIGTERM", 0],
      ["SIGTERM", 0],
    ],
    exitCodes: [0, 1],
  },
  {
    what: "interrupt and quit together",
    signals: [
      ["SIGINT", 0],
      ["SIGQUIT", 0],
    ],
    exitCodes: [0, 1],
  },
];

for (const { what, signals, exitCodes } of ROWS) {
  test(`${what}: it ends, and nothing is left`, async () => {
    weir = await startWeir(YAML);
    const started = weir;
    const look = () => {
      for (const pid of [started.pid, ...childrenOf(started.pid)]) seen.add(pid);
    };
    look();
    for (const [signal, afterMs] of signals) {
      started.signal(signal);
      if (afterMs > 0) await Bun.sleep(afterMs);
    }
    look();
    expect(exitCodes).toContain(await within(started.exited, 10_000, "the program to end"));
    await allGone([...seen]);
    expect(zonesOf([...seen])).toEqual([]);
    expect(started.stderr()).not.toContain("because of a bug");
    expect(started.stderr()).not.toMatch(/Error: /);
  });
}

test("control is killed: its workers finish, leave, and take the shared memory with them", async () => {
  const origin = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: async () => {
      await Bun.sleep(300);
      return new Response("slow but whole");
    },
  });
  weir = await startWeir(`
server: { workers: 2 }
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { to: app } ]
upstreams: { app: [ "127.0.0.1:${origin.port}" ] }
`);
  const started = weir;
  const url = `http://127.0.0.1:${started.port()}/`;
  for (const pid of [started.pid, ...childrenOf(started.pid)]) seen.add(pid);
  const answers = Array.from({ length: 10 }, () => fetch(url).then((answer) => answer.text()));
  const isUnderWay = async () => (await started.status()).routes[0]?.active === 10;
  await eventually(isUnderWay, 5000, "all requests to be under way");
  process.kill(started.pid, "SIGKILL");
  expect(new Set(await Promise.all(answers))).toEqual(new Set(["slow but whole"]));
  await allGone([...seen]);
  expect(zonesOf([...seen])).toEqual([]);
  await origin.stop(true);
});
