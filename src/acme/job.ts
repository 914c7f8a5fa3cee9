/**
 * Job: one name and its certificate, over all renewals.
 *
 * rule   what is due is computed from the clock each time it is asked: a machine that slept, or a clock that was set,
 *        needs no repair
 */
import type { AcmeConfig } from "../config/config.ts";
import type { Offer } from "../control/materials.ts";
import { backoffMs, pollMs, type RenewalWindow, renewAtMs, restMs } from "./renewal.ts";
import type { Folder } from "./storage-folder/folder.ts";
import type { StoredCertificate } from "./storage-folder/storage.ts";
import type { Timing } from "./timing.ts";
import type { Trouble } from "./trouble.ts";

const HOUR_MS = 3600_000;
const DAY_MS = 24 * HOUR_MS;
/** A person who reloads has changed something: a name that failed is tried again then, but not more often than this. */
const RELOAD_RETRY_MS = 60_000;

export class Job {
  readonly name: string;
  config: AcmeConfig;
  folder: Folder;
  /** Listeners that serve it. */
  readonly listeners = new Set<string>();
  isOnDemand: boolean;
  /** A client asked for it, and there was none. */
  isWanted = false;
  isBusy = false;
  failures = 0;
  lastError: string | undefined;
  #stored: StoredCertificate | undefined;
  #readAtMs = 0;
  #triedAtMs = 0;
  #retryAtMs = 0;
  #window: RenewalWindow | undefined;
  #adviceAtMs: number;

  constructor(name: string, config: AcmeConfig, folder: Folder, isOnDemand: boolean) {
    this.name = name;
    this.config = config;
    this.folder = folder;
    this.isOnDemand = isOnDemand;
    this.#adviceAtMs = 0;
  }

  get stored(): StoredCertificate | undefined {
    return this.#stored;
  }

  /** Reads the stored certificate when its file is another than before. out  true when that was so */
  read(): boolean {
    const { storage } = this.folder;
    const writtenAtMs = storage.writtenAtMs(this.name);
    if (writtenAtMs === this.#readAtMs) return false;
    const found = storage.certificate(this.name);
    // after reading: that may write the file anew, with its key sealed
    this.#readAtMs = storage.writtenAtMs(this.name);
    if (found === undefined) return false;
    this.#stored = found;
    this.lastError = undefined;
    return true;
  }

  /** A name that only a client asked for, without a valid certificate, and that may be asked for again. */
  isForgettable(nowMs: number): boolean {
    if (!this.isOnDemand || this.isBusy || this.isWanted) return false;
    if (this.#stored !== undefined) return nowMs >= this.#stored.issued.facts.notAfterMs;
    // how often it has failed is remembered for a while: whoever asks again and again must wait longer and longer
    return nowMs >= this.#retryAtMs + DAY_MS;
  }

  /** A client asks for a certificate that is not there. out  true when it may be ordered now */
  want(nowMs: number): boolean {
    if (!this.isOnDemand || this.#stored !== undefined || this.isBusy || nowMs < this.#retryAtMs)
      return false;
    this.isWanted = true;
    return true;
  }

  renewsAtMs(): number | undefined {
    if (this.#stored === undefined) return undefined;
    const { facts, chance } = this.#stored.issued;
    if (this.#isForeign()) return facts.notBeforeMs;
    return renewAtMs({ ...facts, chance }, this.#window);
  }

  /** From an authority that is no longer wanted, such as one for trying things out: to be replaced now. */
  #isForeign(): boolean {
    return !this.config.authorities.some(({ name }) => name === this.#stored?.authority);
  }

  /** The clock was set back: a wait lasts as long as it was meant to, not until a date that was wrong. */
  noticeClock(nowMs: number): void {
    const backMs = this.#triedAtMs - nowMs;
    if (backMs > 0) {
      this.#triedAtMs -= backMs;
      this.#retryAtMs -= backMs;
    }
    this.#adviceAtMs = Math.min(this.#adviceAtMs, nowMs + DAY_MS);
  }

  /** When the next order is due. */
  orderAtMs(): number {
    const renewsAtMs = this.renewsAtMs();
    if (renewsAtMs !== undefined) return Math.max(renewsAtMs, this.#retryAtMs);
    return this.isOnDemand && !this.isWanted ? Number.POSITIVE_INFINITY : this.#retryAtMs;
  }

  /** When the authority is to be asked about renewal; never for a certificate that is about to be renewed anyway. */
  adviceAtMs(): number {
    return this.#stored === undefined ? Number.POSITIVE_INFINITY : this.#adviceAtMs;
  }

  dueAtMs(): number {
    return this.isBusy ? Number.POSITIVE_INFINITY : Math.min(this.orderAtMs(), this.adviceAtMs());
  }

  /** The first question about renewal comes at a moment of its own within the hour: a start asks for all names. */
  delayAdvice(nowMs: number, chance: number): void {
    if (this.#adviceAtMs === 0) this.#adviceAtMs = nowMs + chance * HOUR_MS;
  }

  advised(window: RenewalWindow | undefined, nextAtMs: number): void {
    if (window !== undefined) this.#window = window;
    this.#adviceAtMs = nextAtMs;
  }

  succeeded(stored: StoredCertificate, nowMs: number): void {
    this.#stored = stored;
    this.#readAtMs = this.folder.storage.writtenAtMs(this.name);
    this.#window = undefined;
    this.#adviceAtMs = nowMs + pollMs(0);
    this.#triedAtMs = nowMs;
    this.#retryAtMs = nowMs + restMs(stored.issued.facts.notAfterMs - nowMs);
    this.failures = 0;
    this.lastError = undefined;
    this.isWanted = false;
  }

  /** out  ms until the next try */
  failed(trouble: Trouble, isCounted: boolean, timing: Timing): number {
    const nowMs = timing.nowMs();
    const notAfterMs = this.#stored?.issued.facts.notAfterMs;
    if (isCounted) this.failures++;
    const leftMs = notAfterMs === undefined ? undefined : notAfterMs - nowMs;
    const delayMs = backoffMs(Math.max(1, this.failures), timing.random(), leftMs);
    this.#triedAtMs = nowMs;
    this.#retryAtMs = nowMs + Math.max(trouble.retryAfterMs, delayMs);
    this.lastError = trouble.message;
    this.isWanted = false;
    return this.#retryAtMs - nowMs;
  }

  /** The newest configuration says who wants it, and how; what failed is tried again soon. */
  settle(folder: Folder, use: { listeners: readonly string[]; acme: AcmeConfig; isOnDemand: boolean }): void {
    this.folder = folder;
    this.config = use.acme;
    this.isOnDemand = use.isOnDemand;
    this.listeners.clear();
    for (const listener of use.listeners) this.listeners.add(listener);
    if (this.failures === 0 && this.#isForeign()) this.#retryAtMs = 0;
    this.#hasten();
  }

  /** A person asks: the next try comes soon, whatever it was put off to. */
  #hasten(): void {
    if (this.failures > 0) this.#retryAtMs = Math.min(this.#retryAtMs, this.#triedAtMs + RELOAD_RETRY_MS);
  }

  /** What the board shows and hands to workers. */
  offer(): Offer {
    return {
      source: "acme",
      origin: this.#stored?.authority ?? this.config.authorities[0]?.name ?? "",
      names: [this.name],
      certificate: this.#stored?.issued,
      lastError: this.folder.blocked ?? this.lastError,
      renewsAtMs: this.renewsAtMs(),
    };
  }
}
