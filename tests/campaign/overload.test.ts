/**
 * Twenty times the load that an upstream can take: its limit keeps it at its capacity, and what is beyond is told at once.
 */
import { expect, test } from "bun:test";
import { startWeir } from "../support/weir.ts";

const PLACES = 4;
const WORK_MS = 20;
const OVERLOAD_MS = 3000;
const TIMES = 20;

/** Works on PLACES requests at a time, each for WORK_MS; the rest waits for ever longer. */
function smallOrigin() {
  let active = 0;
  const waiting: (() => void)[] = [];
  return Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: async () => {
      if (active === PLACES) await new Promise<void>((next) => waiting.push(next));
      else active++;
      await Bun.sleep(WORK_MS);
      const next = waiting.shift();
      if (next === undefined) active--;
      else next();
      return new Response("done");
    },
  });
}

interface Tally {
  readonly okMs: number[];
  refused: number;
  other: number;
}

/** Asks again and again until the time is over; who is refused comes again after as long as a request takes. */
async function client(url: string, untilMs: number, tally: Tally): Promise<void> {
  while (performance.now() < untilMs) {
    const startedAtMs = performance.now();
    const { status } = await fetch(url);
    if (status === 200) tally.okMs.push(performance.now() - startedAtMs);
    else if (status === 503) tally.refused++;
    else tally.other++;
    if (status !== 200) await Bun.sleep(WORK_MS);
  }
}

async function load(url: string, clients: number, forMs: number): Promise<Tally> {
  const tally: Tally = { okMs: [], refused: 0, other: 0 };
  const untilMs = performance.now() + forMs;
  await Promise.all(Array.from({ length: clients }, () => client(url, untilMs, tally)));
  tally.okMs.sort((a, b) => a - b);
  return tally;
}

test("under 20 times its load an upstream with a limit turns the rest away, and nobody once it is over", async () => {
  const origin = smallOrigin();
  const weir = await startWeir(`
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { to: app } ]
upstreams:
  app:
    endpoints: ["127.0.0.1:${origin.port}"]
    limits: { connections: ${PLACES}, queue: ${PLACES}, queueTimeout: 200ms }
`);
  try {
    const url = `http://127.0.0.1:${weir.port()}/`;
    const normal = await load(url, PLACES, 1000);
    const over = await load(url, PLACES * TIMES, OVERLOAD_MS);
    expect([normal.refused, normal.other, over.other]).toEqual([0, 0, 0]);
    expect(over.refused).toBeGreaterThan(over.okMs.length);
    // how much it still does, and how fast, is measured by `npm run faults`
    expect(over.okMs.length).toBeGreaterThan(0);
    const after = await load(url, PLACES, 1000);
    expect(after.refused).toBe(0);
    expect(after.okMs.length).toBeGreaterThan(0);
  } finally {
    await weir.stop();
    void origin.stop(true);
  }
}, 20_000);
