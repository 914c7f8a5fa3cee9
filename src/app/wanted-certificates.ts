/**
 * Wanted certificates: names for which a client's hello asks control to get a certificate.
 *
 * rule   at most once a minute a name, and at most MAX_NAMES names a minute: anybody may send hellos
 */

const AGAIN_MS = 60_000;
/** A flood of made-up names under an allowed wildcard fills this and no more. */
const MAX_NAMES = 100;
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+$/;

export class WantedCertificates {
  readonly #ask: (listener: string, name: string) => void;
  /** When a name was asked for, the oldest first. */
  readonly #askedAtMs = new Map<string, number>();

  constructor(ask: (listener: string, name: string) => void) {
    this.#ask = ask;
  }

  ask(listener: string, name: string, nowMs: number): void {
    if (!HOST_NAME.test(name)) return;
    for (const [key, askedAtMs] of this.#askedAtMs) {
      if (nowMs - askedAtMs < AGAIN_MS) break;
      this.#askedAtMs.delete(key);
    }
    const key = `${listener} ${name}`;
    if (this.#askedAtMs.has(key) || this.#askedAtMs.size >= MAX_NAMES) return;
    this.#askedAtMs.set(key, nowMs);
    this.#ask(listener, name);
  }
}
