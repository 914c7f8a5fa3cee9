/**
 * Endpoint board: the state of each endpoint, for all workers: what it is, since when and why.
 *
 * why    checks, ejections, agents and people all have a say; here their words become one state, written once to shared
 *        memory (`health/board.table.ts`) and read by every worker at its next pick
 * shape  control's own row of the zone: it lives over reloads, deaths of workers and upgrades, and ends with the last
 *        process. Details and the list of events are of this process alone
 * rule   one writer: the control process that is in charge. What time alone changes (an ejection that ends) is found by
 *        `look`, which the owner calls a few times a second; workers see it by themselves
 * rule   an endpoint that leaves the configuration leaves nothing: one of the same name that comes later begins anew.
 *        One that shares its counters with others, because the zone is full, has no place here and is always up
 */
import type { UpstreamConfig } from "../config/config.ts";
import {
  BOARD,
  BOARD_WORDS,
  CHECK,
  type Check,
  OPERATOR,
  type Operator,
  type Reason,
  reasonNumber,
  reasonOf,
  reasonText,
} from "../health/board.table.ts";
import { baseWeight } from "../health/board-weight.ts";
import {
  boardState,
  type EndpointState,
  stateOf,
  stateText,
  takesFresh,
} from "../health/endpoint-state.table.ts";
import { warmFactor } from "../health/slow-start.ts";
import { parseSeriesKey, type SlotMap, seriesKey, sharedKey } from "../observe/series.ts";

/** What somebody says about an endpoint; what is left out stays as it is. */
export interface EndpointChange {
  /** What a person asks for. */
  readonly operator: Operator;
  /** What the endpoint's own agent asks for; a person's stronger word counts more. */
  readonly agent: Operator;
  /** Part of the configured weight that the agent asks for, above 0; 1 = all of it. Without effect on a person's weight. */
  readonly agentShare: number;
  readonly check: Check;
  /** ms since the epoch; 0 ends an ejection. */
  readonly ejectedUntilMs: number;
  /** Set at run time; 0 = nothing but what sticks to it. */
  readonly weight: number | "configured";
  /** Why; left out it follows from what is said. */
  readonly reason: Reason;
  /** What was seen, such as `HTTP 503, not 200-299`; for people. */
  readonly detail: string;
}

/** One endpoint, now. */
export interface EndpointStanding {
  readonly upstream: string;
  readonly endpoint: string;
  readonly state: EndpointState;
  readonly operator: Operator;
  readonly agent: Operator;
  readonly check: Check;
  readonly reason: Reason;
  readonly detail: string;
  /** ms since the epoch; 0 = since the start. */
  readonly sinceMs: number;
  /** ms since the epoch; 0 unless it is ejected now. */
  readonly ejectedUntilMs: number;
  /** Without slow start. */
  readonly weight: number;
  readonly isWeightSet: boolean;
  /** Share of its weight that it takes in slow start; 1 = all. */
  readonly warmth: number;
  /** How often the state has changed. */
  readonly transitions: number;
}

export interface EndpointEvent {
  /** ms since the epoch. */
  readonly atMs: number;
  readonly upstream: string;
  readonly endpoint: string;
  readonly from: EndpointState;
  readonly to: EndpointState;
  readonly reason: Reason;
  readonly detail: string;
}

/** What people have set, as plain JSON, for a process that cannot take the zone over. */
export interface SavedStanding {
  readonly upstream: string;
  readonly endpoint: string;
  readonly operator: Operator;
  readonly weight: number | "configured";
}

export interface EndpointBoardOptions {
  /** The first slots of control's row of the zone. */
  readonly rowOf: (slots: number) => Float64Array;
  /** One word of the zone that grows with each change: workers look at it before each pick. */
  readonly changes: Float64Array;
  readonly log: (level: "info" | "warn", area: string, text: string) => void;
  /** Time since the epoch. */
  readonly nowMs: () => number;
}

/** Who may be the reason for a state. */
type Cause = "operator" | "agent" | "check" | "ejection" | "time";
interface Told {
  readonly reason: Reason;
  readonly detail: string;
}

interface Place {
  readonly upstream: string;
  readonly endpoint: string;
  /** First word in the row. */
  readonly slot: number;
  configuredWeight: number;
  slowStartMs: number;
  /** Checks in a row that end an ejection. */
  rise: number;
  /** Passed checks since the ejection began. */
  passes: number;
  /** As it was last told of. */
  state: number;
  told: Told;
  readonly tolds: Partial<Record<Cause, Told>>;
}

/** Events that are kept for those who ask; the oldest go first. */
const MAX_EVENTS = 256;
const MAX_DETAIL_LENGTH = 200;
/** Words that are instants. */
const INSTANTS = ["ejectedUntilMs", "sinceMs", "warmFromMs"] as const;
const NOTHING_TOLD: Told = { reason: "none", detail: "" };

export class EndpointBoard {
  readonly #options: EndpointBoardOptions;
  #row: Float64Array;
  #places = new Map<string, Place>();
  readonly #events: EndpointEvent[] = [];
  readonly #listeners = new Set<(event: EndpointEvent) => void>();
  #hasAdopted = false;
  #isHandedOver = false;

  constructor(options: EndpointBoardOptions) {
    this.#options = options;
    this.#row = options.rowOf(BOARD_WORDS);
  }

  /**
   * Follows the configuration in force. in  all series, those no longer configured too
   *
   * An endpoint that is new in an upstream that was there begins by slow start. The first configuration is adopted
   * twice: before workers read the board, and, which clears what is of others, when no earlier process needs it.
   */
  adopt(slots: SlotMap, upstreams: readonly UpstreamConfig[]): void {
    const last = Object.values(slots).reduce((most, slot) => Math.max(most, slot), 0);
    if (last + BOARD_WORDS > this.#row.length) this.#row = this.#options.rowOf((last + BOARD_WORDS) * 2);
    const before = this.#places;
    const wasThere = new Set([...before.values()].map(({ upstream }) => upstream));
    this.#places = new Map();
    for (const upstream of upstreams) this.#adoptUpstream(upstream, slots, before);
    if (this.#hasAdopted) this.#clearOthers(slots);
    for (const [key, place] of this.#places) {
      const isNew = this.#hasAdopted && !before.has(key) && wasThere.has(place.upstream);
      if (isNew && place.slowStartMs > 0) this.#warmUp(place, this.#options.nowMs());
      place.state = this.#stateNow(place, this.#options.nowMs());
    }
    this.#hasAdopted = true;
    this.#changed();
  }

  #adoptUpstream(upstream: UpstreamConfig, slots: SlotMap, before: ReadonlyMap<string, Place>): void {
    const shared = slots[sharedKey("endpoint")];
    for (const { name, weight } of upstream.endpoints) {
      const key = seriesKey("endpoint", upstream.name, name);
      const slot = slots[key];
      if (slot === undefined || slot === shared) continue;
      const place = before.get(key) ?? this.#newPlace(upstream.name, name, slot);
      place.configuredWeight = weight;
      place.slowStartMs = upstream.slowStartMs;
      place.rise = upstream.health.active?.rise ?? 1;
      // nobody checks any more: what was found last must not hold for ever
      if (upstream.health.active === undefined) this.#row[slot + BOARD.check] = 0;
      this.#places.set(key, place);
    }
  }

  #newPlace(upstream: string, endpoint: string, slot: number): Place {
    // the words may be those of an endpoint that had this series before
    if (this.#hasAdopted) this.#row.fill(0, slot, slot + BOARD_WORDS);
    const told = { reason: reasonOf(this.#word(slot, "reason")), detail: "" };
    return {
      upstream,
      endpoint,
      slot,
      configuredWeight: 1,
      slowStartMs: 0,
      rise: 1,
      passes: 0,
      state: 0,
      told,
      tolds: {},
    };
  }

  /** Words of endpoints that are gone. */
  #clearOthers(slots: SlotMap): void {
    for (const [key, slot] of Object.entries(slots)) {
      if (this.#places.has(key) || parseSeriesKey(key)?.kind !== "endpoint") continue;
      this.#row.fill(0, slot, slot + BOARD_WORDS);
    }
  }

  /** out  undefined for an endpoint that is not configured, or has no place of its own */
  state(upstream: string, endpoint: string): EndpointStanding | undefined {
    const place = this.#places.get(seriesKey("endpoint", upstream, endpoint));
    return place === undefined ? undefined : this.#standing(place, this.#options.nowMs());
  }

  /** All endpoints, in the order of the configuration. */
  standings(): EndpointStanding[] {
    const nowMs = this.#options.nowMs();
    return [...this.#places.values()].map((place) => this.#standing(place, nowMs));
  }

  /** Takes somebody's word. out  false when there is no such endpoint, or another process is in charge */
  set(upstream: string, endpoint: string, change: Partial<EndpointChange>): boolean {
    const place = this.#places.get(seriesKey("endpoint", upstream, endpoint));
    if (place === undefined || this.#isHandedOver) return false;
    const nowMs = this.#options.nowMs();
    this.#settle(place, nowMs);
    const wasEjected = nowMs < this.#word(place.slot, "ejectedUntilMs");
    this.#write(place, change);
    const { ejectedUntilMs = 0 } = change;
    if (nowMs < ejectedUntilMs) this.#eject(place, ejectedUntilMs);
    else if (wasEjected && mayEndEjection(change)) this.#row[place.slot + BOARD.ejectedUntilMs] = 0;
    const cause = causeOf(change);
    place.tolds[cause] = toldOf(change, cause);
    this.#tell(place, nowMs, cause);
    this.#changed();
    return true;
  }

  /**
   * A check has passed: after `health.active.rise` of them an ejection for failures in a row ends. One for being worse
   * than the others goes on: a check did not see what they see.
   */
  notePass(upstream: string, endpoint: string): void {
    const place = this.#places.get(seriesKey("endpoint", upstream, endpoint));
    if (place === undefined || this.#options.nowMs() >= this.#word(place.slot, "ejectedUntilMs")) return;
    place.passes++;
    if (place.passes < place.rise || place.tolds.ejection?.reason !== "failures") return;
    this.set(upstream, endpoint, { ejectedUntilMs: 0, reason: "check_passed" });
  }

  /** Finds what time has changed; to be called a few times a second. */
  look(): void {
    if (this.#isHandedOver) return;
    const nowMs = this.#options.nowMs();
    for (const place of this.#places.values()) this.#settle(place, nowMs);
  }

  /** The wall clock was set: what lay so far in the future, or in the past, still does. */
  shiftClock(ms: number): void {
    if (this.#isHandedOver) return;
    for (const { slot } of this.#places.values()) {
      for (const word of INSTANTS) {
        const at = slot + BOARD[word];
        if (this.#row[at] !== 0) this.#row[at] = (this.#row[at] as number) + ms;
      }
    }
    this.#changed();
  }

  /** Calls `run` at each change of a state. out  ends that */
  onChange(run: (event: EndpointEvent) => void): () => void {
    this.#listeners.add(run);
    return () => this.#listeners.delete(run);
  }

  /** Latest changes of states, the oldest first. */
  events(): readonly EndpointEvent[] {
    return [...this.#events];
  }

  /** What people have set. */
  save(): SavedStanding[] {
    return this.standings()
      .filter(({ operator, isWeightSet }) => operator !== "up" || isWeightSet)
      .map(({ upstream, endpoint, operator, weight, isWeightSet }) => ({
        upstream,
        endpoint,
        operator,
        weight: isWeightSet ? weight : "configured",
      }));
  }

  /** Sets again what people had set when the zone could not be taken over. */
  restore(saved: readonly SavedStanding[]): void {
    for (const { upstream, endpoint, operator, weight } of saved) {
      this.set(upstream, endpoint, { operator, weight, reason: "operator" });
    }
  }

  /** From now on another process writes. */
  handOver(): void {
    this.#isHandedOver = true;
  }

  #write({ slot }: Place, change: Partial<EndpointChange>): void {
    const row = this.#row;
    const { operator, agent, agentShare, check, weight } = change;
    if (operator !== undefined) row[slot + BOARD.operator] = OPERATOR.indexOf(operator);
    if (agent !== undefined) row[slot + BOARD.agent] = OPERATOR.indexOf(agent);
    if (agentShare !== undefined) row[slot + BOARD.agentShare] = agentShare === 1 ? 0 : agentShare;
    if (check !== undefined) row[slot + BOARD.check] = CHECK.indexOf(check);
    if (weight === undefined) return;
    const number = weight === 0 ? -1 : weight; // zeroed memory means the configured one
    row[slot + BOARD.weight] = number === "configured" ? 0 : number;
  }

  /** Slow start begins at the end: no worker has to wait for us then. */
  #eject(place: Place, untilMs: number): void {
    place.passes = 0;
    this.#row[place.slot + BOARD.ejectedUntilMs] = untilMs;
    this.#row[place.slot + BOARD.warmFromMs] = place.slowStartMs > 0 ? untilMs : 0;
  }

  /** Tells of what time alone has changed. */
  #settle(place: Place, nowMs: number): void {
    const state = this.#stateNow(place, nowMs);
    if (state === place.state) return;
    const wasEjected = stateOf(place.state) === "ejected";
    place.tolds.time = { reason: wasEjected ? "ejection_over" : "none", detail: "" };
    this.#tell(place, nowMs, "time");
  }

  /** Writes down the state that follows from the words, and tells when it is another. */
  #tell(place: Place, nowMs: number, cause: Cause): void {
    let state = this.#stateNow(place, nowMs);
    const isBack = takesFresh(state) && !takesFresh(place.state);
    const isPrepared = this.#word(place.slot, "warmFromMs") >= this.#word(place.slot, "ejectedUntilMs");
    if (isBack && place.slowStartMs > 0 && (cause !== "time" || !isPrepared)) {
      this.#warmUp(place, nowMs);
      state = this.#stateNow(place, nowMs);
    }
    place.told = this.#toldFor(place, state, cause);
    this.#row[place.slot + BOARD.reason] = reasonNumber(place.told.reason);
    if (state === place.state) return;
    const from = stateOf(place.state);
    place.state = state;
    this.#row[place.slot + BOARD.sinceMs] = nowMs;
    this.#row[place.slot + BOARD.transitions] = this.#word(place.slot, "transitions") + 1;
    this.#publish({ ...this.#nameOf(place), atMs: nowMs, from, to: stateOf(state), ...place.told });
  }

  /** The word of the one who brought the state about, however long ago; `cause` has just spoken. */
  #toldFor({ tolds, told, slot, state: before }: Place, state: number, cause: Cause): Told {
    const isPersons = this.#word(slot, "operator") >= this.#word(slot, "agent");
    switch (stateOf(state)) {
      case "maintenance":
      case "draining":
        return tolds[isPersons ? "operator" : "agent"] ?? told;
      case "down":
        return tolds.check ?? told;
      case "ejected":
        return tolds.ejection ?? told;
      default:
        return state === before ? told : (tolds[cause] ?? NOTHING_TOLD);
    }
  }

  #warmUp(place: Place, nowMs: number): void {
    this.#row[place.slot + BOARD.warmFromMs] = nowMs;
  }

  #publish(event: EndpointEvent): void {
    this.#events.push(event);
    if (this.#events.length > MAX_EVENTS) this.#events.shift();
    const { upstream, endpoint, from, to, reason, detail } = event;
    const why = [reasonText(reason), detail].filter((text) => text !== "").join(": ");
    const text = `${upstream} ${endpoint} is ${stateText(to)}, was ${stateText(from)}${why === "" ? "" : `: ${why}`}`;
    this.#options.log(isTrouble(to) ? "warn" : "info", "health", text);
    for (const run of this.#listeners) run(event);
  }

  #standing(place: Place, nowMs: number): EndpointStanding {
    this.#settle(place, nowMs);
    const { slot, slowStartMs, configuredWeight, told } = place;
    const untilMs = this.#word(slot, "ejectedUntilMs");
    const warmFromMs = this.#word(slot, "warmFromMs");
    return {
      ...this.#nameOf(place),
      state: stateOf(place.state),
      operator: OPERATOR[this.#word(slot, "operator")] ?? "up",
      agent: OPERATOR[this.#word(slot, "agent")] ?? "up",
      check: CHECK[this.#word(slot, "check")] ?? "unchecked",
      ...told,
      sinceMs: this.#word(slot, "sinceMs"),
      ejectedUntilMs: nowMs < untilMs ? untilMs : 0,
      weight: baseWeight(this.#row, slot, configuredWeight),
      isWeightSet: this.#word(slot, "weight") !== 0,
      warmth: warmFromMs === 0 ? 1 : warmFactor(nowMs - warmFromMs, slowStartMs),
      transitions: this.#word(slot, "transitions"),
    };
  }

  #nameOf({ upstream, endpoint }: Place): { upstream: string; endpoint: string } {
    return { upstream, endpoint };
  }

  #stateNow({ slot, slowStartMs }: Place, nowMs: number): number {
    return boardState(this.#row, slot, { nowMs, slowStartMs });
  }

  #word(slot: number, word: keyof typeof BOARD): number {
    return this.#row[slot + BOARD[word]] as number;
  }

  #changed(): void {
    const { changes } = this.#options;
    changes[0] = (changes[0] as number) + 1;
  }
}

/** A person, or a check that turns, knows better than what was seen before. */
function mayEndEjection({ ejectedUntilMs, check, operator }: Partial<EndpointChange>): boolean {
  return ejectedUntilMs === 0 || check === "up" || operator === "up";
}

function causeOf({ operator, agent, check, ejectedUntilMs }: Partial<EndpointChange>): Cause {
  if (operator !== undefined) return "operator";
  if (check !== undefined) return "check";
  if (ejectedUntilMs !== undefined) return "ejection";
  return agent === undefined ? "operator" : "agent";
}

function toldOf(change: Partial<EndpointChange>, cause: Cause): Told {
  const detail = (change.detail ?? "").slice(0, MAX_DETAIL_LENGTH);
  return { reason: change.reason ?? usualReason(change, cause), detail };
}

function usualReason(change: Partial<EndpointChange>, cause: Cause): Reason {
  if (cause === "operator" || cause === "agent") return cause;
  if (cause === "check") return change.check === "down" ? "check_failed" : "check_passed";
  return change.ejectedUntilMs === 0 ? "ejection_over" : "failures";
}

const isTrouble = (state: EndpointState) => state === "down" || state === "ejected";
