/**
 * Endpoint chooser: which of an upstream's endpoints takes the next request, in this worker?
 *
 * why    sessions, tiers, zones, health and the policy are joined here and nowhere else; each knows nothing of the
 *        others
 * how    a session that is bound stays → the first tier with enough usable endpoints → endpoints near us as far as
 *        they reach → the policy
 * cost   when nothing has changed and nothing is configured: one branch more than the policy
 */
import { makePolicy } from "../balance/policies.ts";
import type { EndpointConfig, UpstreamConfig } from "../config/config.ts";
import { takesInPanic, takesSticky } from "../health/endpoint-state.table.ts";
import { fillEligible, isPanic } from "../health/panic.ts";
import type { Exchange } from "../session/exchange.ts";
import { Lane, type Loaded } from "./lane.ts";
import { compileKey, type KeyOf } from "./request-key.ts";
import { Sticky } from "./sticky.ts";

/** Where endpoints stand, as health and operators see it. */
export interface Standing {
  /** Numbers of states (health/endpoint-state.table.ts), by index. */
  readonly states: Uint8Array;
  /** Weight that counts now: set at run time or else configured, times slow start. */
  weightOf(index: number, configured: number): number;
  /** Looks again. out  true when something is other than at the last look */
  look(): boolean;
}

/** Which endpoints take no more for now, because of a limit (`upstream-gate.ts`). */
export interface Places {
  /** 1 = full, by index. */
  readonly full: Uint8Array;
  /** Looks again. out  true when others are full than at the last look */
  look(): boolean;
}

export interface GroupNeeds {
  readonly endpoints: readonly Loaded[];
  /** undefined = nobody watches these endpoints: all are up for ever. */
  readonly standing: Standing | undefined;
  /** undefined = no endpoint is ever full. */
  readonly places?: Places | undefined;
  readonly worker: number;
  /** Where this machine stands, "" = nobody said. */
  readonly zone: string;
  readonly chance: () => number;
}

/** With less of its weight usable than this, a zone hands some of its requests to others (Envoy: 70 %). */
const NEAR_ENOUGH = 0.7;
const NO_SHARE = -1;

export class EndpointChooser {
  readonly #standing: Standing | undefined;
  readonly #places: Places | undefined;
  readonly #configured: Float64Array;
  readonly #weights: Float64Array;
  readonly #tiers: readonly Uint8Array[];
  readonly #isNear: Uint8Array | undefined;
  readonly #panic: number;
  readonly #chance: () => number;
  readonly #all: Lane;
  readonly #near: Lane | undefined;
  readonly #far: Lane | undefined;
  readonly #keyOf: KeyOf | undefined;
  readonly #sticky: Sticky | undefined;
  readonly #usable: Uint8Array;
  /** Share of the requests that stay near; NO_SHARE = zones do not matter now. */
  #nearShare = NO_SHARE;

  constructor(upstream: UpstreamConfig, needs: GroupNeeds) {
    const { endpoints } = upstream;
    const names = endpoints.map(({ name }) => name);
    const laneOf = () => {
      const policy = makePolicy(upstream.balance, {
        names,
        worker: needs.worker,
        load: upstream.hash?.loadFactor ?? 0,
      });
      return new Lane(needs.endpoints, this.#weights, policy, needs.chance);
    };
    this.#standing = needs.standing;
    this.#places = needs.places;
    this.#configured = Float64Array.from(endpoints, ({ weight }) => weight);
    this.#weights = this.#configured.slice();
    this.#tiers = tiersOf(endpoints);
    this.#isNear = nearOf(endpoints, needs.zone);
    this.#panic = upstream.health.passive?.panic ?? 0;
    this.#chance = needs.chance;
    this.#usable = new Uint8Array(endpoints.length);
    this.#all = laneOf();
    this.#near = this.#isNear === undefined ? undefined : laneOf();
    this.#far = this.#isNear === undefined ? undefined : laneOf();
    this.#keyOf = upstream.hash === undefined ? undefined : compileKey(upstream.hash.on);
    this.#sticky =
      upstream.sticky === undefined ? undefined : new Sticky(upstream.sticky, upstream.name, names);
    this.#arrange();
  }

  /**
   * Chooses for one attempt; `excluded` has a 1 for each endpoint that this exchange has tried.
   * out  index, or -1 when no endpoint can take it
   */
  choose(exchange: Exchange, excluded: Uint8Array | undefined): number {
    this.#look();
    if (excluded !== undefined) return this.#chooseLeft(excluded);
    if (this.#sticky !== undefined) {
      const bound = this.#sticky.endpointOf(exchange);
      if (bound !== -1 && this.#mayStay(bound)) return bound;
    }
    const key = this.#keyOf === undefined ? -1 : this.#keyOf(exchange);
    return this.#lane().pick(key);
  }

  /** Would somebody who has tried none of them yet find one now? Asking moves nobody's turn. */
  hasRoom(): boolean {
    this.#look();
    return this.#all.eligible.some((flag, index) => flag === 1 && this.#takes(index));
  }

  #look(): void {
    if (this.#standing?.look() === true) this.#arrange();
    if (this.#places?.look() === true) this.#arrange();
  }

  /** An operator's 0 leaves an endpoint what sticks to it, and nothing else. */
  #takes(index: number): boolean {
    return (this.#weights[index] as number) > 0;
  }

  /** Field line for the answer that binds the client to `index`, or "". */
  stickyLine(exchange: Exchange, index: number): string {
    return this.#sticky?.lineFor(exchange, index) ?? "";
  }

  #mayStay(index: number): boolean {
    if (this.#isFull(index)) return false;
    const standing = this.#standing;
    return standing === undefined || takesSticky(standing.states[index] as number);
  }

  #isFull(index: number): boolean {
    return this.#places !== undefined && this.#places.full[index] === 1;
  }

  #lane(): Lane {
    if (this.#nearShare === NO_SHARE) return this.#all;
    const isNear = this.#nearShare >= 1 || this.#chance() < this.#nearShare;
    return (isNear ? this.#near : this.#far) ?? this.#all;
  }

  /**
   * A further attempt goes to an endpoint that has not failed this exchange yet: by chance, since to ask the policy
   * would move everybody's turn on, and with two endpoints the one that fails would be first every time.
   */
  #chooseLeft(excluded: Uint8Array): number {
    for (const tier of this.#tiers) {
      const left: number[] = [];
      for (let index = 0; index < tier.length; index++) {
        const isLeft = tier[index] === 1 && this.#usable[index] === 1 && excluded[index] !== 1;
        if (isLeft && !this.#isFull(index) && this.#takes(index)) left.push(index);
      }
      if (left.length > 0) return left[Math.floor(this.#chance() * left.length)] as number;
    }
    return -1;
  }

  // ── what has changed ──

  /** Works out who may be asked, after a change. */
  #arrange(): void {
    const standing = this.#standing;
    if (standing === undefined) this.#usable.fill(1);
    else {
      fillEligible(standing.states, 0, this.#usable);
      for (let index = 0; index < this.#weights.length; index++) {
        this.#weights[index] = standing.weightOf(index, this.#configured[index] as number);
      }
    }
    const tier = this.#membersNow();
    for (let index = 0; index < this.#usable.length; index++) {
      // an endpoint that is full still counts for its tier: what it cannot take waits, backups are for trouble
      const isFree = Number(!this.#isFull(index));
      this.#all.eligible[index] = (tier?.[index] ?? 0) & (this.#usable[index] as number) & isFree;
    }
    this.#all.revision++;
    this.#arrangeZones(tier);
  }

  /**
   * Who may be asked if usable: the first tier, and those behind it while it has too few. Only when no tier has enough
   * is trouble taken for a mistake, and all are used.
   */
  #membersNow(): Uint8Array | undefined {
    let members: Uint8Array | undefined;
    for (const tier of this.#tiers) {
      members = members === undefined ? tier : tier.map((flag, index) => flag | (members?.[index] ?? 0));
      if (this.#weightOf(tier) > 0 && !this.#hasTooFew(tier)) return members;
    }
    const { states } = this.#standing ?? {};
    if (states !== undefined && members !== undefined && this.#hasTooFew(members)) {
      fillEligible(states, this.#panic, this.#usable);
    }
    return members;
  }

  #hasTooFew(members: Uint8Array): boolean {
    const states = this.#standing?.states;
    if (states === undefined) return false;
    let [usable, total] = [0, 0];
    for (let index = 0; index < members.length; index++) {
      if (members[index] !== 1) continue;
      usable += this.#usable[index] as number;
      if (takesInPanic(states[index] as number)) total++;
    }
    return isPanic(usable, total, this.#panic);
  }

  /** Usable weight of some endpoints. */
  #weightOf(members: Uint8Array): number {
    let sum = 0;
    for (let index = 0; index < members.length; index++) {
      if (members[index] === 1 && this.#usable[index] === 1) sum += this.#weights[index] as number;
    }
    return sum;
  }

  /** Near endpoints take all, as long as enough of them can; below that the others take over in proportion. */
  #arrangeZones(tier: Uint8Array | undefined): void {
    const [near, far, isNear] = [this.#near, this.#far, this.#isNear];
    if (near === undefined || far === undefined || isNear === undefined) return;
    let whole = 0;
    for (let index = 0; index < isNear.length; index++) {
      const isUsed = this.#all.eligible[index] as number;
      near.eligible[index] = isUsed & (isNear[index] as number);
      far.eligible[index] = isUsed & (1 - (isNear[index] as number));
      if (isNear[index] === 1 && tier?.[index] === 1) whole += this.#configured[index] as number;
    }
    const [usable, usableFar] = [this.#shareOf(near), this.#shareOf(far)];
    near.revision++;
    far.revision++;
    if (usable === 0) this.#nearShare = NO_SHARE;
    else this.#nearShare = usableFar === 0 ? 1 : Math.min(1, usable / whole / NEAR_ENOUGH);
  }

  /** Configured weight of those that take requests now: the share of one that takes nothing would be lost. */
  #shareOf({ eligible }: Lane): number {
    return this.#configured.reduce(
      (sum, weight, index) => (eligible[index] === 1 && this.#takes(index) ? sum + weight : sum),
      0,
    );
  }
}

/** Who belongs to each tier, the first to be asked first; backups come behind every priority. */
function tiersOf(endpoints: readonly EndpointConfig[]): readonly Uint8Array[] {
  const rankOf = ({ priority, backup }: EndpointConfig) => (backup ? Number.POSITIVE_INFINITY : priority);
  const ranks = [...new Set(endpoints.map(rankOf))].sort((a, b) => a - b);
  return ranks.map((rank) => Uint8Array.from(endpoints, (endpoint) => (rankOf(endpoint) === rank ? 1 : 0)));
}

/** Who stands where we stand; undefined when nobody said, or nobody does. */
function nearOf(endpoints: readonly EndpointConfig[], zone: string): Uint8Array | undefined {
  if (zone === "" || !endpoints.some((endpoint) => endpoint.zone === zone)) return undefined;
  return Uint8Array.from(endpoints, (endpoint) => (endpoint.zone === zone ? 1 : 0));
}
