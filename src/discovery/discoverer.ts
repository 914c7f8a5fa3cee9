/**
 * Discoverer: keeps the endpoints that sources name, once for all workers.
 *
 * why    one process asks, so that workers agree and sources see one client
 * rule   the last good list stays when a source fails or comes back empty: that a registry is down says nothing of
 *        the endpoints that it knows. A list that a reload asks for elsewhere is kept until the new source has one
 * rule   changes are told at most once a second, all together; a failure once, and once when it is over
 * cost   a timer a source; a list is compared as text
 */
import type { DiscoveryConfig, EndpointConfig, UpstreamConfig } from "../config/config.ts";
import type { Lists } from "./merge.ts";
import { type Found, MAX_FOUND, type Source } from "./source.ts";

export interface DiscovererOptions {
  readonly makeSource: (config: DiscoveryConfig, isSecure: boolean) => Source;
  readonly log: (level: "info" | "warn", area: string, text: string) => void;
  /** Starts a timer and returns what stops it. */
  readonly after: (delayMs: number, run: () => void) => () => void;
  /** Chance from 0 to 1. */
  readonly random: () => number;
  /** Time since the epoch. */
  readonly nowMs: () => number;
  /** Lists of the generation before an upgrade, by upstream. */
  readonly saved?: SavedLists | undefined;
}

/** As plain JSON, for a process that takes over. */
export type SavedLists = Readonly<Record<string, readonly EndpointConfig[]>>;

/** How it stands with the source of one upstream. */
export interface DiscoveryStanding {
  readonly upstream: string;
  /** What is asked, for people. */
  readonly source: string;
  /** `waiting`: it has not answered yet. `failing`: the last answer was none, or empty. */
  readonly state: "waiting" | "found" | "failing";
  readonly endpoints: number;
  /** Of the list in use, ms since the epoch; 0 = never. */
  readonly changedAtMs: number;
  /** Of the newest good answer, ms since the epoch; 0 = never. */
  readonly answeredAtMs: number;
  /** Of the list, since the source was first asked. */
  readonly changes: number;
  readonly lastError: string | undefined;
}

const MIN_TTL_MS = 1000;
const MAX_TTL_MS = 3_600_000;
const FIRST_RETRY_MS = 1000;
const MAX_RETRY_MS = 60_000;
/** Sources that were asked together are not asked together for ever. */
const JITTER = 0.1;
/** Several changes at once are told as one. */
const SETTLE_MS = 50;
const TELL_INTERVAL_MS = 1000;
/** Between two answers to hints. */
const HINT_INTERVAL_MS = 200;
/** Names in one line of the log. */
const MAX_TOLD = 5;

interface Followed {
  readonly upstream: string;
  readonly source: Source;
  intervalMs: number;
  endpoints: readonly EndpointConfig[];
  hasAnswered: boolean;
  failures: number;
  lastError: string | undefined;
  notes: string;
  changedAtMs: number;
  answeredAtMs: number;
  changes: number;
  isAsking: boolean;
  isHinted: boolean;
  stopTimer: () => void;
  stopWatching: () => void;
  /** Settles when the first answer is there, good or not. */
  readonly asked: Promise<void>;
}

export class Discoverer {
  readonly #options: DiscovererOptions;
  readonly #followed = new Map<string, Followed>();
  readonly #listeners = new Set<() => void>();
  #saved: SavedLists;
  #stopTelling: (() => void) | undefined;
  #toldAtMs = 0;

  constructor(options: DiscovererOptions) {
    this.#options = options;
    this.#saved = options.saved ?? {};
  }

  /** Begins to ask the sources of these upstreams, besides those that are asked already. */
  follow(upstreams: readonly UpstreamConfig[]): void {
    for (const upstream of upstreams) {
      const { discovery, name } = upstream;
      if (discovery === undefined) continue;
      const key = keyOf(upstream, discovery);
      const known = this.#followed.get(key);
      if (known === undefined) this.#begin(key, name, upstream, discovery);
      else known.intervalMs = discovery.intervalMs;
    }
  }

  /** Forgets all sources but those of these upstreams. */
  keepOnly(upstreams: readonly UpstreamConfig[]): void {
    const kept = new Set(
      upstreams.map((upstream) => upstream.discovery && keyOf(upstream, upstream.discovery)),
    );
    for (const [key, followed] of this.#followed) {
      if (kept.has(key)) continue;
      this.#followed.delete(key);
      followed.stopTimer();
      followed.stopWatching();
    }
    this.#saved = {};
  }

  /** Waits until every source was asked once, at most so long. */
  async settled(timeoutMs: number): Promise<void> {
    const waiting = [...this.#followed.values()].filter(({ hasAnswered }) => !hasAnswered);
    if (waiting.length === 0) return;
    const { promise: deadline, resolve } = Promise.withResolvers<void>();
    const stopTimer = this.#options.after(timeoutMs, resolve);
    await Promise.race([Promise.all(waiting.map(({ asked }) => asked)), deadline]);
    stopTimer();
  }

  /** What is known now of the sources of these upstreams. */
  lists(upstreams: readonly UpstreamConfig[]): Lists {
    const lists = new Map<string, readonly EndpointConfig[]>();
    for (const upstream of upstreams) {
      const { discovery, name } = upstream;
      const followed = discovery && this.#followed.get(keyOf(upstream, discovery));
      if (followed !== undefined) lists.set(name, followed.endpoints);
    }
    return lists;
  }

  standings(): DiscoveryStanding[] {
    return [...this.#followed.values()].map((followed) => {
      const { upstream, source, hasAnswered, lastError, endpoints, changedAtMs, answeredAtMs, changes } =
        followed;
      const state = lastError !== undefined ? "failing" : hasAnswered ? "found" : "waiting";
      const shared = {
        upstream,
        source: source.name,
        state,
        changedAtMs,
        answeredAtMs,
        changes,
        lastError,
      } as const;
      return { ...shared, endpoints: endpoints.length };
    });
  }

  save(): SavedLists {
    const lists = [...this.#followed.values()].map(
      ({ upstream, endpoints }) => [upstream, endpoints] as const,
    );
    return Object.fromEntries(lists.filter(([, endpoints]) => endpoints.length > 0));
  }

  /** Calls `run` when a list has changed. out  ends that */
  onChange(run: () => void): () => void {
    this.#listeners.add(run);
    return () => this.#listeners.delete(run);
  }

  stop(): void {
    this.#listeners.clear();
    this.#stopTelling?.();
    this.keepOnly([]);
  }

  // ── asking ──

  #begin(key: string, upstream: string, { tls }: UpstreamConfig, discovery: DiscoveryConfig): void {
    const before = [...this.#followed.values()].find((other) => other.upstream === upstream);
    const { promise, resolve } = Promise.withResolvers<void>();
    const followed: Followed = {
      upstream,
      source: this.#options.makeSource(discovery, tls !== undefined),
      intervalMs: discovery.intervalMs,
      endpoints: before?.endpoints ?? this.#saved[upstream] ?? [],
      hasAnswered: false,
      failures: 0,
      lastError: undefined,
      notes: "",
      changedAtMs: before?.changedAtMs ?? 0,
      answeredAtMs: 0,
      changes: 0,
      isAsking: false,
      isHinted: false,
      stopTimer: () => {},
      stopWatching: () => {},
      asked: promise,
    };
    this.#followed.set(key, followed);
    void this.#ask(key, followed).then(resolve);
    followed.stopWatching = followed.source.watch?.(() => this.#hint(key, followed)) ?? (() => {});
  }

  async #ask(key: string, followed: Followed): Promise<void> {
    followed.stopTimer();
    followed.isAsking = true;
    followed.isHinted = false;
    const found = await followed.source.ask().catch((error: unknown): Found => {
      return { kind: "failure", text: String(error) };
    });
    followed.isAsking = false;
    if (this.#followed.get(key) !== followed) return;
    const delayMs = this.#take(followed, found);
    const nextMs = followed.isHinted ? HINT_INTERVAL_MS : delayMs;
    followed.stopTimer = this.#options.after(nextMs, () => void this.#ask(key, followed));
  }

  /** Asks soon; a storm of hints is answered once in a while. */
  #hint(key: string, followed: Followed): void {
    if (followed.isHinted) return;
    followed.isHinted = true;
    if (followed.isAsking) return;
    followed.stopTimer();
    followed.stopTimer = this.#options.after(HINT_INTERVAL_MS, () => void this.#ask(key, followed));
  }

  // ── answers ──

  /** out  when to ask again */
  #take(followed: Followed, found: Found): number {
    followed.hasAnswered = true;
    if (found.kind === "failure") return this.#miss(followed, found.text);
    if (found.kind === "list" && found.endpoints.length === 0)
      return this.#miss(followed, emptyText(found.notes));
    followed.failures = 0;
    followed.answeredAtMs = this.#options.nowMs();
    if (found.kind === "list") this.#replace(followed, found.endpoints, found.notes ?? []);
    this.#recover(followed);
    const { maxIntervalMs = Number.POSITIVE_INFINITY } = followed.source;
    const ttlMs = found.kind === "list" ? found.ttlMs : undefined;
    if (ttlMs !== undefined) return Math.min(Math.max(ttlMs, MIN_TTL_MS), MAX_TTL_MS);
    return this.#spread(Math.min(followed.intervalMs, maxIntervalMs));
  }

  #miss(followed: Followed, reason: string): number {
    const text = reason.replace(/\.$/, ""); // more is said behind it
    const { upstream, source, endpoints, intervalMs, lastError } = followed;
    if (text !== lastError) {
      const kept =
        endpoints.length === 0
          ? "it has no endpoints"
          : `${countText(endpoints.length)} found before ${endpoints.length === 1 ? "stays" : "stay"}`;
      this.#log("warn", upstream, `${source.name}: ${text}; ${kept}`);
    }
    followed.lastError = text;
    const { maxIntervalMs = Math.max(intervalMs, MIN_TTL_MS) } = source;
    const delayMs = Math.min(
      FIRST_RETRY_MS * 2 ** Math.min(followed.failures, 16),
      maxIntervalMs,
      MAX_RETRY_MS,
    );
    followed.failures++;
    return this.#spread(delayMs);
  }

  #recover(followed: Followed): void {
    if (followed.lastError === undefined) return;
    followed.lastError = undefined;
    this.#log("info", followed.upstream, `${followed.source.name} answers again`);
  }

  #replace(followed: Followed, found: readonly EndpointConfig[], notes: readonly string[]): void {
    const sorted = found.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
    const endpoints = sorted.slice(0, MAX_FOUND);
    const more = found.length - endpoints.length;
    this.#note(followed, more > 0 ? [...notes, `${more} endpoints beyond ${MAX_FOUND} are not used`] : notes);
    if (JSON.stringify(endpoints) === JSON.stringify(followed.endpoints)) return;
    this.#log("info", followed.upstream, changeText(followed.endpoints, endpoints));
    followed.endpoints = endpoints;
    followed.changedAtMs = this.#options.nowMs();
    followed.changes++;
    this.#tellSoon();
  }

  #note(followed: Followed, notes: readonly string[]): void {
    const text = notes.slice(0, MAX_TOLD).join("; ");
    if (text !== followed.notes && text !== "") this.#log("warn", followed.upstream, text);
    followed.notes = text;
  }

  #tellSoon(): void {
    if (this.#stopTelling !== undefined) return;
    const gapMs = this.#toldAtMs + TELL_INTERVAL_MS - this.#options.nowMs();
    // a clock that was set back must not silence us
    const delayMs = Math.min(Math.max(SETTLE_MS, gapMs), TELL_INTERVAL_MS);
    this.#stopTelling = this.#options.after(delayMs, () => {
      this.#stopTelling = undefined;
      this.#toldAtMs = this.#options.nowMs();
      for (const run of this.#listeners) run();
    });
  }

  #spread(delayMs: number): number {
    return delayMs * (1 - JITTER + 2 * JITTER * this.#options.random());
  }

  #log(level: "info" | "warn", upstream: string, text: string): void {
    this.#options.log(level, "discovery", `${upstream}: ${text}`);
  }
}

/** Another interval is the same source; an upstream that turns to TLS reads its list by other rules. */
function keyOf({ name, tls }: UpstreamConfig, discovery: DiscoveryConfig): string {
  return JSON.stringify([name, tls !== undefined, { ...discovery, intervalMs: 0 }]);
}

function emptyText(notes: readonly string[] = []): string {
  return notes.length === 0 ? "the list is empty" : `nothing usable: ${notes.slice(0, MAX_TOLD).join("; ")}`;
}

function changeText(before: readonly EndpointConfig[], after: readonly EndpointConfig[]): string {
  const added = namesMissingIn(before, after);
  const gone = namesMissingIn(after, before);
  const parts = [partText("new", added), partText("gone", gone)].filter((part) => part !== "");
  const what = parts.length === 0 ? "other weights, priorities or zones" : parts.join(", ");
  return `${countText(after.length)} found: ${what}`;
}

function namesMissingIn(list: readonly EndpointConfig[], other: readonly EndpointConfig[]): string[] {
  const names = new Set(list.map(({ name }) => name));
  return other.map(({ name }) => name).filter((name) => !names.has(name));
}

function partText(word: string, names: readonly string[]): string {
  if (names.length === 0) return "";
  const more = names.length > MAX_TOLD ? ` and ${names.length - MAX_TOLD} more` : "";
  return `${word} ${names.slice(0, MAX_TOLD).join(" ")}${more}`;
}

const countText = (count: number) => `${count} ${count === 1 ? "endpoint" : "endpoints"}`;
