/**
 * Gate stage: an upstream gate under test, with a chooser behind it, and no endpoint.
 */
import type { BreakerConfig, UpstreamLimitsConfig } from "../../src/config/config.ts";
import { UPSTREAM } from "../../src/observe/metrics.table.ts";
import { choose } from "../../src/pipeline/choose.ts";
import type { Standing } from "../../src/pipeline/endpoint-chooser.ts";
import type { Planned, UpstreamGroup } from "../../src/pipeline/plan.ts";
import { finish, run } from "../../src/pipeline/run.ts";
import { GateView, UpstreamGate } from "../../src/pipeline/upstream-gate.ts";
import { clock } from "../../src/transport/clock.ts";
import { Wheel } from "../../src/transport/timers.ts";
import { fakeExchange, fixedRoute } from "./fake-exchange.ts";
import { testChooser, testUpstream } from "./test-upstream.ts";

const NO_LIMITS: UpstreamLimitsConfig = {
  connections: 0,
  perEndpoint: 0,
  queue: 16,
  queueTimeoutMs: 1000,
  adaptive: false,
};
/** A gate with a chooser behind it. `forward` only notes who gets there: the test ends attempts itself. */
export class GateStage {
  readonly counters = new Float64Array(UPSTREAM.slots);
  readonly wheel = new Wheel();
  readonly soon: (() => void)[] = [];
  readonly gate: UpstreamGate;
  /** Attempts that got a place, by the name of their exchange. */
  readonly sent: string[] = [];
  group: UpstreamGroup;
  readonly #names = new Map<Planned, string>();
  readonly #count: number;

  constructor(limits: Partial<UpstreamLimitsConfig>, breaker?: BreakerConfig, count = 2) {
    this.#count = count;
    this.gate = new UpstreamGate(0, {
      counters: this.counters,
      wheel: this.wheel,
      chance: () => 0.5,
      resume: (exchange, phase) => this.resume(exchange, phase),
      soon: (act) => void this.soon.push(act),
    });
    this.group = this.load(limits, breaker);
  }

  /** Brings other rules into force, as a reload does. */
  load(limits: Partial<UpstreamLimitsConfig>, breaker?: BreakerConfig, standing?: Standing): UpstreamGroup {
    const upstream = testUpstream(
      Array.from({ length: this.#count }, () => ({})),
      { limits: { ...NO_LIMITS, ...limits }, breaker },
    );
    const names = upstream.endpoints.map(({ name }) => name);
    const gate = new GateView(this.gate, names);
    const places = upstream.limits.perEndpoint > 0 ? gate : undefined;
    const chooser = testChooser(upstream, { places, standing });
    this.group = {
      name: "app",
      endpoints: names.map((name) => ({ name, pool: undefined as never })),
      isHttp2: false,
      chooser,
      gate,
    };
    this.gate.configure(upstream, this.group);
    return this.group;
  }

  /** An exchange that asks for a place now. */
  ask(name: string, shed = 1, clientIp = "192.0.2.9"): Planned {
    const { exchange } = fakeExchange({ clientIp });
    exchange.clientIp = clientIp;
    exchange.plan.route = fixedRoute({ shed });
    exchange.plan.upstream = this.group;
    this.#names.set(exchange, name);
    this.resume(exchange, "choose");
    return exchange;
  }

  resume(exchange: Planned, phase: "choose" | "answer"): void {
    const next = phase === "answer" ? "answer" : choose(exchange);
    if (next === "forward") {
      exchange.sentAtMs = clock.nowMs;
      this.sent.push(this.#names.get(exchange) ?? "");
    } else if (next === "answer") {
      run(exchange, "answer");
      finish(exchange);
    }
  }

  /** What was to be done once all is through. */
  settle(): void {
    for (let act = this.soon.shift(); act !== undefined; act = this.soon.shift()) act();
  }

  pass(ms: number): void {
    clock.nowMs += ms;
    this.wheel.advance(clock.nowMs);
    this.settle();
  }

  answer(exchange: Planned, status = 200): void {
    exchange.status = status;
    exchange.plan.hold?.answered();
  }

  end(...exchanges: Planned[]): void {
    for (const exchange of exchanges) finish(exchange);
    this.settle();
  }

  metric(offset: number): number {
    return this.counters[offset] ?? 0;
  }
}
