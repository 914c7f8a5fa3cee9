/**
 * Purge board: what was purged, and when, in words that all workers share.
 *
 * why    a purge must be in force on every worker before it is answered, and cost the same for one object as for a
 *        hundred thousand: so nothing is looked for. A response knows the clock at which its fetch began, and a few
 *        slots; a purge writes the next clock into one slot
 * shape  words: clock, tables of hard and soft slots (slot 0 is everything), some bits for each slot that say whether
 *        anything was fetched for their URLs since these were last invalidated, then a ring of rules about prefixes
 * why    slots are shared: a site that takes thousands of POSTs a second would purge everything in minutes, if each wrote
 *        its slot. So an unsafe request purges only where the bit says that something may be stored or on its way
 * rule   too much may be purged, too little never: names share slots, the oldest rule of a full ring becomes a purge of its
 *        host, a long prefix is cut
 * cost   one load while nothing was purged since the fetch; else two loads a slot, and a comparison for each newer rule
 * bound  LAST_CLOCK purges, those of unsafe requests included: some weeks at a thousand a second. Then everything counts
 *        as purged, until a start makes another board
 * note   hashes are by the zone's secret: marks and slots mean something only together with it (`snapshot`)
 */
import { hostOfUrl } from "./key.ts";
import { KeyHasher } from "./memory/key-hash.ts";
import {
  BOARD_BITS_A_SLOT,
  BOARD_HEADER_WORDS,
  BOARD_RULES,
  BOARD_SLOTS,
  HEADER_SECRET,
  RULE_BYTES,
  RULE_WORDS,
  type SharedMemory,
} from "./memory/layout.ts";
import type { PurgeBoard, PurgeScope } from "./store.ts";
import type { StoredFacts } from "./stored.ts";

const CLOCK = 0;
/** Goes up before and after the rules change: odd while they do. */
const CHANGES = 1;
const LOCK = 2;
/** Rules that were ever written. */
const WRITTEN = 3;
/** Purges that are in force. */
const MADE = 4;
const HARD = BOARD_HEADER_WORDS;
const SOFT = HARD + BOARD_SLOTS;
const KNOWN = SOFT + BOARD_SLOTS;
const BITS = BOARD_SLOTS * BOARD_BITS_A_SLOT;
const RULES = KNOWN + BITS / 32;
const TEXTS = RULES + BOARD_RULES * RULE_WORDS;

/** Words of a rule. A clock of 0: none. */
const RULE_CLOCK = 0;
const RULE_IS_SOFT = 1;
const RULE_LENGTH = 2;

const ALL_SLOT = 0;
/** Some below what a word holds: each process may be one purge beyond it for a moment. */
export const LAST_CLOCK = 0x7fff_0000;
/** A process that dies while it holds the lock is waited for no longer than this; then its rule purges a whole host. */
const LOCK_TRIES = 1000;

const SNAPSHOT_MAGIC = 0x42504357;
const SNAPSHOT_HEAD_WORDS = 5;

interface PrefixRule {
  readonly clock: number;
  readonly isSoft: boolean;
  readonly prefix: string;
}

export class SharedPurgeBoard implements PurgeBoard {
  readonly #words: Int32Array;
  readonly #texts: Buffer;
  readonly #hasher: KeyHasher;
  readonly #secret: readonly [number, number];
  #rules: readonly PrefixRule[] = [];
  #rulesSeen = 0;

  constructor({ board, header }: Pick<SharedMemory, "board" | "header">) {
    this.#words = board;
    this.#texts = Buffer.from(board.buffer, board.byteOffset + TEXTS * 4, BOARD_RULES * RULE_BYTES);
    this.#secret = [header[HEADER_SECRET] as number, header[HEADER_SECRET + 1] as number];
    this.#hasher = new KeyHasher(...this.#secret);
  }

  get clock(): number {
    return Atomics.load(this.#words, CLOCK);
  }

  /** Another number than before when a purge came into force: what was alive at the same number still is. */
  get made(): number {
    return Atomics.load(this.#words, MADE);
  }

  /** True when a rule about a prefix stands: only then does `stateOf` look at the URL. */
  get hasRules(): boolean {
    return Atomics.load(this.#words, WRITTEN) !== 0;
  }

  slotsOf(of: Parameters<PurgeBoard["slotsOf"]>[0]): Uint32Array {
    const slots = new Set([this.#slotOf("url", of.url), this.#slotOf("host", of.host)]);
    for (const tag of of.tags) slots.add(this.#slotOf("tag", tag));
    for (const group of of.groups) slots.add(this.#slotOf("group", `${of.origin}\n${group}`));
    return Uint32Array.from(slots);
  }

  purge(scope: PurgeScope, isSoft: boolean): void {
    this.purgeAt(scope, isSoft, this.nextClock());
  }

  /** The mark of a fetch for this URL that begins now: call it before anything is asked of the endpoint. */
  begin(url: string): number {
    // the clock first: see `invalidate`
    const { clock } = this;
    const index = this.#bitOf("url", url);
    const [at, bit] = [KNOWN + (index >>> 5), 1 << (index & 31)];
    if ((Atomics.load(this.#words, at) & bit) === 0) Atomics.or(this.#words, at, bit);
    return clock;
  }

  /** Whatever may be stored from before this start: nobody knows for which URLs. */
  knowAll(): void {
    this.#words.fill(-1, KNOWN, RULES);
  }

  /** A process was killed, perhaps in the middle of a purge: what it has begun is looked at by all, and hides none. */
  recover(): void {
    this.knowAll();
    Atomics.add(this.#words, MADE, 1);
  }

  /**
   * Purges a URL, if anything may be stored for it or on its way. out  false: there is nothing
   * A fetch that begins meanwhile either has seen the clock before, and is purged, or sets the bit after it was cleared.
   */
  invalidate(url: string): boolean {
    const index = this.#bitOf("url", url);
    const [at, bit] = [KNOWN + (index >>> 5), 1 << (index & 31)];
    if ((Atomics.load(this.#words, at) & bit) === 0) return false;
    Atomics.and(this.#words, at, ~bit);
    this.purge({ kind: "url", url }, false);
    return true;
  }

  /** Advances the clock: for a purge that is written down before it is made with `purgeAt`. */
  nextClock(): number {
    const clock = Atomics.add(this.#words, CLOCK, 1) + 1;
    if (clock <= LAST_CLOCK) return clock;
    Atomics.store(this.#words, CLOCK, LAST_CLOCK);
    return LAST_CLOCK;
  }

  /** There is no later clock: nothing is given out any more. */
  get isWornOut(): boolean {
    return this.clock >= LAST_CLOCK;
  }

  /** No clock up to this one is given any more: after a crash, responses may bear marks that no snapshot has seen. */
  skipTo(clock: number): void {
    this.#raise(CLOCK, clock);
  }

  /** The purge with that clock: again after a restart, it does what it did. */
  purgeAt(scope: PurgeScope, isSoft: boolean, clock: number): void {
    this.#raise(CLOCK, clock);
    if (scope.kind === "prefix") this.#addRule({ prefix: scope.prefix, isSoft, clock });
    else this.#raise((isSoft ? SOFT : HARD) + this.#slotOfScope(scope), clock);
    Atomics.add(this.#words, MADE, 1);
  }

  stateOf(facts: Pick<StoredFacts, "mark" | "purgeSlots">, url: string): "alive" | "stale" | "gone" {
    // one load tells of nearly every response that nothing was purged since it was fetched
    const { clock } = this;
    if (clock <= facts.mark && clock < LAST_CLOCK) return "alive";
    if (clock >= LAST_CLOCK) return "gone";
    const bySlots = this.#stateBySlots(facts);
    return bySlots === "gone" || !this.hasRules ? bySlots : this.#stateByRules(facts.mark, url, bySlots);
  }

  #stateBySlots({ mark, purgeSlots }: Pick<StoredFacts, "mark" | "purgeSlots">): "alive" | "stale" | "gone" {
    const words = this.#words;
    if ((words[HARD + ALL_SLOT] as number) > mark) return "gone";
    let isStale = (words[SOFT + ALL_SLOT] as number) > mark;
    for (let index = 0; index < purgeSlots.length; index++) {
      const slot = (purgeSlots[index] as number) & (BOARD_SLOTS - 1);
      if ((words[HARD + slot] as number) > mark) return "gone";
      if ((words[SOFT + slot] as number) > mark) isStale = true;
    }
    return isStale ? "stale" : "alive";
  }

  #stateByRules(mark: number, url: string, bySlots: "alive" | "stale"): "alive" | "stale" | "gone" {
    let state = bySlots;
    for (const { clock, prefix, isSoft } of this.#currentRules()) {
      if (clock <= mark || !url.startsWith(prefix)) continue;
      if (!isSoft) return "gone";
      state = "stale";
    }
    return state;
  }

  /** Rules in force: for people. */
  rules(): readonly PrefixRule[] {
    return this.#currentRules();
  }

  /** All of it, small while little was purged: what `restore` takes. */
  snapshot(): Buffer {
    const words = this.#words;
    const used: number[] = [];
    for (let slot = 0; slot < BOARD_SLOTS; slot++) {
      const hard = words[HARD + slot] as number;
      const soft = words[SOFT + slot] as number;
      if (hard !== 0 || soft !== 0) used.push(slot, hard, soft);
    }
    const rules = Buffer.from(JSON.stringify(this.#readRules()));
    const head = [SNAPSHOT_MAGIC, ...this.#secret, this.clock, used.length];
    return Buffer.concat([Buffer.from(Int32Array.from([...head, ...used]).buffer), rules]);
  }

  /** Adds the purges of a snapshot that was made with the same secret; as often as one likes. out  false when it is none of this */
  restore(snapshot: Buffer): boolean {
    const secret = secretIn(snapshot);
    if (secret?.[0] !== this.#secret[0] || secret[1] !== this.#secret[1]) return false;
    const [clock, count] = [snapshot.readInt32LE(12), snapshot.readInt32LE(16)];
    const end = SNAPSHOT_HEAD_WORDS * 4 + count * 4;
    const rules = count < 0 || end > snapshot.length ? undefined : rulesIn(snapshot.toString("utf8", end));
    if (rules === undefined) return false;
    for (let at = SNAPSHOT_HEAD_WORDS * 4; at < end; at += 12) {
      const slot = snapshot.readInt32LE(at) & (BOARD_SLOTS - 1);
      this.#raise(HARD + slot, snapshot.readInt32LE(at + 4));
      this.#raise(SOFT + slot, snapshot.readInt32LE(at + 8));
    }
    const known = new Set(this.#readRules().map(({ clock: at, prefix }) => `${at} ${prefix}`));
    for (const rule of rules) if (!known.has(`${rule.clock} ${rule.prefix}`)) this.#addRule(rule);
    this.#raise(CLOCK, clock);
    Atomics.add(this.#words, MADE, 1);
    return true;
  }

  #slotOfScope(scope: Exclude<PurgeScope, { kind: "prefix" }>): number {
    switch (scope.kind) {
      case "all":
        return ALL_SLOT;
      case "url":
        return this.#slotOf("url", scope.url);
      case "host":
        return this.#slotOf("host", scope.host);
      case "tag":
        return this.#slotOf("tag", scope.tag);
      case "group":
        return this.#slotOf("group", `${scope.origin}\n${scope.group}`);
    }
  }

  /** Never slot 0. What shares a bit shares the slot, so that a bit may be cleared once its slot is purged. */
  #slotOf(kind: string, name: string): number {
    return Math.floor(this.#bitOf(kind, name) / BOARD_BITS_A_SLOT);
  }

  #bitOf(kind: string, name: string): number {
    this.#hasher.hash(`${kind}\n${name}`);
    return BOARD_BITS_A_SLOT + ((this.#hasher.low >>> 0) % (BITS - BOARD_BITS_A_SLOT));
  }

  /** Sets a word that only grows. */
  #raise(at: number, clock: number): void {
    const words = this.#words;
    for (let seen = Atomics.load(words, at); seen < clock; ) {
      const found = Atomics.compareExchange(words, at, seen, clock);
      if (found === seen) return;
      seen = found;
    }
  }

  #addRule(rule: PrefixRule): void {
    const words = this.#words;
    if (!this.#lock()) {
      this.#purgeHostOf(rule);
      return;
    }
    const index = Atomics.load(words, WRITTEN) % BOARD_RULES;
    const at = RULES + index * RULE_WORDS;
    if ((words[at + RULE_CLOCK] as number) !== 0) this.#purgeHostOf(this.#ruleAt(index));
    Atomics.store(words, CHANGES, Atomics.load(words, CHANGES) | 1);
    Atomics.store(words, at + RULE_CLOCK, 0);
    words[at + RULE_IS_SOFT] = rule.isSoft ? 1 : 0;
    words[at + RULE_LENGTH] = this.#texts.latin1Write(rule.prefix, index * RULE_BYTES, RULE_BYTES);
    Atomics.store(words, at + RULE_CLOCK, rule.clock);
    // the ring is told by its remainder, so it may go round for good
    Atomics.store(words, WRITTEN, BOARD_RULES + ((index + 1) % BOARD_RULES));
    Atomics.add(words, CHANGES, 1);
    Atomics.store(words, LOCK, 0);
  }

  #lock(): boolean {
    for (let tries = 0; tries < LOCK_TRIES; tries++) {
      if (Atomics.compareExchange(this.#words, LOCK, 0, 1) === 0) return true;
    }
    return false;
  }

  /** In the place of a rule: more than it says, for what is older than it. */
  #purgeHostOf({ prefix, isSoft, clock }: PrefixRule): void {
    const slot = prefix.includes("/") ? this.#slotOf("host", hostOfUrl(prefix)) : ALL_SLOT;
    this.#raise((isSoft ? SOFT : HARD) + slot, clock);
  }

  /** The rules as they were last whole: one who writes just now has not answered yet. */
  #currentRules(): readonly PrefixRule[] {
    const changes = Atomics.load(this.#words, CHANGES);
    if (changes === this.#rulesSeen) return this.#rules;
    const rules = this.#readRules();
    if (changes % 2 !== 0 || Atomics.load(this.#words, CHANGES) !== changes) {
      return [...this.#rules, ...rules];
    }
    this.#rules = rules;
    this.#rulesSeen = changes;
    return rules;
  }

  #readRules(): PrefixRule[] {
    const rules: PrefixRule[] = [];
    for (let index = 0; index < BOARD_RULES; index++) {
      const rule = this.#ruleAt(index);
      if (rule.clock !== 0) rules.push(rule);
    }
    return rules;
  }

  #ruleAt(index: number): PrefixRule {
    const at = RULES + index * RULE_WORDS;
    const start = index * RULE_BYTES;
    const length = (this.#words[at + RULE_LENGTH] as number) & (2 * RULE_BYTES - 1);
    return {
      clock: Atomics.load(this.#words, at + RULE_CLOCK),
      isSoft: this.#words[at + RULE_IS_SOFT] === 1,
      prefix: this.#texts.latin1Slice(start, start + Math.min(length, RULE_BYTES)),
    };
  }
}

/** The secret that a snapshot's slots and marks were made with: the zone for it must have the same. */
export function secretIn(snapshot: Buffer): readonly [number, number] | undefined {
  if (snapshot.length < SNAPSHOT_HEAD_WORDS * 4 || snapshot.readInt32LE(0) !== SNAPSHOT_MAGIC)
    return undefined;
  return [snapshot.readInt32LE(4), snapshot.readInt32LE(8)];
}

/** The rules of a snapshot, or undefined when its end is missing. */
function rulesIn(json: string): readonly PrefixRule[] | undefined {
  try {
    return JSON.parse(json) as readonly PrefixRule[];
  } catch {
    return undefined;
  }
}
