/**
 * Issuer: one certificate from the first authority that gives it, checked and stored.
 *
 * in     a name with its settings
 * out    the stored certificate, or the trouble of the last authority asked: here thrown trouble becomes a value
 * rule   an authority that is down or overloaded is left alone for a while, by all names; one that refuses a name is
 *        asked for other names as before
 * bound  ten minutes an order, proofs and all
 */
import { readFileSync } from "node:fs";
import type { AcmeAuthority, AcmeConfig } from "../config/config.ts";
import { Authority, type RenewalAdvice } from "./protocol/authority.ts";
import type { ChallengeBook } from "./protocol/challenges.ts";
import { signingRequest } from "./protocol/credentials.ts";
import { readIssued } from "./protocol/issued.ts";
import type { Storage, StoredCertificate } from "./storage-folder/storage.ts";
import type { Timing } from "./timing.ts";
import { Trouble, troubleOf } from "./trouble.ts";

export interface IssuerServices {
  readonly challenges: ChallengeBook;
  readonly timing: Timing;
  readonly warn: (text: string) => void;
}

export interface IssueRequest {
  readonly name: string;
  readonly config: AcmeConfig;
  readonly storage: Storage;
  /** The certificate that is to be replaced. */
  readonly current: StoredCertificate | undefined;
}

const ORDER_MS = 10 * 60_000;
const ADVICE_MS = 60_000;
/** An authority that is down for everybody. */
const PAUSE_MS = 60_000;
const MOST_PAUSE_MS = 3600_000;
/** `Trouble.type` when no authority was asked at all. */
export const PAUSED = "weirPaused";

export class Issuer {
  readonly #services: IssuerServices;
  /** By storage folder and settings: an account belongs to both. */
  readonly #authorities = new Map<string, Authority>();
  /** By directory URL: until when it is left alone. */
  readonly #pausedUntilMs = new Map<string, number>();

  constructor(services: IssuerServices) {
    this.#services = services;
  }

  async issue(request: IssueRequest, stop: AbortSignal): Promise<StoredCertificate | Trouble> {
    const { timing, warn } = this.#services;
    let last: Trouble | undefined;
    for (const config of request.config.authorities) {
      const leftMs = (this.#pausedUntilMs.get(config.directory) ?? 0) - timing.nowMs();
      // more than any pause: the clock was set back
      if (leftMs > 0 && leftMs <= MOST_PAUSE_MS) {
        last ??= new Trouble("network", `${config.name} is left alone for now`, {
          type: PAUSED,
          retryAfterMs: leftMs,
        });
        continue;
      }
      const got = await this.#issueFrom(config, request, stop);
      if (!(got instanceof Trouble)) return got;
      if (stop.aborted) return got;
      this.#judge(config, got);
      const { kind, detail, retryAfterMs, type } = got;
      last = new Trouble(kind, detail, { retryAfterMs, type, from: config.name });
      if (config !== request.config.authorities.at(-1))
        warn(`${request.name}: ${last.message}; asking the next`);
    }
    return last ?? new Trouble("network", "no authority is configured");
  }

  /** What the authority that issued a certificate says about its renewal. Throws Trouble. */
  async advice(
    { config, storage, current }: IssueRequest,
    stop: AbortSignal,
  ): Promise<RenewalAdvice | undefined> {
    const issuer = config.authorities.find(({ name }) => name === current?.authority);
    if (issuer === undefined || current === undefined) return undefined;
    const signal = AbortSignal.any([stop, AbortSignal.timeout(ADVICE_MS)]);
    return await this.#authority(issuer, config, storage).renewalAdvice(current.issued.renewalId, signal);
  }

  /** Forgets authorities that no configuration in force uses. */
  forget(): void {
    this.#authorities.clear();
  }

  async #issueFrom(
    config: AcmeAuthority,
    { name, config: settings, storage, current }: IssueRequest,
    stop: AbortSignal,
  ): Promise<StoredCertificate | Trouble> {
    const signal = AbortSignal.any([stop, AbortSignal.timeout(ORDER_MS)]);
    try {
      const authority = this.#authority(config, settings, storage);
      const { key, csr } = await signingRequest(name, settings.keyType);
      const { challenge, dnsHook: hook } = settings;
      const replaces = current?.authority === config.name ? current.issued.renewalId : "";
      const chain = await authority.order({ name, csr, challenge, hook, replaces }, signal);
      const issued = readIssued(name, chain, key, this.#services.timing.nowMs());
      const stored = { name, authority: config.name, issued };
      this.#keep(storage, stored);
      return stored;
    } catch (error) {
      return troubleOf(error);
    }
  }

  /** A certificate that cannot be stored is used all the same: it was hard to come by. */
  #keep(storage: Storage, stored: StoredCertificate): void {
    try {
      storage.keep(stored);
    } catch (error) {
      this.#services.warn(`${stored.name}: used, but gone after a restart: ${troubleOf(error).message}`);
    }
  }

  #judge({ directory }: AcmeAuthority, { kind, retryAfterMs }: Trouble): void {
    if (kind !== "network" && kind !== "server" && kind !== "late") return;
    const pauseMs = Math.min(MOST_PAUSE_MS, Math.max(PAUSE_MS, retryAfterMs));
    this.#pausedUntilMs.set(directory, this.#services.timing.nowMs() + pauseMs);
  }

  #authority(config: AcmeAuthority, { email = "", directoryCa }: AcmeConfig, storage: Storage): Authority {
    const id = JSON.stringify([storage.folder, config, email, directoryCa]);
    const known = this.#authorities.get(id);
    if (known !== undefined) return known;
    const ca = directoryCa === undefined ? undefined : readCa(directoryCa);
    const { challenges, timing } = this.#services;
    const made = new Authority({ config, email, ca, storage, challenges, timing });
    this.#authorities.set(id, made);
    return made;
  }
}

function readCa(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new Trouble("storage", `directoryCa ${path}: ${(error as Error).message}`);
  }
}
