/**
 * Ejections: decides for all workers which endpoints are left alone for a while, and writes it on the board.
 *
 * in     workers that met failures in a row; the counters of all of them, once a second, for endpoints that are worse
 *        than the others
 * rule   never more at once than `maxEjected`, never the last that is usable, each time longer (`health/ejector.ts`)
 * rule   figures are taken over two windows: the one configured, and one of SHORT_STEPS seconds for endpoints with
 *        enough requests in it. Otherwise what happened a while ago would hide for long what happens now
 * note   with a window of its own for each endpoint: what an endpoint did before it was ejected does not count again
 */
import type { PassiveHealthConfig, UpstreamConfig } from "../config/config.ts";
import type { Reason } from "../health/board.table.ts";
import { Ejector } from "../health/ejector.ts";
import { errorOutliers, latencyOutliers, type OutlierRules } from "../health/outliers.ts";
import { type SlotMap, seriesKey, sharedKey } from "../observe/series.ts";
import type { EndpointBoard } from "./endpoint-board.ts";
import { EndpointFigures } from "./endpoint-figures.ts";

export interface EjectionsOptions {
  readonly board: EndpointBoard;
  /** Rows that workers have written. */
  readonly rows: () => readonly Float64Array[];
  readonly log: (level: "info" | "warn", area: string, text: string) => void;
  /** Since the epoch. */
  readonly nowMs: () => number;
}

interface Watched {
  readonly upstream: string;
  readonly names: readonly string[];
  readonly slots: readonly number[];
  readonly passive: PassiveHealthConfig;
  readonly ejector: Ejector;
  readonly windows: readonly Window[];
  readonly found: Uint8Array;
  /** Since when a refused ejection may be told of again. */
  refusedUntilMs: number;
}

interface Window {
  readonly figures: EndpointFigures;
  readonly everySeconds: number;
}

const LONG_STEPS = 10;
const SHORT_STEPS = 3;
/** In the long window `health/outliers.ts` asks for fewer. */
const SHORT_MIN_REQUESTS = 100;
/** A refused ejection is told of once in so long, for each upstream. */
const TELL_AGAIN_MS = 60_000;

export class Ejections {
  readonly #options: EjectionsOptions;
  #watched = new Map<string, Watched>();
  #seconds = 0;

  constructor(options: EjectionsOptions) {
    this.#options = options;
    options.board.onChange(({ upstream, endpoint }) => this.#followBoard(upstream, endpoint));
  }

  /** Follows the configuration in force, after the board has adopted it. */
  adopt(slots: SlotMap, upstreams: readonly UpstreamConfig[]): void {
    const before = this.#watched;
    this.#watched = new Map();
    for (const upstream of upstreams) {
      const { passive } = upstream.health;
      if (passive === undefined) continue;
      const places = placesOf(upstream, slots);
      const known = before.get(upstream.name);
      const isSame = known !== undefined && sameText(known, { ...places, passive });
      this.#watched.set(
        upstream.name,
        isSame ? known : this.#newWatched(upstream.name, places, passive, known),
      );
    }
  }

  #newWatched(
    upstream: string,
    { names, slots }: Places,
    passive: PassiveHealthConfig,
    known: Watched | undefined,
  ): Watched {
    const ejector = new Ejector(names.length, passive);
    for (const [index, name] of names.entries()) {
      const indexBefore = known?.names.indexOf(name) ?? -1;
      if (known !== undefined && indexBefore !== -1) ejector.adopt(index, known.ejector, indexBefore);
      else ejector.restore(index, this.#options.board.state(upstream, name)?.ejectedUntilMs ?? 0);
    }
    const windows = windowsOf(slots, passive);
    const found = new Uint8Array(names.length);
    return { upstream, names, slots, passive, ejector, windows, found, refusedUntilMs: 0 };
  }

  /** A worker met too many failures in a row. */
  failing(upstream: string, endpoint: string, detail: string): void {
    const watched = this.#watched.get(upstream);
    const index = watched?.names.indexOf(endpoint) ?? -1;
    if (watched !== undefined && index !== -1) this.#eject(watched, index, "failures", detail);
  }

  /** Compares endpoints; to be called once a second. */
  look(): void {
    this.#seconds++;
    const nowMs = this.#options.nowMs();
    for (const watched of this.#watched.values()) {
      for (const window of watched.windows) {
        if (this.#seconds % window.everySeconds !== 0) continue;
        window.figures.read(this.#options.rows());
        this.#judge(watched, window.figures);
        this.#forgetEjected(watched, window.figures, nowMs);
      }
    }
  }

  /** The wall clock was set. */
  shiftClock(ms: number): void {
    for (const { ejector } of this.#watched.values()) ejector.shiftClock(ms);
  }

  #judge(watched: Watched, figures: EndpointFigures): void {
    const { found, passive } = watched;
    const rules: OutlierRules = passive;
    if (errorOutliers(figures, rules, found) > 0) {
      const text = (index: number) => `${percentOf(figures, index)} of ${figures.requests[index]} requests`;
      this.#ejectFound(watched, "error_rate", text);
    }
    if (latencyOutliers(figures, rules, found) > 0) {
      const text = (index: number) =>
        `${Math.round(figures.latencyMs[index] as number)} ms to the first byte`;
      this.#ejectFound(watched, "latency", text);
    }
  }

  #ejectFound(watched: Watched, reason: Reason, detail: (index: number) => string): void {
    for (const [index, isFound] of watched.found.entries()) {
      if (isFound === 1) this.#eject(watched, index, reason, detail(index));
    }
  }

  #eject(watched: Watched, index: number, reason: Reason, detail: string): void {
    const { upstream, names, ejector } = watched;
    const { board, nowMs } = this.#options;
    const now = nowMs();
    if (ejector.isEjected(index, now)) return;
    const endpoint = names[index] as string;
    board.state(upstream, endpoint); // tells first, if nobody has yet, that the ejection before this one is over
    const ejectedUntilMs = ejector.eject(index, now, this.#usableOthers(watched, index));
    if (ejectedUntilMs > 0) board.set(upstream, endpoint, { ejectedUntilMs, reason, detail });
    else this.#tellRefused(watched, endpoint, now);
  }

  #usableOthers({ upstream, names }: Watched, index: number): number {
    const isUsable = (name: string) => {
      const state = this.#options.board.state(upstream, name)?.state ?? "up";
      return state === "up" || state === "warming";
    };
    return names.filter((name, other) => other !== index && isUsable(name)).length;
  }

  #tellRefused(watched: Watched, endpoint: string, nowMs: number): void {
    if (nowMs < watched.refusedUntilMs) return;
    watched.refusedUntilMs = nowMs + TELL_AGAIN_MS;
    const text = `${watched.upstream} ${endpoint} fails, but goes on: as many as may be are out already, or it is the last`;
    this.#options.log("warn", "health", text);
  }

  #forgetEjected({ ejector, names }: Watched, figures: EndpointFigures, nowMs: number): void {
    for (let index = 0; index < names.length; index++) {
      if (ejector.isEjected(index, nowMs)) figures.forget(index);
    }
  }

  /** Somebody else may have ended an ejection: a check, or a person. */
  #followBoard(upstream: string, endpoint: string): void {
    const watched = this.#watched.get(upstream);
    const index = watched?.names.indexOf(endpoint) ?? -1;
    if (watched === undefined || index === -1) return;
    const standing = this.#options.board.state(upstream, endpoint);
    if (standing?.ejectedUntilMs === 0) watched.ejector.release(index, this.#options.nowMs());
  }
}

interface Places {
  readonly names: readonly string[];
  readonly slots: readonly number[];
}

/** Endpoints with a series of their own: without one nothing is known about them. */
function placesOf(upstream: UpstreamConfig, slots: SlotMap): Places {
  const shared = slots[sharedKey("endpoint")];
  const slotOf = (name: string) => slots[seriesKey("endpoint", upstream.name, name)];
  const known = upstream.endpoints.filter(({ name }) => {
    const slot = slotOf(name);
    return slot !== undefined && slot !== shared;
  });
  const names = known.map(({ name }) => name);
  return { names, slots: names.map((name) => slotOf(name) as number) };
}

function windowsOf(slots: readonly number[], passive: PassiveHealthConfig): Window[] {
  const { errorRate, latencyFactor, windowMs } = passive;
  if (errorRate <= 0 && latencyFactor <= 0) return [];
  const hasLatency = latencyFactor > 0;
  const short = { slots, steps: SHORT_STEPS, hasLatency, minRequests: SHORT_MIN_REQUESTS };
  const long = { slots, steps: LONG_STEPS, hasLatency, minRequests: 0 };
  const everySeconds = Math.max(1, Math.round(windowMs / LONG_STEPS / 1000));
  return [
    { figures: new EndpointFigures(short), everySeconds: 1 },
    { figures: new EndpointFigures(long), everySeconds },
  ];
}

function sameText(a: Places & { passive: PassiveHealthConfig }, b: typeof a): boolean {
  const textOf = ({ names, slots, passive }: typeof a) => JSON.stringify([names, slots, passive]);
  return textOf(a) === textOf(b);
}

function percentOf({ errors, requests }: EndpointFigures, index: number): string {
  return `${Math.round((100 * (errors[index] as number)) / (requests[index] as number))} %`;
}
