/**
 * Upstream gate: may an attempt go to this upstream now, must it wait, or is it refused?
 *
 * why    an upstream that is asked for more than it can do answers nobody in time. What is beyond its limits waits here,
 *        in order and for a bounded time; what comes while it only fails is told so at once
 * shape  an `UpstreamGate` lives as long as the upstream's name, over reloads; a `GateView` is what one version of the
 *        configuration sees of it; a `Hold` is the place of one attempt, and gives it back once, whatever happens
 * rule   limits are this worker's own. An attempt has its place from phase `choose` until it fails or its exchange is
 *        over; a further attempt asks for a place like any other. Nobody overtakes those who wait, but of a higher
 *        priority; within one, client addresses take turns
 * rule   the breaker hears of each attempt once: by its answer's head, by its failure, or that it was called off.
 *        Statuses from 500 on are errors; a pooled connection that had gone stale and a stream that was refused say nothing
 * cost   with neither limits nor breaker there is no gate. An attempt allocates its Hold, one that waits its Waiter
 */
import { hashOf } from "../balance/key-hash.ts";
import type { BreakerConfig, UpstreamConfig, UpstreamLimitsConfig } from "../config/config.ts";
import { fail } from "../core/failure.ts";
import { ADAPTIVE, AdaptiveLimit } from "../limit/adaptive.ts";
import { Breaker, REFUSED } from "../limit/breaker.ts";
import { NO_TICKET, WaitQueue } from "../limit/queue.ts";
import { Shedder } from "../limit/shedding.ts";
import { observe } from "../observe/histogram.ts";
import { GATE_REASONS, UPSTREAM } from "../observe/metrics.table.ts";
import type { Upstream } from "../session/exchange.ts";
import { clock } from "../transport/clock.ts";
import type { Timed, Wheel } from "../transport/timers.ts";
import { Hold, type HoldGate } from "./hold.ts";
import { WAIT } from "./phases.table.ts";
import type { EndpointPlaces, Gate, Planned, Route, UpstreamGroup } from "./plan.ts";

const AT = UPSTREAM.at;
/** Waits beyond this part of `queueTimeout` that never get shorter: the last to come would only time out. */
const LONG_WAIT = 0.5;

export type GateReason = (typeof GATE_REASONS)[number];
export type GateRules = Pick<UpstreamConfig, "limits" | "breaker">;

export interface GateServices {
  /** This worker's counter row in the zone. */
  readonly counters: Float64Array;
  readonly wheel: Pick<Wheel, "schedule" | "forget">;
  readonly chance: () => number;
  /** Goes on with an exchange that has waited. */
  readonly resume: (exchange: Planned, phase: "choose" | "answer") => void;
  /** Calls once what is going on now is through: places come free in the middle of other exchanges' phases. */
  readonly soon: (run: () => void) => void;
}

/**
 * What has room may be what this waiter has tried already, while the next one can use it: so many are asked each time a
 * place comes free.
 */
const MAX_SENT_BACK = 4;
const NO_LIMITS: UpstreamLimitsConfig = {
  connections: 0,
  perEndpoint: 0,
  queue: 0,
  queueTimeoutMs: 0,
  adaptive: false,
};

const queueFor = ({ queue, queueTimeoutMs }: UpstreamLimitsConfig) =>
  new WaitQueue<Waiter>({ capacity: queue, waitMs: queueTimeoutMs });

const shedderFor = ({ queueTimeoutMs }: UpstreamLimitsConfig) =>
  new Shedder({ loopLagMs: 1, memoryShare: 1, queueDelayMs: queueTimeoutMs * LONG_WAIT });

export class UpstreamGate implements HoldGate {
  readonly #services: GateServices;
  /** First slot of the upstream's block in the counter row. */
  readonly #slot: number;
  readonly #endpoints = new Map<string, EndpointPlaces>();
  #limits = NO_LIMITS;
  #breakerRules: BreakerConfig | undefined;
  #queue = queueFor(NO_LIMITS);
  #shedder = shedderFor(NO_LIMITS);
  #breaker: Breaker | undefined;
  #adaptive: AdaptiveLimit | undefined;
  #inFlight = 0;
  /** Grows when an endpoint becomes full, or has room again. */
  fullRevision = 0;
  /** The waiter whose turn it is now. */
  #called: Planned | undefined;
  #isWakeDue = false;
  /** As the version in force has it. */
  #group: UpstreamGroup | undefined;
  /** Waiters whose turn it was, and for whom no endpoint had room, in this round. */
  #sentBack = 0;
  #toldLimit = 0;
  #toldOpen = false;

  /** Lets all pass until `configure` gives it rules. */
  constructor(slot: number, services: GateServices) {
    this.#services = services;
    this.#slot = slot;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get waiting(): number {
    return this.#queue.size;
  }

  /** Most that may be in flight now; 0 = no limit. */
  get limit(): number {
    return this.#adaptive?.limit ?? this.#limits.connections;
  }

  /** Other rules from now on: what is in flight stays, those who wait keep their turn where there is still room. */
  configure({ limits, breaker }: GateRules, group: UpstreamGroup): void {
    const before = this.#limits;
    const names = group.endpoints.map(({ name }) => name);
    this.#group = group;
    for (const [name, { inFlight }] of [...this.#endpoints]) {
      if (inFlight === 0 && !names.includes(name)) this.#endpoints.delete(name);
    }
    this.#limits = limits;
    if (before.adaptive !== limits.adaptive || before.connections !== limits.connections) this.#setAdaptive();
    if (before.queue !== limits.queue || before.queueTimeoutMs !== limits.queueTimeoutMs) this.#moveQueue();
    if (JSON.stringify(breaker) !== JSON.stringify(this.#breakerRules)) this.#setBreaker(breaker);
    this.fullRevision++;
    this.#tellLimit(this.limit);
    this.wakeSoon();
  }

  /** The upstream left the configuration, or is not protected any more. Those who wait still get their turn. */
  retire(): void {
    this.#group = undefined;
    this.#tellLimit(0);
    this.#tellBreaker(false);
    this.#limits = { ...this.#limits, connections: 0, perEndpoint: 0, adaptive: false };
    this.#breaker = undefined;
    this.#adaptive = undefined;
    this.fullRevision++;
    this.wakeSoon();
  }

  #setAdaptive(): void {
    const { adaptive, connections } = this.#limits;
    const max = connections > 0 ? connections : ADAPTIVE.max;
    const rules = { min: Math.min(ADAPTIVE.min, max), initial: Math.min(ADAPTIVE.initial, max), max };
    this.#adaptive = adaptive ? new AdaptiveLimit(rules, clock.nowMs, this.#services.chance) : undefined;
    this.#tellLimit(this.limit);
  }

  #setBreaker(rules: BreakerConfig | undefined): void {
    this.#breakerRules = rules;
    this.#breaker = rules === undefined ? undefined : new Breaker(rules);
    this.#tellBreaker(false);
  }

  #moveQueue(): void {
    const before = this.#queue;
    this.#queue = queueFor(this.#limits);
    this.#shedder = shedderFor(this.#limits);
    for (let waiter = before.next(); waiter !== undefined; waiter = before.next()) {
      waiter.ticket = this.#queue.enter(waiter, waiter.priority, waiter.key, clock.nowMs);
      if (waiter.ticket === NO_TICKET) this.#turnAway(waiter);
    }
  }

  /** Judges the waits since the last call; every SHED_TICK_MS. */
  tick(): void {
    this.#shedder.tick();
    this.#wakeIfRoom();
  }

  endpoint(name: string): EndpointPlaces {
    const known = this.#endpoints.get(name);
    if (known !== undefined) return known;
    const places: EndpointPlaces = { inFlight: 0 };
    this.#endpoints.set(name, places);
    return places;
  }

  isFull(endpoint: EndpointPlaces): boolean {
    const { perEndpoint } = this.#limits;
    return perEndpoint > 0 && endpoint.inFlight >= perEndpoint;
  }

  // ── in ──

  /** out  undefined = the attempt has a place, which its exchange's plan holds; else what its phase returns */
  enter(exchange: Planned): typeof WAIT | "answer" | undefined {
    const { plan } = exchange;
    plan.hold?.leave();
    if (this.#called === exchange || plan.isFreshRetry) return this.#take(exchange);
    if (this.#isOpen()) return this.refuse(exchange, "breaker_open");
    const mayWait = this.#limits.queue > 0;
    const { shed } = plan.route as Route;
    if (mayWait && !this.#shedder.admits(shed, this.#services.chance())) {
      return this.refuse(exchange, "shed");
    }
    if (this.#queue.size === 0) return this.#hasPlace() ? this.#take(exchange) : this.wait(exchange);
    const next = this.wait(exchange);
    this.#wakeIfRoom();
    return next;
  }

  /** For an attempt that nobody has to wait for. out  false when there is no place now */
  enterNow(exchange: Planned): boolean {
    if (this.#isOpen() || this.#queue.size > 0 || !this.#hasPlace()) return false;
    return this.#take(exchange) === undefined;
  }

  #hasPlace(): boolean {
    const { limit } = this;
    return limit === 0 || this.#inFlight < limit;
  }

  #isOpen(): boolean {
    return this.#breaker !== undefined && this.#breaker.closedForMs(clock.nowMs) > 0;
  }

  #take(exchange: Planned): "answer" | undefined {
    const breaker = this.#breaker;
    const admission = breaker === undefined ? 0 : breaker.enter(clock.nowMs);
    if (breaker !== undefined && admission === REFUSED) return this.refuse(exchange, "breaker_open");
    this.#inFlight++;
    this.#add(AT.inFlight, 1);
    exchange.plan.hold = new Hold(this, exchange, breaker, admission);
    return undefined;
  }

  /** An endpoint is chosen for the attempt. */
  occupy(endpoint: EndpointPlaces): void {
    endpoint.inFlight++;
    if (endpoint.inFlight === this.#limits.perEndpoint) this.fullRevision++;
  }

  /** Gives the place of an attempt back; its Hold calls it once. */
  giveBack(endpoint: EndpointPlaces | undefined): void {
    this.#inFlight--;
    this.#add(AT.inFlight, -1);
    if (endpoint === undefined) return; // it never went anywhere: nothing has come free
    if (endpoint.inFlight === this.#limits.perEndpoint) this.fullRevision++;
    endpoint.inFlight--;
    this.wakeSoon();
  }

  /** Answers an exchange with 503; `exchange.failure` says why. */
  refuse(exchange: Planned, reason: GateReason, detail = ""): "answer" {
    this.#add(AT.refused + GATE_REASONS.indexOf(reason), 1);
    const closedForMs = this.#breaker?.closedForMs(clock.nowMs) ?? 0;
    const seconds = reason === "breaker_open" ? Math.max(1, Math.ceil(closedForMs / 1000)) : 1;
    const failure = fail(reason, detail === "" ? (exchange.plan.upstream?.name ?? "") : detail);
    exchange.failure = Object.assign(failure, { lines: `Retry-After: ${seconds}\r\n` });
    return "answer";
  }

  // ── waiting ──

  wait(exchange: Planned): typeof WAIT | "answer" {
    const { plan } = exchange;
    if (this.#called === exchange) this.#sentBack++;
    const leftMs = this.#limits.queueTimeoutMs - plan.queueMs;
    if (leftMs <= 0) return this.refuse(exchange, "queue_timeout");
    const { shed } = plan.route as Route;
    if (this.#limits.queue > 0 && this.#queue.isFull) this.#displace(shed);
    const waiter = new Waiter(this, exchange, shed);
    waiter.ticket = this.#queue.enter(waiter, shed, waiter.key, clock.nowMs);
    if (waiter.ticket === NO_TICKET) return this.refuse(exchange, "queue_full");
    if (!plan.hasQueued) this.#add(AT.queued, 1);
    plan.hasQueued = true;
    this.#add(AT.waiting, 1);
    exchange.upstream = waiter;
    this.#services.wheel.schedule(waiter, Math.min(waiter.sinceMs + leftMs, exchange.deadlineMs));
    if (!exchange.isRequestComplete) exchange.downstream.pauseRequest(exchange);
    return WAIT;
  }

  /** Room for one of `priority`, at the cost of one below it. */
  #displace(priority: number): void {
    const waiter = this.#queue.displace(priority);
    if (waiter !== undefined) this.#turnAway(waiter);
  }

  #turnAway(waiter: Waiter): void {
    this.#services.soon(() => this.end(waiter, "queue_full"));
  }

  /** Its client is gone, or has had its answer. */
  calledOff(waiter: Waiter): void {
    if (this.#leaveQueue(waiter)) this.#queue.cancel(waiter.ticket);
  }

  expired(waiter: Waiter): void {
    this.#queue.cancel(waiter.ticket);
    const isPastDeadline = waiter.exchange.deadlineMs <= clock.nowMs;
    this.end(waiter, isPastDeadline ? "request_timeout" : "queue_timeout");
  }

  /** It has waited for nothing. */
  end(waiter: Waiter, reason: GateReason | "request_timeout"): void {
    if (!this.#leaveQueue(waiter)) return;
    const { exchange } = waiter;
    exchange.upstream = undefined;
    const detail = `waited ${Math.round(exchange.plan.queueMs)} ms`;
    if (reason === "request_timeout") exchange.failure = fail(reason, detail);
    else this.refuse(exchange, reason, detail);
    exchange.downstream.resumeRequest(exchange); // the answer may wait for the end of the body
    this.#services.resume(exchange, "answer");
  }

  /** out  false when it did not wait any more */
  #leaveQueue(waiter: Waiter): boolean {
    if (waiter.isOver) return false;
    waiter.isOver = true;
    const waitedMs = clock.nowMs - waiter.sinceMs;
    waiter.exchange.plan.queueMs += waitedMs;
    this.#services.wheel.forget(waiter);
    this.#shedder.noteWait(waitedMs);
    this.#add(AT.waiting, -1);
    observe(this.#services.counters, this.#slot + AT.queueTime, waitedMs);
    return true;
  }

  wakeSoon(): void {
    if (this.#isWakeDue || this.#queue.size === 0) return;
    this.#isWakeDue = true;
    this.#services.soon(() => this.#wake());
  }

  /**
   * Room comes without a place given back, too: an endpoint is well again, or an operator puts it up; and those in front
   * may have tried the one that has room.
   */
  #wakeIfRoom(): void {
    if (this.#queue.size > 0 && this.#hasPlace() && this.#group?.chooser.hasRoom() === true) this.wakeSoon();
  }

  #wake(): void {
    this.#isWakeDue = false;
    this.#sentBack = 0;
    // behind an open breaker nobody waits
    while (this.#sentBack < MAX_SENT_BACK && (this.#hasPlace() || this.#isOpen())) {
      const waiter = this.#queue.next();
      if (waiter === undefined) return;
      this.#call(waiter);
    }
  }

  #call(waiter: Waiter): void {
    if (!this.#leaveQueue(waiter)) return;
    const { exchange } = waiter;
    exchange.upstream = undefined;
    // it has not been anywhere: endpoints that have come or gone while it waited are no less its own
    if (exchange.plan.attempts === 0) exchange.plan.upstream = this.#group ?? exchange.plan.upstream;
    this.#called = exchange;
    this.#services.resume(exchange, "choose");
    this.#called = undefined;
  }

  // ── what is learnt ──

  judge(hold: Hold, isError: boolean, latencyMs: number): void {
    const { breaker, admission } = hold;
    if (breaker === undefined || admission === REFUSED) return;
    const hasChanged = breaker.settle(admission, isError, latencyMs, clock.nowMs);
    if (!hasChanged || breaker !== this.#breaker) return;
    if (breaker.state === "open") this.#add(AT.breakerOpened, 1);
    this.#tellBreaker(breaker.state !== "closed");
    this.wakeSoon();
  }

  noteLatency(latencyMs: number): void {
    const adaptive = this.#adaptive;
    if (adaptive === undefined) return;
    adaptive.note(latencyMs, this.#inFlight, clock.nowMs);
    if (adaptive.limit === this.#toldLimit) return;
    this.#tellLimit(adaptive.limit);
    this.wakeSoon();
  }

  /** Gauges are moved, not set: names beyond the row's capacity share a series. */
  #tellLimit(limit: number): void {
    this.#add(AT.limit, limit - this.#toldLimit);
    this.#toldLimit = limit;
  }

  #tellBreaker(isOpen: boolean): void {
    this.#add(AT.breakersOpen, Number(isOpen) - Number(this.#toldOpen));
    this.#toldOpen = isOpen;
  }

  #add(offset: number, amount: number): void {
    const { counters } = this.#services;
    const at = this.#slot + offset;
    counters[at] = (counters[at] as number) + amount;
  }
}

/** An exchange that waits for a place: to its other side an upstream that takes nothing yet. */
class Waiter implements Upstream, Timed {
  deadlineMs = Number.POSITIVE_INFINITY;
  wheelTick = 0;
  wheelIndex = 0;
  readonly exchange: Planned;
  readonly priority: number;
  /** Clients take turns. */
  readonly key: number;
  readonly sinceMs = clock.nowMs;
  ticket = NO_TICKET;
  isOver = false;
  readonly #gate: UpstreamGate;

  constructor(gate: UpstreamGate, exchange: Planned, priority: number) {
    this.#gate = gate;
    this.exchange = exchange;
    this.priority = priority;
    this.key = hashOf(exchange.clientIp);
  }

  sendBody(): boolean {
    return false; // the request's body is paused meanwhile
  }
  sendEnd(): void {
    // likewise
  }
  pauseResponse(): void {
    // there is none
  }
  resumeResponse(): void {
    // there is none
  }
  cancel(): void {
    this.#gate.calledOff(this);
  }
  expire(): void {
    this.#gate.expired(this);
  }
}

/** What one version of the configuration sees of the gate: its endpoints by their index. */
export class GateView implements Gate {
  readonly gate: UpstreamGate;
  /** 1 = the endpoint takes no more for now; `look` keeps it up to date. */
  readonly full: Uint8Array;
  readonly #places: readonly EndpointPlaces[];
  #seen = -1;

  constructor(gate: UpstreamGate, names: readonly string[]) {
    this.gate = gate;
    this.#places = names.map((name) => gate.endpoint(name));
    this.full = new Uint8Array(names.length);
  }

  /** out  true when another set of endpoints is full than at the last look */
  look(): boolean {
    if (this.gate.fullRevision === this.#seen) return false;
    this.#seen = this.gate.fullRevision;
    for (const [index, places] of this.#places.entries()) this.full[index] = Number(this.gate.isFull(places));
    return true;
  }

  enter(exchange: Planned): typeof WAIT | "answer" | undefined {
    return this.gate.enter(exchange);
  }

  enterNow(exchange: Planned): boolean {
    return this.gate.enterNow(exchange);
  }

  chosen(exchange: Planned, index: number): void {
    const places = this.#places[index];
    if (places !== undefined) exchange.plan.hold?.chose(places);
  }

  /** No endpoint can take it. When that is because some are full, it waits for one of them. */
  missed(exchange: Planned): typeof WAIT | "answer" | undefined {
    exchange.plan.hold?.leave();
    this.look();
    return this.full.includes(1) ? this.gate.wait(exchange) : undefined;
  }
}
