/**
 * Check keeper: has all endpoints checked that are to be checked, once for all workers.
 *
 * out    what is found stands on the endpoint board, which tells of changes
 * rule   an endpoint whose check stays the same over a reload goes on as it was, to the count of failures; one whose check
 *        has changed is asked anew within a fast interval, and until then stays what it was
 * bound  MAX_AT_ONCE checks at a time; first checks are spread over a fast interval, later ones by jitter
 */
import type { Config } from "../config/config.ts";
import { seriesKey } from "../observe/series.ts";
import type { CheckPlan } from "./asker.ts";
import { type CheckCounts, forgetAgent, Subject, type SubjectServices } from "./subject.ts";
import { Turns } from "./turns.ts";

/** Files and memory of control are for other things too; 64 checks of 10 ms are 6,400 a second. */
const MAX_AT_ONCE = 64;

export type CheckKeeperOptions = Omit<SubjectServices, "turns">;

export interface CheckCount extends Readonly<CheckCounts> {
  readonly upstream: string;
  readonly endpoint: string;
}

interface Kept {
  readonly subject: Subject;
  /** All that decides how it is checked. */
  readonly terms: string;
}

export class CheckKeeper {
  readonly #services: SubjectServices;
  #kept = new Map<string, Kept>();
  #isFirst = true;
  /** Those that wait for `begin`; undefined once it was called. */
  #early: Subject[] | undefined = [];

  constructor(options: CheckKeeperOptions) {
    this.#services = { ...options, turns: new Turns(MAX_AT_ONCE) };
  }

  /**
   * Checks what this configuration says from now on; the board has adopted it. Before `begin` nothing is asked, but an
   * endpoint that is to wait for its first answer waits already.
   */
  keep(config: Pick<Config, "upstreams">): void {
    const before = this.#kept;
    this.#kept = new Map();
    const fresh: Subject[] = [];
    for (const { upstream, endpoint } of endpointsOf(config)) {
      const key = seriesKey("endpoint", upstream.name, endpoint.name);
      const known = before.get(key);
      const { active } = upstream.health;
      const hadAgent = this.#isFirst || known?.subject.plan.active.type === "agent";
      if (hadAgent && active?.type !== "agent") forgetAgent(this.#services.board, { upstream, endpoint });
      if (active === undefined) continue;
      const kept = this.#keepOne({ upstream, endpoint, active }, known);
      this.#kept.set(key, kept);
      if (kept === known) before.delete(key);
      else fresh.push(kept.subject);
    }
    this.#isFirst = false;
    for (const { subject } of before.values()) subject.stop();
    if (this.#early === undefined) this.#startAll(fresh);
    else this.#early = [...this.#early, ...fresh];
  }

  /** Everything that checks need is there, and there are workers to check for. */
  begin(): void {
    const early = this.#early ?? [];
    this.#early = undefined;
    this.#startAll(early);
  }

  #startAll(fresh: readonly Subject[]): void {
    const { random } = this.#services;
    const count = fresh.length;
    for (const [index, subject] of fresh.entries()) subject.start({ index, count, chance: random() });
  }

  #keepOne(plan: CheckPlan, known: Kept | undefined): Kept {
    const terms = termsOf(plan);
    if (known?.terms === terms) return known;
    const counts = known?.subject.counts ?? { passed: 0, failed: 0, lastMs: 0 };
    return { subject: new Subject(this.#services, plan, counts), terms };
  }

  stop(): void {
    for (const { subject } of this.#kept.values()) subject.stop();
    this.#kept = new Map();
  }

  /** For metrics. */
  counts(): CheckCount[] {
    return [...this.#kept.values()].map(({ subject: { plan, counts } }) => {
      return { upstream: plan.upstream.name, endpoint: plan.endpoint.name, ...counts };
    });
  }
}

function endpointsOf({ upstreams }: Pick<Config, "upstreams">): Pick<CheckPlan, "upstream" | "endpoint">[] {
  return upstreams.flatMap((upstream) => upstream.endpoints.map((endpoint) => ({ upstream, endpoint })));
}

function termsOf({ upstream, endpoint, active }: CheckPlan): string {
  const { tls, protocol, proxyProtocol } = upstream;
  return JSON.stringify([active, endpoint.address, tls ?? null, protocol, proxyProtocol]);
}
