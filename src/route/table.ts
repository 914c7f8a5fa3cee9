/**
 * Table: which of many routes does a request take?
 *
 * why    the most specific route wins, not the first written, so that adding a route never depends on where
 * rule   one route precedes another by, in this order:
 *          1 priority   the higher
 *          2 host       exact, then the longer wildcard, then the shorter, then any host
 *          3 path       exact, then the longest prefix, then patterns, then any path (`/*` is any path)
 *          4 conditions method given; more headers, tests of the client's certificate counting as such; more
 *                       query tests; more cookies; client address given
 *          5 order      the first written
 *        The first of that order whose every test holds is the answer: when none of the best host's routes
 *        takes the request, those of less specific hosts are asked.
 * cost   one map look-up for the host and one for each `/` of the path, however many routes there are; routes
 *        that differ only by pattern or condition are tried one after the other
 */
import { SLASH } from "../core/bytes.ts";
import { type Condition, compileConditions, countCertificateTests, type RouteRequest } from "./conditions.ts";
import type { PathTest, RouteMatch } from "./match.ts";
import { normaliseWrittenPath } from "./path.ts";

export interface RouteRule<T> {
  readonly name: string;
  readonly match: RouteMatch;
  readonly priority: number;
  readonly value: T;
}

/** Why a rule was not taken, or that it was; `outranked`: it matches too, but another precedes it. */
export type Verdict = "chosen" | "outranked" | "host" | "path" | "condition";

export interface Considered<T> {
  readonly rule: RouteRule<T>;
  readonly verdict: Verdict;
  /** What failed, when it is a condition: `method`, `header x-beta`…; else "". */
  readonly subject: string;
}

export interface RouteTable<T> {
  find(request: RouteRequest): T | undefined;
  /** Every rule in order of precedence with its verdict. cost  linear: for people, not for traffic */
  explain(request: RouteRequest): readonly Considered<T>[];
}

export function compileTable<T>(rules: readonly RouteRule<T>[]): RouteTable<T> {
  return new Table(rules);
}

/** A rule under one of its hosts, ready to test. */
interface Entry<T> {
  readonly rule: RouteRule<T>;
  readonly host: string;
  readonly order: number;
  readonly priority: number;
  readonly value: T;
  readonly pathClass: PathClass;
  /** Of an exact or prefix test; else "". */
  readonly path: string;
  readonly pattern: RegExp | undefined;
  readonly conditions: readonly Condition[];
}

/** Kinds of path test, the more specific the higher. */
const ANY_PATH = 0;
const PATTERN = 1;
const PREFIX = 2;
const EXACT = 3;
type PathClass = typeof ANY_PATH | typeof PATTERN | typeof PREFIX | typeof EXACT;

const ANY_HOST = "";
const DOT = 46;

class Table<T> implements RouteTable<T> {
  /** The only entry, when it asks nothing of a request. */
  readonly #catchAll: Entry<T> | undefined;
  readonly #maxPriority: number;
  readonly #exact = new Map<string, PathRules<T>>();
  /** By suffix with its dot: `.example.com`. */
  readonly #wildcards = new Map<string, PathRules<T>>();
  readonly #any: PathRules<T> | undefined;
  readonly #minSuffix: number;
  readonly #maxSuffix: number;
  readonly #ordered: readonly Entry<T>[];

  constructor(rules: readonly RouteRule<T>[]) {
    const entries = rules.flatMap(toEntries).sort(comparePrecedence);
    this.#ordered = entries;
    this.#catchAll = entries.length === 1 ? entries.find(asksNothing) : undefined;
    this.#maxPriority = highestPriority(entries);
    for (const [host, group] of Map.groupBy(entries, (entry) => entry.host)) {
      const paths = new PathRules(group);
      if (host === ANY_HOST) this.#any = paths;
      else if (isWildcard(host)) this.#wildcards.set(host.slice(1), paths);
      else this.#exact.set(host, paths);
    }
    const suffixes = [...this.#wildcards.keys()].map((suffix) => suffix.length);
    this.#minSuffix = suffixes.reduce((least, length) => Math.min(least, length), Number.POSITIVE_INFINITY);
    this.#maxSuffix = suffixes.reduce((most, length) => Math.max(most, length), 0);
  }

  find(request: RouteRequest): T | undefined {
    if (this.#catchAll !== undefined) return this.#catchAll.value;
    let best: Entry<T> | undefined;
    if (this.#exact.size !== 0) best = this.#exact.get(request.host)?.search(request, best);
    if (this.#maxSuffix !== 0 && !this.#isFinal(best)) best = this.#searchWildcards(request, best);
    if (this.#any !== undefined && !this.#isFinal(best)) best = this.#any.search(request, best);
    return best?.value;
  }

  /** Nothing less specific can still precede it. */
  #isFinal(best: Entry<T> | undefined): boolean {
    return best !== undefined && best.priority === this.#maxPriority;
  }

  #searchWildcards(request: RouteRequest, found: Entry<T> | undefined): Entry<T> | undefined {
    const { host } = request;
    let best = found;
    // from the longest suffix on; the wildcard stands for one label at least, so never at the start
    const first = Math.max(1, host.length - this.#maxSuffix);
    for (let at = first; at <= host.length - this.#minSuffix; at++) {
      if (host.charCodeAt(at) !== DOT) continue;
      const paths = this.#wildcards.get(host.slice(at));
      if (paths === undefined) continue;
      best = paths.search(request, best);
      if (this.#isFinal(best)) return best;
    }
    return best;
  }

  explain(request: RouteRequest): readonly Considered<T>[] {
    const considered: Considered<T>[] = [];
    const hosts = new Set(this.#ordered.filter((entry) => isHostTaken(entry, request.host)));
    const rulesOfHost = new Set([...hosts].map((entry) => entry.rule));
    const seen = new Set<RouteRule<T>>();
    let isChosen = false;
    for (const entry of this.#ordered) {
      const { rule } = entry;
      // a rule with several hosts stands several times: it is told once, under a host that matches if one does
      if (seen.has(rule) || (rulesOfHost.has(rule) && !hosts.has(entry))) continue;
      seen.add(rule);
      const [verdict, subject] = judge(entry, request);
      considered.push({ rule, verdict: verdict === "chosen" && isChosen ? "outranked" : verdict, subject });
      isChosen ||= verdict === "chosen";
    }
    return considered;
  }
}

function judge<T>(entry: Entry<T>, request: RouteRequest): readonly [Verdict, string] {
  if (!isHostTaken(entry, request.host)) return ["host", ""];
  if (!isPathTaken(entry, request.path)) return ["path", ""];
  const failed = entry.conditions.find((condition) => !condition.holds(request));
  return failed === undefined ? ["chosen", ""] : ["condition", failed.subject];
}

function isHostTaken<T>(entry: Entry<T>, host: string): boolean {
  if (entry.host === ANY_HOST) return true;
  if (!isWildcard(entry.host)) return entry.host === host;
  const suffix = entry.host.slice(1);
  return host.length > suffix.length && host.endsWith(suffix);
}

function isPathTaken<T>(entry: Entry<T>, path: string): boolean {
  if (entry.pathClass === ANY_PATH) return true;
  if (entry.pathClass === PATTERN) return entry.pattern?.test(path) === true;
  return path === entry.path || (entry.pathClass === PREFIX && path.startsWith(`${entry.path}/`));
}

/** The routes of one host, by path. */
class PathRules<T> {
  readonly #exact: ReadonlyMap<string, readonly Entry<T>[]>;
  readonly #prefixes: ReadonlyMap<string, readonly Entry<T>[]>;
  readonly #patterns: readonly Entry<T>[];
  readonly #any: readonly Entry<T>[];
  readonly #minPrefix: number;
  readonly #maxPrefix: number;
  readonly #maxPriority: number;

  /** in  entries in order of precedence */
  constructor(entries: readonly Entry<T>[]) {
    const ofClass = (wanted: PathClass) => entries.filter((entry) => entry.pathClass === wanted);
    this.#exact = Map.groupBy(ofClass(EXACT), (entry) => entry.path);
    this.#prefixes = Map.groupBy(ofClass(PREFIX), (entry) => entry.path);
    this.#patterns = ofClass(PATTERN);
    this.#any = ofClass(ANY_PATH);
    const lengths = [...this.#prefixes.keys()].map((path) => path.length);
    this.#minPrefix = lengths.reduce((least, length) => Math.min(least, length), Number.POSITIVE_INFINITY);
    this.#maxPrefix = lengths.reduce((most, length) => Math.max(most, length), 0);
    this.#maxPriority = highestPriority(entries);
  }

  /** The entry here that precedes `found`, or `found`. Asks the more specific first. */
  search(request: RouteRequest, found: Entry<T> | undefined): Entry<T> | undefined {
    let best = found;
    if (this.#isFinal(best)) return best;
    if (this.#exact.size !== 0) {
      const entries = this.#exact.get(request.path);
      if (entries !== undefined) {
        best = firstHolding(entries, request, best);
        if (this.#isFinal(best)) return best;
      }
    }
    if (this.#maxPrefix !== 0) {
      best = this.#searchPrefixes(request, best);
      if (this.#isFinal(best)) return best;
    }
    best = firstHolding(this.#patterns, request, best);
    return firstHolding(this.#any, request, best);
  }

  #isFinal(best: Entry<T> | undefined): boolean {
    return best !== undefined && best.priority >= this.#maxPriority;
  }

  /** Looks up every beginning of the path that ends at a segment, the longest first, within known lengths. */
  #searchPrefixes(request: RouteRequest, found: Entry<T> | undefined): Entry<T> | undefined {
    const { path } = request;
    let best = found;
    for (let at = Math.min(path.length, this.#maxPrefix); at >= this.#minPrefix; at--) {
      if (at !== path.length && path.charCodeAt(at) !== SLASH) continue;
      const entries = this.#prefixes.get(path.slice(0, at));
      if (entries === undefined) continue;
      best = firstHolding(entries, request, best);
      if (this.#isFinal(best)) return best;
    }
    return best;
  }
}

/** The first entry that precedes `best` by priority and holds, or `best`; entries are ordered. */
function firstHolding<T>(
  entries: readonly Entry<T>[],
  request: RouteRequest,
  best: Entry<T> | undefined,
): Entry<T> | undefined {
  for (let index = 0; index < entries.length; index++) {
    const entry = entries[index] as Entry<T>;
    if (best !== undefined && entry.priority <= best.priority) return best;
    if (entry.pattern !== undefined && !entry.pattern.test(request.path)) continue;
    if (entry.conditions.length === 0 || doAllHold(entry.conditions, request)) return entry;
  }
  return best;
}

function doAllHold(conditions: readonly Condition[], request: RouteRequest): boolean {
  for (let index = 0; index < conditions.length; index++) {
    if (!(conditions[index] as Condition).holds(request)) return false;
  }
  return true;
}

function toEntries<T>(rule: RouteRule<T>, order: number): Entry<T>[] {
  const { path, hosts } = rule.match;
  const shared = {
    rule,
    order,
    priority: rule.priority,
    value: rule.value,
    pathClass: pathClassOf(path),
    path:
      path === undefined || path.kind === "pattern" || path.path === ""
        ? ""
        : normaliseWrittenPath(path.path),
    pattern: path?.kind === "pattern" ? new RegExp(path.source) : undefined,
    conditions: compileConditions(rule.match),
  };
  const names = hosts.length === 0 ? [ANY_HOST] : new Set(hosts);
  return [...names].map((host) => ({ ...shared, host }));
}

function pathClassOf(path: PathTest | undefined): PathClass {
  if (path === undefined || (path.kind === "prefix" && path.path === "")) return ANY_PATH;
  if (path.kind === "pattern") return PATTERN;
  return path.kind === "exact" ? EXACT : PREFIX;
}

const isWildcard = (host: string) => host.startsWith("*.");

function hostClass(host: string): number {
  if (host === ANY_HOST) return 0;
  return isWildcard(host) ? 1 : 2;
}

function asksNothing<T>(entry: Entry<T>): boolean {
  return entry.host === ANY_HOST && entry.pathClass === ANY_PATH && entry.conditions.length === 0;
}

function highestPriority<T>(entries: readonly Entry<T>[]): number {
  return entries.reduce((highest, entry) => Math.max(highest, entry.priority), Number.NEGATIVE_INFINITY);
}

/** Sort key of a rule under a host: compared part by part, the higher first. */
function precedence<T>(entry: Entry<T>): readonly number[] {
  const { match } = entry.rule;
  const kind = hostClass(entry.host);
  return [
    entry.priority,
    kind,
    kind === 1 ? entry.host.length : 0,
    entry.pathClass,
    entry.pathClass === PREFIX ? entry.path.length : 0,
    match.methods.length > 0 ? 1 : 0,
    match.headers.length + countCertificateTests(match.clientCert),
    match.query.length,
    match.cookies.length,
    match.clientIp.length > 0 ? 1 : 0,
    -entry.order,
  ];
}

function comparePrecedence<T>(one: Entry<T>, two: Entry<T>): number {
  const left = precedence(one);
  const right = precedence(two);
  for (const [index, value] of left.entries()) {
    const difference = (right[index] as number) - value;
    if (difference !== 0) return difference;
  }
  return 0;
}
