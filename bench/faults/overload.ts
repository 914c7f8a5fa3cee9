/**
 * Overload: endpoints of a known capacity, and twenty times as many requests as they can answer.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ProxyKind } from "../peers.ts";
import { type Behaviour, WELL } from "./behaviour.ts";
import type { Overload } from "./configs.ts";
import { Endpoint } from "./endpoint.ts";
import { quantile, type Span, troubles, usualP99, within } from "./measure.ts";
import { type FaultProxy, startProxy } from "./proxies.ts";
import { type Sample, SteadyLoad } from "./steady-load.ts";

export interface OverloadTimes {
  readonly normalMs: number;
  readonly overloadMs: number;
  readonly afterMs: number;
  /** Times the capacity. */
  readonly factor: number;
}

export interface OverloadReport {
  readonly proxy: ProxyKind;
  readonly capacityPerSec: number;
  readonly sent: number;
  /** Right answers in a second against the capacity. */
  readonly goodput: number;
  readonly troubles: readonly (readonly [trouble: string, count: number])[];
  /** p99 of the requests that were answered rightly. */
  readonly normalP99Ms: number;
  readonly admittedP99Ms: number;
  /** Time from the end of the overload until nothing fails and p99 is normal; undefined when it stayed so. */
  readonly recoveredMs: number | undefined;
  readonly memoryBytes: readonly [before: number, most: number, after: number];
  readonly mostInside: number;
}

const NAMES = ["a", "b", "c", "d"];
const SERVICE_MS = 20;
const SLOTS = 2;
const USUAL: Behaviour = { ...WELL, serviceMs: SERVICE_MS, slots: SLOTS };
/** Timers of the endpoint have whole milliseconds: a slot serves one request in 21. */
const CAPACITY_PER_SEC = Math.floor((NAMES.length * SLOTS * 1000) / (SERVICE_MS + 1));
/** Exactly what an endpoint works on at once: whoever waits, waits where he can be turned away. */
const RULES: Overload = { perEndpoint: SLOTS, queue: 2, queueMs: 30 };
/** Of the capacity, before and after. */
const NORMAL_SHARE = 0.5;
const WARM_MS = 1500;
const PATIENCE_MS = 5000;
const SAMPLE_MS = 250;
const RECOVERY_STEP_MS = 250;
const KEYS = 200;

export async function runOverload(kind: ProxyKind, times: OverloadTimes): Promise<OverloadReport> {
  const folder = mkdtempSync(join(tmpdir(), "weir-overload-"));
  const endpoints: Endpoint[] = [];
  let proxy: FaultProxy | undefined;
  try {
    for (const name of NAMES) endpoints.push(await Endpoint.start(name, folder, USUAL));
    proxy = await startProxy(kind, { folder, targets: endpoints, isNamed: false, overload: RULES });
    return await measure(proxy, endpoints, times);
  } finally {
    await Promise.all(endpoints.map(async (endpoint) => await endpoint.stop()));
    await proxy?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(
  proxy: FaultProxy,
  endpoints: readonly Endpoint[],
  times: OverloadTimes,
): Promise<OverloadReport> {
  const usualRate = CAPACITY_PER_SEC * NORMAL_SHARE;
  const load = new SteadyLoad({
    port: proxy.port,
    ratePerSec: usualRate,
    keys: KEYS,
    patienceMs: PATIENCE_MS,
  });
  const memory: number[] = [];
  const span = async (lengthMs: number, ratePerSec: number): Promise<Span> => {
    load.ratePerSec = ratePerSec;
    const fromMs = Date.now();
    while (Date.now() < fromMs + lengthMs) {
      memory.push(proxy.memoryBytes());
      await Bun.sleep(SAMPLE_MS);
    }
    return { fromMs, toMs: Date.now() };
  };
  load.start();
  try {
    await Bun.sleep(WARM_MS);
    const normal = await span(times.normalMs, usualRate);
    const before = memory.at(-1) ?? 0;
    const over = await span(times.overloadMs, CAPACITY_PER_SEC * times.factor);
    const after = await span(times.afterMs, usualRate);
    await load.stop();
    const reports = await Promise.all(endpoints.map(async (endpoint) => await endpoint.report()));
    const during = within(load.samples, over);
    const normalP99Ms = usualP99(load.samples, normal);
    return {
      proxy: proxy.kind,
      capacityPerSec: CAPACITY_PER_SEC,
      sent: during.length,
      goodput: goodPerSec(during, over) / CAPACITY_PER_SEC,
      troubles: troubles(during),
      normalP99Ms,
      admittedP99Ms: quantile(during, 0.99),
      recoveredMs: recoveredMs(load.samples, after, 2 * normalP99Ms),
      memoryBytes: [before, Math.max(...memory), memory.at(-1) ?? 0],
      mostInside: Math.max(...reports.map(({ mostInside }) => mostInside)),
    };
  } finally {
    await load.stop();
  }
}

const goodPerSec = (samples: readonly Sample[], { fromMs, toMs }: Span) =>
  (samples.filter(({ trouble }) => trouble === "").length * 1000) / (toMs - fromMs);

/** From the beginning of the span to the first step from which on all goes well for a second. */
function recoveredMs(
  samples: readonly Sample[],
  { fromMs, toMs }: Span,
  limitMs: number,
): number | undefined {
  for (let atMs = fromMs; atMs + 1000 <= toMs; atMs += RECOVERY_STEP_MS) {
    const second = within(samples, { fromMs: atMs, toMs: atMs + 1000 });
    if (troubles(second).length === 0 && quantile(second, 0.99) <= limitMs) return atMs - fromMs;
  }
  return undefined;
}
