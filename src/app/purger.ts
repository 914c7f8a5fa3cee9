/**
 * Purger: purges that people, programs and PURGE requests ask for: carried out, written down, told.
 *
 * rule   it answers once the purge is in force in all workers, and on the disk where there is one
 * rule   each purge is one line of the audit file, or of the log where there is no file: when, who, what, how. A purge is not
 *        refused because it cannot be written down; that is an error in the log
 * bound  MAX_EVENTS purges are remembered; of one, MAX_TOLD_NAMES names are written
 */
import { closeSync, openSync, writeSync } from "node:fs";
import {
  type CacheRefusal,
  PURGE_KINDS,
  type PurgeDone,
  type PurgeEvent,
  type PurgeKind,
  type PurgeWish,
} from "../admin/cache-status.ts";
import type { PurgeScope } from "../cache/store.ts";
import type { Config } from "../config/config.ts";
import { CachedRoutes } from "./cached-routes.ts";
import type { Log } from "./log.ts";

export interface PurgerOptions {
  readonly log: Log;
  readonly nowMs: () => number;
  /** In force everywhere at once; settles when it lasts. out  undefined, or why a crash may undo it */
  readonly carryOut: (scopes: readonly PurgeScope[], isSoft: boolean) => Promise<string | undefined>;
}

export type PurgeCounts = Readonly<Record<PurgeKind, number>>;

/** Who asks. */
interface Asker {
  readonly via: PurgeEvent["via"];
  readonly from: string;
  readonly by: string;
}

const MAX_EVENTS = 256;
const MAX_TOLD_NAMES = 1000;
const AUDIT_MODE = 0o640;
const NOTHING_CACHED = "nothing is cached: no route has `cache`";

export class Purger {
  readonly #options: PurgerOptions;
  readonly #counts: Record<PurgeKind, number>;
  readonly #events: PurgeEvent[] = [];
  #routes = new CachedRoutes({ routes: [] });
  #audit: string | undefined;

  /** `counts`: of the generation before an upgrade. */
  constructor(options: PurgerOptions, counts: Partial<PurgeCounts> = {}) {
    this.#options = options;
    const zero = Object.fromEntries(PURGE_KINDS.map((kind) => [kind, 0])) as Record<PurgeKind, number>;
    this.#counts = { ...zero, ...counts };
  }

  /** A configuration is in force. */
  adopt(config: Config): void {
    this.#routes = new CachedRoutes(config);
    this.#audit = config.cache?.audit;
  }

  get routes(): CachedRoutes {
    return this.#routes;
  }

  get counts(): PurgeCounts {
    return this.#counts;
  }

  /** Latest purges, the oldest first. */
  events(): readonly PurgeEvent[] {
    return this.#events;
  }

  /** What a person or a program asks for through the API. */
  async purge(wish: PurgeWish, from: string): Promise<PurgeDone | CacheRefusal> {
    if (this.#routes.isEmpty) return { status: 409, error: NOTHING_CACHED };
    const { kind, isSoft, by } = wish;
    const scopes: PurgeScope[] = [];
    for (const name of kind === "all" ? [""] : wish.names) {
      const found = this.#routes.scopesOf(kind, name);
      if (typeof found === "string") return { status: 400, error: found };
      scopes.push(...found);
    }
    const failed = await this.#options.carryOut(scopes, isSoft);
    const event = this.#note(kind, wish.names, isSoft, { via: "admin", from, by });
    return failed === undefined
      ? { ...event, purged: scopes.map(nameOf) }
      : { status: 503, error: unlastingText(failed) };
  }

  /** What a client asks for with PURGE, as its worker has understood it. out  why it is not done */
  async purgeScope(scope: PurgeScope, isSoft: boolean, client: string): Promise<string | undefined> {
    const more = scope.kind === "url" ? this.#routes.scopesOf("url", scope.url) : [];
    const scopes = typeof more === "string" ? [scope] : [scope, ...more];
    const failed = await this.#options.carryOut(scopes, isSoft);
    // a group is of one origin, and tells as a tag does
    const kind = scope.kind === "group" ? "tag" : scope.kind;
    this.#note(kind, kind === "all" ? [] : [nameOf(scope)], isSoft, { via: "request", from: client, by: "" });
    return failed === undefined ? undefined : unlastingText(failed);
  }

  #note(kind: PurgeKind, names: readonly string[], soft: boolean, asker: Asker): PurgeEvent {
    const { nowMs } = this.#options;
    const told = names.slice(0, MAX_TOLD_NAMES);
    const event: PurgeEvent = { at: new Date(nowMs()).toISOString(), kind, names: told, soft, ...asker };
    this.#counts[kind]++;
    this.#events.push(event);
    if (this.#events.length > MAX_EVENTS) this.#events.shift();
    this.#write(event);
    return event;
  }

  #write(event: PurgeEvent): void {
    const { log } = this.#options;
    if (this.#audit === undefined) {
      log("info", "cache", purgeText(event));
      return;
    }
    try {
      const file = openSync(this.#audit, "a", AUDIT_MODE);
      writeSync(file, `${JSON.stringify(event)}\n`);
      closeSync(file);
    } catch (error) {
      const reason = (error as Error).message;
      log("error", "cache", `${purgeText(event)}; the audit file cannot be written: ${reason}`);
    }
  }
}

const unlastingText = (why: string) => `it is in force now, but a crash may undo it: ${why}`;

const MAX_LOGGED_NAMES = 5;

function purgeText({ kind, names, soft, via, from, by }: PurgeEvent): string {
  const more = names.length > MAX_LOGGED_NAMES ? ` and ${names.length - MAX_LOGGED_NAMES} more` : "";
  const what = kind === "all" ? "everything" : `${kind} ${names.slice(0, MAX_LOGGED_NAMES).join(" ")}${more}`;
  const who = by === "" ? `${via} ${from}` : `${by}, ${via} ${from}`;
  return `${soft ? "marked stale" : "purged"}: ${what}, by ${who}`;
}

function nameOf(scope: PurgeScope): string {
  switch (scope.kind) {
    case "url":
      return scope.url;
    case "host":
      return scope.host;
    case "tag":
      return scope.tag;
    case "prefix":
      return scope.prefix;
    case "group":
      return `${scope.origin} ${scope.group}`;
    case "all":
      return "everything";
  }
}
