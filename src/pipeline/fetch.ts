/**
 * Fetch: asks an endpoint on behalf of the cache: for the clients that wait for the answer, for the store, or for both.
 *
 * why    one answer for many: who came first is no different from who joined later, and may leave without harm to the
 *        others. A refresh behind the clients' back and a validation are fetches that nobody, or somebody, waits for
 * shape  an exchange of its own goes down the phases like a client's, and this is its downstream. What comes of it is
 *        settled in fetch-answer.ts: kept and given to all who wait, or handed to one alone while the others ask for
 *        themselves
 * rule   a waiter is answered once, by whatever comes first: the head, a failure, or the end of its patience
 * bound  a wait by `coalesce`, a body by what GrowingBody holds, all by the time-outs of the route
 */
import { type RequestDirectives, SURROGATE_TOKEN } from "../cache/directives.ts";
import { hostOfUrl, originOfKey, urlOfKey } from "../cache/key.ts";
import type { CacheStore } from "../cache/store.ts";
import type { StoredResponse } from "../cache/stored.ts";
import { validationLines } from "../cache/validate.ts";
import { encodingToSend, type VaryIndex } from "../cache/vary.ts";
import { BODY_NONE, LENGTH_UNKNOWN } from "../core/body.ts";
import { fail } from "../core/failure.ts";
import type { Fields } from "../core/fields.ts";
import { type ClientMemo, type Downstream, Exchange, type TlsSession } from "../session/exchange.ts";
import type { Listener } from "../session/listener.ts";
import { type Alarm, alarmAfter, dismiss } from "../transport/alarm.ts";
import { clock } from "../transport/clock.ts";
import { policyOf } from "./cache-rules.ts";
import type { GrowingBody } from "./growing-body.ts";
import { type PartOrder, rangeLines } from "./part-order.ts";
import { type Passing, Waiting } from "./passing.ts";
import { Plan, type Planned, type Route } from "./plan.ts";

/** Where a fetch stands. */
export type FetchState =
  /** The head is not here: who asks for the same may join. */
  | "waiting"
  /** The body goes to the store and to all who wait; who asks for the same may still join. */
  | "sharing"
  /** One client alone gets it. */
  | "passing"
  | "over";

/** What a fetch is for. */
export interface FetchOrder {
  /** Under which it is looked for: of the URL, or of a variant. */
  readonly key: string;
  /** Of the URL. */
  readonly primary: string;
  /** The response that may be confirmed, or used if the endpoint fails. */
  readonly stale: StoredResponse | undefined;
  /** What of the body is asked for; undefined = all. */
  readonly part?: PartOrder | undefined;
  /** Others that ask for the same meanwhile get this answer too. */
  readonly mayShare: boolean;
  /** Nobody is to wait for it: a refresh. */
  readonly isBackground: boolean;
  /** What becomes of the answer, or the failure; or of one whose own time is up. */
  readonly settle: (fetch: Fetch, late?: Planned) => void;
}

/** What is on its way into the store: until it is there, it is had from whoever brings it. */
export interface Keeping {
  isBeingKept: boolean;
  /** Called once it is there, or will not be. */
  onKept: (() => void) | undefined;
}

/** A response that is being kept. */
export interface Fill {
  readonly stored: StoredResponse;
  /** What the owner of the fetch gets: with the fields that are for one client, if there are any. */
  readonly own: StoredResponse;
  /** What tells the variants of its URL apart. */
  readonly index: VaryIndex;
  /** undefined = the body is in `stored`. */
  readonly body: GrowingBody | undefined;
  /** undefined = it is in the store. */
  readonly keeping: Keeping | undefined;
  /** Stored already, and follows what comes. */
  readonly after: Buffer | undefined;
}

export class Fetch implements Downstream {
  readonly order: FetchOrder;
  readonly exchange: Planned;
  /** The store when it began: a new configuration may bring another. */
  readonly store: CacheStore;
  /** Of the request as the client sent it. */
  readonly asked: Fields;
  readonly directives: RequestDirectives;
  /** The board's clock when it began: what is purged from now on is not stored under an old mark. */
  readonly mark: number;
  readonly startedAtMs = clock.nowMs;
  state: FetchState = "waiting";
  /** In the order they came. */
  readonly waiters = new Set<Planned>();
  /**
   * Whose request is sent, cookies and all: an answer for one client alone is for this one. undefined = it has left, or
   * this is a refresh: such an answer is for nobody here.
   */
  owner: Planned | undefined;
  /** While sharing: what was decided, and what has come so far. */
  fill: Fill | undefined;
  /** A client was told of its failure, and counts it. */
  isHeard = false;
  /** What a 304 has made of what was stored. */
  fresh: StoredResponse | undefined;
  #watchers: (() => void)[] = [];
  /** Called once, when nobody can join any more. */
  onClosed: (() => void) | undefined;
  readonly clientIp: string;
  readonly clientPort: number;
  readonly isTrusted: boolean;
  readonly scheme: "http" | "https";
  readonly tls: TlsSession | undefined;
  readonly listener: Listener;
  readonly localPort: number;
  readonly localIp: string;
  readonly memo: ClientMemo;
  #patience: Alarm | undefined;
  #isUnattended = false;

  /** Takes over what `client` asks for; it still has to be added. */
  constructor(client: Planned, order: FetchOrder, store: CacheStore, directives: RequestDirectives) {
    const { downstream } = client;
    this.order = order;
    this.owner = order.isBackground ? undefined : client;
    this.store = store;
    this.directives = directives;
    this.asked = client.requestFields.copy();
    this.mark = store.board.begin(urlOfKey(order.primary));
    this.clientIp = downstream.clientIp;
    this.clientPort = downstream.clientPort;
    this.isTrusted = downstream.isTrusted;
    this.scheme = downstream.scheme;
    this.tls = downstream.tls;
    this.listener = downstream.listener;
    this.localPort = downstream.localPort;
    this.localIp = downstream.localIp;
    this.memo = { authority: client.authority, host: client.host, keyAuthority: "", lines: "" };
    this.exchange = innerOf(client, this);
  }

  /** Sends the request; all that follows comes by events. */
  start(): void {
    if (this.order.isBackground && this.order.part?.kind !== "slice") this.#setUnattended(true);
    this.exchange.plan.services.resume(this.exchange, "choose");
  }

  // ── who waits ──

  /** True while others may join. */
  get isOpen(): boolean {
    return this.onClosed !== undefined && (this.state === "waiting" || this.state === "sharing");
  }

  add(client: Planned): void {
    this.#setUnattended(false);
    this.waiters.add(client);
    const waiting = new Waiting(this, client);
    client.upstream = waiting;
    waiting.watch();
  }

  late(client: Planned): void {
    this.waiters.delete(client);
    client.upstream = undefined;
    this.order.settle(this, client);
  }

  /** False once what it brings has been purged: who asks after that must not get it. */
  isCurrent(): boolean {
    const { store, mark, order } = this;
    const { board } = store;
    if (board.clock === mark) return true;
    const url = urlOfKey(order.primary);
    const facts = this.fill?.stored.facts ?? {
      mark,
      purgeSlots: board.slotsOf({
        url,
        host: hostOfUrl(url),
        tags: [],
        origin: originOfKey(order.primary),
        groups: [],
      }),
    };
    return board.stateOf(facts, url) === "alive";
  }

  /** After so long without a head nobody may join any more, and all but the owner have to look for another way. */
  limitPatience(ms: number, lookAgain: (waiter: Planned) => void): void {
    this.#patience ??= alarmAfter(ms, () => {
      const waiters = this.takeWaiters();
      for (const waiter of waiters) if (waiter === this.owner) this.add(waiter);
      this.#shut();
      for (const waiter of waiters) if (waiter !== this.owner) lookAgain(waiter);
    });
  }

  /** Takes the waiters off: whoever does it answers them. */
  takeWaiters(): Planned[] {
    dismiss(this.#patience);
    this.#patience = undefined;
    const waiters = [...this.waiters];
    this.waiters.clear();
    for (const waiter of waiters) {
      (waiter.upstream as Waiting | undefined)?.over();
      waiter.upstream = undefined;
    }
    return waiters;
  }

  leave(client: Planned): void {
    this.waiters.delete(client);
    if (client === this.owner) this.owner = undefined;
    if (this.state === "passing" || (this.state === "waiting" && !this.#isWorthIt())) this.giveUp();
  }

  /** Somebody waits for the head; or it is for the store as well, and not one of too many that are. */
  #isWorthIt(): boolean {
    if (this.waiters.size > 0 || this.#watchers.length > 0 || this.order.isBackground) return true;
    return this.order.mayShare && this.#goesOnAlone();
  }

  /** Nobody waits any more. out  false: there are too many such */
  #goesOnAlone(): boolean {
    if (!this.#isUnattended && !this.exchange.plan.services.fetches.hasRoom) return false;
    this.#setUnattended(true);
    return true;
  }

  #setUnattended(isIt: boolean): void {
    if (this.#isUnattended === isIt || (isIt && this.exchange.isOver)) return;
    this.#isUnattended = isIt;
    this.exchange.plan.services.fetches.noteUnattended(isIt);
  }

  /** Its exchange is over. */
  recorded(): void {
    this.#setUnattended(false);
  }

  /** Calls back once it is settled: in the turn of the head, so that who reads along misses nothing. */
  watch(settled: () => void): void {
    if (this.state === "waiting") this.#watchers.push(settled);
    else settled();
  }

  /** Nobody needs the answer. */
  giveUp(): void {
    if (this.exchange.isOver) return;
    this.exchange.plan.services.events?.downstreamFailed(
      this.exchange,
      fail("downstream_closed", "nobody waits"),
    );
  }

  /** Where it stands from now on; who is alone, or over, is joined by nobody. */
  enter(state: FetchState): void {
    this.state = state;
    if (state !== "sharing") this.#shut();
    const watchers = this.#watchers;
    this.#watchers = [];
    for (const settled of watchers) settled();
  }

  #shut(): void {
    this.onClosed?.();
    this.onClosed = undefined;
  }

  // ── what the exchange reports ──

  /** Phase `answer` of the exchange: a response head, or a failure. */
  answered(): void {
    // what fails from now on cuts what was begun: it is neither tried again nor answered
    if (this.exchange.failure === undefined) this.exchange.isHeadSent = true;
    this.order.settle(this);
    if (this.exchange.plan.isEnd || this.exchange.failure !== undefined) this.#finished();
  }

  sendInterim(_exchange: Exchange, status: number, lines: string): void {
    const { owner } = this;
    if (owner !== undefined && this.waiters.has(owner)) {
      owner.downstream.sendInterim(owner, status, lines);
    }
  }

  sendBody(_exchange: Exchange, bytes: Buffer): boolean {
    if (this.state === "sharing") return this.#share(bytes);
    const [client] = this.waiters;
    if (this.state === "passing" && client !== undefined) {
      this.exchange.plan.services.events?.responseBody(client, bytes);
      return (client.upstream as Passing | undefined)?.isPaused !== true;
    }
    return true;
  }

  #share(bytes: Buffer): boolean {
    const body = this.fill?.body;
    if (body === undefined) return true;
    const isOpen = body.take(bytes);
    if (body.hasReaders) this.#setUnattended(false);
    else if (!body.isKept || !this.#goesOnAlone()) this.giveUp();
    return isOpen;
  }

  sendEnd(_exchange: Exchange, trailers: string): void {
    const [client] = this.waiters;
    if (this.state === "sharing") this.#endShared();
    else if (this.state === "passing" && client !== undefined) {
      this.waiters.clear();
      client.upstream = undefined;
      this.exchange.plan.services.events?.responseEnd(client, trailers);
    }
    this.#finished();
  }

  #endShared(): void {
    const { body, after, stored } = this.fill ?? {};
    if (body === undefined) return;
    if (after !== undefined && after.length > 0) body.take(after);
    const said = stored?.bodyLength ?? LENGTH_UNKNOWN;
    if (said === LENGTH_UNKNOWN || said === body.length) body.end();
    else body.fail(`${body.length} bytes of ${said}`);
  }

  /** The endpoint broke off in the middle of the body, or we did. */
  abort(exchange: Exchange): void {
    const detail = exchange.failure?.code ?? "cut";
    const waiters = this.takeWaiters();
    const wasPassing = this.state === "passing";
    if (this.state === "sharing") this.fill?.body?.fail(detail);
    this.enter("over");
    const failure = exchange.failure ?? fail("upstream_cut", detail);
    for (const waiter of waiters) {
      this.isHeard = true;
      if (wasPassing) waiter.plan.services.events?.upstreamFailed(waiter, failure);
      else {
        waiter.failure = failure;
        waiter.plan.services.resume(waiter, "answer");
      }
    }
  }

  /** Who asks for the same before a large body is put away joins too. */
  #finished(): void {
    const keeping = this.fill?.keeping;
    if (this.state === "sharing" && keeping?.isBeingKept === true) {
      keeping.onKept = () => this.enter("over");
    } else this.enter("over");
    this.exchange.isResponseComplete = true;
    this.exchange.plan.services.events?.responseSent(this.exchange);
  }

  sendHead(): boolean {
    return true; // phase `answer` calls `answered` instead
  }

  sendSwitch(): void {
    // no request that switches protocols comes here
  }

  pauseRequest(): void {
    // there is no request body
  }

  resumeRequest(): void {
    // likewise
  }
}

/** The answer is for the store too, which has no such condition (RFC 9111 §3). */
const CONDITIONS = ["if-none-match", "if-modified-since"] as const;
const RANGES = ["range", "if-range"] as const;

/** The same request, with nobody behind it. */
function innerOf(client: Planned, fetch: Fetch): Planned {
  const inner = new Exchange<Plan>(fetch) as Planned;
  const plan = new Plan(client.plan.services);
  plan.route = client.plan.route as Route;
  plan.fetch = fetch;
  inner.plan = plan;
  inner.method = client.method;
  inner.rawTarget = client.rawTarget;
  inner.isHttp10 = client.isHttp10;
  inner.isHttp2 = client.isHttp2;
  inner.requestFields = fieldsToSend(client, fetch);
  inner.requestBodyKind = BODY_NONE;
  inner.clientIp = client.clientIp;
  inner.host = client.host;
  inner.authority = client.authority;
  inner.path = client.path;
  inner.query = client.query;
  inner.isTargetAbsolute = client.isTargetAbsolute;
  inner.isPathAsSent = client.isPathAsSent;
  inner.madeIdLines = client.idLines;
  if (client.idLines === "") inner.adoptRequestId(client.requestId);
  inner.isRequestComplete = true;
  inner.acceptedAtMs = clock.nowMs;
  inner.startedAtMs = clock.nowMs;
  inner.deadlineMs = isForMany(fetch) ? routeDeadline(plan.route) : client.deadlineMs;
  return inner;
}

/** How long one client waits is nothing to the others. */
const isForMany = ({ order }: Fetch) => order.mayShare || order.isBackground;

function routeDeadline({ requestMs }: Route): number {
  return requestMs > 0 ? clock.nowMs + requestMs : Number.POSITIVE_INFINITY;
}

/**
 * That we heed Surrogate-Control (Edge Architecture Specification §2.2). What the client says of itself does not pass: it is in
 * no key, and an endpoint that writes for another's abilities would fill the cache with that.
 */
const CAPABILITY_NAME = "surrogate-capability";
const CAPABILITY_LINE = `Surrogate-Capability: ${SURROGATE_TOKEN}="Surrogate/1.0"\r\n`;
const PATIENCE = ["x-request-timeout", "grpc-timeout"] as const;

function fieldsToSend(client: Planned, fetch: Fetch): Fields {
  const { asked, order } = fetch;
  const { stale, part } = order;
  const fields = asked.view();
  fields.drop(CAPABILITY_NAME);
  fields.added += CAPABILITY_LINE;
  for (const name of CONDITIONS) fields.drop(name);
  if (part?.kind !== "asked") for (const name of RANGES) fields.drop(name);
  if (part !== undefined) fields.added += rangeLines(part);
  if (isForMany(fetch)) for (const name of PATIENCE) fields.drop(name);
  const { vary } = policyOf(client);
  const encoding = encodingToSend(asked, vary);
  if (encoding !== undefined) {
    fields.drop("accept-encoding");
    if (encoding !== "") fields.add("Accept-Encoding", encoding);
  }
  const nowMs = client.plan.services.epochMs + clock.nowMs;
  if (stale !== undefined) fields.added += validationLines(stale.fields, nowMs);
  return fields;
}
