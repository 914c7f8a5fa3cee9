/**
 * Resolver: keeps the addresses of all endpoint names fresh, once for all workers.
 *
 * why    one process asks, so that workers agree, start-up of a worker waits for no name, and name servers
 *        see one client
 * rule   a name is asked again when its TTL is over; a failed one later and later, with the last good
 *        addresses kept; a change is told only when the set of addresses differs
 * never  tells an empty list, asks a name twice at once, or waits for a name longer than told
 */
import type { Config } from "../config/config.ts";
import { parseIp } from "../core/address.ts";
import type { NameAnswer, NameFailure } from "../transport/dns.ts";

export interface ResolverOptions {
  readonly lookup: (host: string) => Promise<NameAnswer | NameFailure>;
  readonly onChange: (host: string, addresses: readonly string[]) => void;
  readonly onFailure: (host: string, text: string) => void;
  /** Starts a timer and returns what stops it. */
  readonly after: (delayMs: number, run: () => void) => () => void;
  /** Chance from 0 to 1. */
  readonly random: () => number;
}

/** A TTL of 0 would make us ask without end; one of a week would outlive a migration. */
const MIN_TTL_MS = 1000;
const MAX_TTL_MS = 3_600_000;
const FIRST_RETRY_MS = 1000;
const MAX_RETRY_MS = 60_000;
/** Retries are spread by this part of their delay, so that names that failed together do not return together. */
const JITTER = 0.2;

interface Name {
  addresses: readonly string[];
  failures: number;
  stopTimer: () => void;
  /** Settles when the first lookup has ended, well or not. */
  readonly asked: Promise<void>;
}

export class Resolver {
  readonly #options: ResolverOptions;
  readonly #names = new Map<string, Name>();

  constructor(options: ResolverOptions) {
    this.#options = options;
  }

  /** Starts to follow those names that are new; IP literals are no names. */
  follow(hosts: Iterable<string>): void {
    for (const host of hosts) {
      if (this.#names.has(host) || parseIp(host) !== undefined) continue;
      const { promise, resolve } = Promise.withResolvers<void>();
      const name: Name = { addresses: [], failures: 0, stopTimer: () => {}, asked: promise };
      this.#names.set(host, name);
      void this.#ask(host, name).then(resolve);
    }
  }

  /** Forgets all names but these. */
  keepOnly(hosts: ReadonlySet<string>): void {
    for (const [host, name] of this.#names) {
      if (hosts.has(host)) continue;
      name.stopTimer();
      this.#names.delete(host);
    }
  }

  /** Waits until every name was asked once, at most so long. */
  async settled(timeoutMs: number): Promise<void> {
    const { promise: deadline, resolve } = Promise.withResolvers<void>();
    const stopTimer = this.#options.after(timeoutMs, resolve);
    await Promise.race([Promise.all([...this.#names.values()].map((name) => name.asked)), deadline]);
    stopTimer();
  }

  /** Addresses known now, by name; names without any are left out. */
  addresses(): Readonly<Record<string, readonly string[]>> {
    const known: Record<string, readonly string[]> = {};
    for (const [host, name] of this.#names) if (name.addresses.length > 0) known[host] = name.addresses;
    return known;
  }

  stop(): void {
    this.keepOnly(new Set());
  }

  async #ask(host: string, name: Name): Promise<void> {
    const got = await this.#options.lookup(host);
    if (this.#names.get(host) !== name) return;
    const isAnswer = got.kind === "answer" && got.addresses.length > 0;
    const delayMs = isAnswer ? this.#take(host, name, got) : this.#miss(host, name, got);
    name.stopTimer = this.#options.after(delayMs, () => void this.#ask(host, name));
  }

  #take(host: string, name: Name, got: NameAnswer): number {
    const isSame =
      got.addresses.length === name.addresses.length &&
      got.addresses.every((address) => name.addresses.includes(address));
    name.failures = 0;
    if (!isSame) {
      name.addresses = got.addresses;
      this.#options.onChange(host, got.addresses);
    }
    return Math.min(Math.max(got.ttlMs, MIN_TTL_MS), MAX_TTL_MS);
  }

  #miss(host: string, name: Name, got: NameAnswer | NameFailure): number {
    const delayMs = Math.min(FIRST_RETRY_MS * 2 ** name.failures, MAX_RETRY_MS);
    name.failures++;
    // the first time and then at the slowest pace only: a name that is gone must not fill the log
    if (name.failures === 1 || delayMs === MAX_RETRY_MS) {
      this.#options.onFailure(host, got.kind === "failure" ? got.text : "no address");
    }
    return delayMs * (1 - JITTER + 2 * JITTER * this.#options.random());
  }
}

/** Names among the endpoint addresses of a configuration. */
export function hostsOf(config: Config): Set<string> {
  const addresses = config.upstreams.flatMap(({ endpoints }) => endpoints.map(({ address }) => address));
  const hosts = addresses.map((address) => (address.kind === "tcp" ? address.host : ""));
  return new Set(hosts.filter((host) => host !== "" && parseIp(host) === undefined));
}
