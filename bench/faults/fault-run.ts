/**
 * Fault run: one fault at one endpoint of four, behind one proxy, under a steady load.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ProxyKind } from "../peers.ts";
import { SLOW_START_MS } from "./configs.ts";
import { Endpoint } from "./endpoint.ts";
import type { Fault } from "./faults.table.ts";
import {
  quantile,
  type Return,
  recoveryMs,
  returned,
  type Span,
  troubles,
  usualP99,
  within,
} from "./measure.ts";
import { type FaultProxy, startProxy } from "./proxies.ts";
import { SteadyLoad } from "./steady-load.ts";

export interface FaultTimes {
  readonly ratePerSec: number;
  readonly beforeMs: number;
  readonly faultMs: number;
  readonly afterMs: number;
}

/** The first 3 s of the fault are the hit; what follows until its end is late. */
export interface Phases {
  readonly before: number;
  readonly hit: number;
  readonly late: number;
  readonly after: number;
}

export interface FaultReport {
  readonly proxy: ProxyKind;
  readonly fault: Fault;
  readonly times: FaultTimes;
  readonly sent: number;
  /** What reached the client, from the fault to the end. */
  readonly troubles: readonly (readonly [trouble: string, count: number])[];
  readonly failures: number;
  readonly p50Ms: Phases;
  /** `hit` is that of all its answers; the others are what p99 usually was. */
  readonly p99Ms: Phases;
  /** From the fault until p99 is within twice the usual one of before; undefined = not while it lasted. */
  readonly recoveredMs: number | undefined;
  /** From the fault to the end. */
  readonly retries: number;
  /** Retries against requests in the second in which there were most. */
  readonly worstRetryShare: number;
  readonly back: Return;
  /** Requests inside the victim at once, at most, since it is back. */
  readonly mostInside: number;
  readonly states: string;
}

export interface FaultPlan {
  readonly kind: ProxyKind;
  readonly fault: Fault;
  readonly victim: number;
  readonly times: FaultTimes;
}

const WARM_MS = 1000;
const PATIENCE_MS = 5000;
const KEYS = 200;
const SECOND_MS = 1000;
const SETTLED_MS = 3000;
const NAMES = ["a", "b", "c", "d"];

/** in  whose turn it is, from 0; a name that moves is always the last one's */
export async function runFault(plan: FaultPlan): Promise<FaultReport> {
  const { fault } = plan;
  const folder = mkdtempSync(join(tmpdir(), "weir-faults-"));
  const endpoints: Endpoint[] = [];
  let proxy: FaultProxy | undefined;
  try {
    for (const name of [...NAMES, "spare"]) endpoints.push(await Endpoint.start(name, folder));
    const targets = endpoints.slice(0, NAMES.length);
    proxy = await startProxy(plan.kind, { folder, targets, isNamed: fault.isNamed === true });
    return await new FaultRun(proxy, endpoints, plan).run();
  } finally {
    await Promise.all(endpoints.map(async (endpoint) => await endpoint.stop()));
    await proxy?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

class FaultRun {
  readonly #proxy: FaultProxy;
  readonly #victim: Endpoint;
  readonly #others: readonly Endpoint[];
  readonly #spare: Endpoint;
  readonly #fault: Fault;
  readonly #times: FaultTimes;
  readonly #load: SteadyLoad;
  /** Retries so far, second by second. */
  readonly #retries: number[] = [];

  constructor(proxy: FaultProxy, endpoints: readonly Endpoint[], { fault, victim, times }: FaultPlan) {
    this.#proxy = proxy;
    this.#fault = fault;
    this.#times = times;
    const spare = at(endpoints, NAMES.length);
    this.#victim = at(endpoints, fault.isNamed === true ? NAMES.length - 1 : victim % NAMES.length);
    this.#others = endpoints.filter((endpoint) => endpoint !== this.#victim && endpoint !== spare);
    this.#spare = spare;
    const { ratePerSec } = times;
    this.#load = new SteadyLoad({ port: proxy.port, ratePerSec, keys: KEYS, patienceMs: PATIENCE_MS });
  }

  async run(): Promise<FaultReport> {
    const { beforeMs, faultMs, afterMs } = this.#times;
    const victim = this.#victim;
    const moveTo = async ({ address }: Endpoint) =>
      await this.#proxy.moveLast({ name: victim.name, address });
    const stage = { victim, spare: this.#spare, moveTo };
    this.#load.start();
    try {
      await Bun.sleep(WARM_MS);
      const before = await this.#span(beforeMs, async () => {});
      const during = await this.#span(faultMs, async () => await this.#fault.begin(stage));
      const after = await this.#span(afterMs, async () => await this.#fault.end(stage));
      await this.#load.stop();
      return await this.#report(before, during, after);
    } finally {
      await this.#load.stop();
    }
  }

  /** Does something at its beginning, and counts retries each second. */
  async #span(lengthMs: number, first: () => Promise<void>): Promise<Span> {
    const fromMs = Date.now();
    const toMs = fromMs + lengthMs;
    await this.#count();
    await first();
    while (Date.now() < toMs) {
      await Bun.sleep(Math.min(SECOND_MS, toMs - Date.now()));
      await this.#count();
    }
    return { fromMs, toMs: Date.now() };
  }

  async #count(): Promise<void> {
    this.#retries.push(await this.#proxy.retries());
  }

  async #report(before: Span, during: Span, after: Span): Promise<FaultReport> {
    const { samples } = this.#load;
    const settledMs = Math.min(during.fromMs + SETTLED_MS, during.toMs);
    const spans = {
      before,
      hit: { fromMs: during.fromMs, toMs: settledMs },
      late: { fromMs: settledMs, toMs: during.toMs },
      after,
    };
    const faulty = within(samples, { fromMs: during.fromMs, toMs: after.toMs });
    const found = troubles(faulty);
    const usualMs = usualP99(samples, before);
    const isMove = this.#fault.isNamed === true;
    const back = isMove ? { fromMs: during.fromMs, toMs: after.toMs } : after;
    const returning = isMove ? this.#spare : this.#victim;
    return {
      proxy: this.#proxy.kind,
      fault: this.#fault,
      times: this.#times,
      sent: faulty.length,
      troubles: found,
      failures: found.reduce((sum, [, count]) => sum + count, 0),
      p50Ms: eachOf(spans, (span) => quantile(within(samples, span), 0.5)),
      p99Ms: {
        ...eachOf(spans, (span) => usualP99(samples, span)),
        hit: quantile(within(samples, spans.hit), 0.99),
      },
      recoveredMs: recoveryMs(samples, during, 2 * usualMs),
      retries: (this.#retries.at(-1) ?? 0) - (this.#retries[0] ?? 0),
      worstRetryShare: this.#worstSecond() / this.#times.ratePerSec,
      back: await this.#return(back, returning),
      mostInside: (await returning.report()).mostInside,
      states: await this.#proxy.states(),
    };
  }

  #worstSecond(): number {
    return this.#retries.reduce((most, count, at, all) => Math.max(most, count - (all[at - 1] ?? count)), 0);
  }

  async #return(span: Span, returning: Endpoint): Promise<Return> {
    const others = await Promise.all(this.#others.map(async (endpoint) => await endpoint.begun()));
    return returned(span, await returning.begun(), others, SLOW_START_MS);
  }
}

function eachOf(spans: Readonly<Record<keyof Phases, Span>>, figure: (span: Span) => number): Phases {
  const { before, hit, late, after } = spans;
  return { before: figure(before), hit: figure(hit), late: figure(late), after: figure(after) };
}

function at<T>(list: readonly T[], index: number): T {
  const found = list[index];
  if (found === undefined) throw new Error(`there is no ${index} of ${list.length}`);
  return found;
}
