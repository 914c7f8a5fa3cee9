/**
 * Plan: what the pipeline decides about one exchange, and the compiled rules it decides by.
 *
 * why    a route here is compiled once for a configuration version and never changed: an exchange that
 *        holds one goes on by the version it began with, whatever is loaded meanwhile
 */
import type { CacheKeyPolicy, CachePolicy } from "../cache/policy.ts";
import type { CacheStore, PurgeScope } from "../cache/store.ts";
import type { CidrSet } from "../core/address.ts";
import type { Failure } from "../core/failure.ts";
import type { HttpClock } from "../core/http-clock.ts";
import type { RequestIds } from "../core/request-id.ts";
import type { Shedder } from "../limit/shedding.ts";
import type { LogEntry } from "../observe/access-log.ts";
import type { Coding } from "../protocol/accept-encoding.ts";
import type { CompiledEdits } from "../route/edits.ts";
import type { EncodedSlash } from "../route/path.ts";
import type { RedirectFacts } from "../route/rewrite.ts";
import type { Split } from "../route/split.ts";
import type { RouteTable } from "../route/table.ts";
import type { DownstreamEvents, Exchange, UpstreamEvents, UpstreamTimeouts } from "../session/exchange.ts";
import type { EndpointPool } from "../session/upstream-pool.ts";
import type { Encoders } from "../transport/encoders.ts";
import type { BufferBudget } from "../transport/wire.ts";
import type { Again } from "./again.ts";
import type { CacheNote } from "./cache-note.ts";
import type { Compression } from "./compress-rules.ts";
import type { ErrorPages } from "./error-answer.ts";
import type { Fetches, Joinable } from "./fetches.ts";
import type { GrpcWeb } from "./grpc-web.ts";
import type { PhaseName, WAIT } from "./phases.table.ts";
import type { RetryRules } from "./retry-rules.ts";

/** Where a plain listener sends its clients; `port` is that of the new URL, 443 stays unsaid. */
export interface ToHttps {
  readonly status: number;
  readonly port: number;
}

/** What a listener itself says about its requests, in one version. */
export interface SiteRules {
  readonly encodedSlash: EncodedSlash;
  readonly toHttps: ToHttps | undefined;
  /** Strict-Transport-Security for every answer, as a field line; "" = none. */
  readonly hstsLine: string;
  /** Endpoints are told about the client's certificate. */
  readonly forwardsCertificate: boolean;
  /** Over HTTP/1 too, a connection may ask only for hosts that its server name stands for. */
  readonly isStrictHost: boolean;
}

/** The rules and routes of one listener in one version. */
export interface Site extends SiteRules {
  readonly table: RouteTable<Route>;
  /** Of its routes that cache, each once: under which URLs something may be stored. */
  readonly keyPolicies: readonly CacheKeyPolicy[];
}

export interface Route {
  readonly name: string;
  /** First slot of the route's block in the counter row. */
  readonly slot: number;
  /** First slot of its cache block; -1 where nothing is cached. */
  readonly cacheSlot: number;
  /** What the cache does with its requests and answers; undefined = nothing. */
  readonly cache: CacheRules | undefined;
  readonly action: RouteAction;
  readonly rewrite: ((path: string) => string) | undefined;
  readonly hostRewrite: string | undefined;
  readonly requestEdits: CompiledEdits | undefined;
  readonly responseEdits: CompiledEdits | undefined;
  readonly timeouts: UpstreamTimeouts;
  /** For the whole exchange; 0 = none. */
  readonly requestMs: number;
  readonly errorPages: ErrorPages | undefined;
  readonly retry: RetryRules;
  /** Content codings that its answers get; undefined = none but those they come with. */
  readonly compress: Compression | undefined;
  /** Number of its priority under overload (`limit/shedding.ts`): 0 is the last to be turned away. */
  readonly shed: number;
}

export type RouteAction =
  | { readonly kind: "proxy"; readonly split: Split; readonly upstreams: readonly UpstreamGroup[] }
  | { readonly kind: "redirect"; readonly status: number; readonly to: (facts: RedirectFacts) => string }
  | { readonly kind: "respond"; readonly status: number; readonly body: Buffer; readonly lines: string }
  | { readonly kind: "files"; readonly root: string; readonly index: readonly string[] };

export interface UpstreamGroup {
  readonly name: string;
  readonly endpoints: readonly Endpoint[];
  /** Its endpoints speak HTTP/2 and nothing else. */
  readonly isHttp2: boolean;
  readonly chooser: Chooser;
  /** undefined = its attempts are not limited. */
  readonly gate?: Gate | undefined;
}

/** Who lets attempts in: `upstream-gate.ts` fulfils it. */
export interface Gate {
  /** out  undefined = the attempt has a place, held by the plan; else what phase `choose` returns */
  enter(exchange: Planned): typeof WAIT | "answer" | undefined;
  /** For an attempt that nobody has to wait for. out  false when there is no place now */
  enterNow(exchange: Planned): boolean;
  /** An endpoint is chosen for the attempt that has a place. */
  chosen(exchange: Planned, index: number): void;
  /** None could be. out  undefined = not because of a limit; else what phase `choose` returns */
  missed(exchange: Planned): typeof WAIT | "answer" | undefined;
}

/** Which endpoint takes a request: `endpoint-chooser.ts` fulfils it. */
export interface Chooser {
  /** `excluded` has a 1 for each endpoint that the exchange has tried. out  index, or -1 when none can take it */
  choose(exchange: Exchange, excluded: Uint8Array | undefined): number;
  /** Would somebody who has tried none of them find one now? */
  hasRoom(): boolean;
  /** Field line for the answer that keeps the client at the endpoint, or "". */
  stickyLine(exchange: Exchange, index: number): string;
}

/** Attempts that are under way at one endpoint. */
export interface EndpointPlaces {
  inFlight: number;
}

/** The place of one attempt: `hold.ts` fulfils it. */
export interface Held {
  /** The attempt goes to this endpoint. */
  chose(endpoint: EndpointPlaces): void;
  /** The client has sent all: before that, whatever takes long may be its own fault. */
  requestEnded(): void;
  /** The head of the answer is there. */
  answered(): void;
  /** The attempt has failed: its place is given back. */
  failed(failure: Failure): void;
  /** Gives the place back, if that has not happened. */
  leave(): void;
}

export interface Endpoint {
  readonly name: string;
  readonly pool: EndpointPool;
}

/** What turns a response body into another one on its way: `compress-body.ts` fulfils it. */
export interface Coder {
  /** Bytes of the body, as it comes. */
  take(bytes: Buffer): void;
  /** Its end; `trailers` are field lines or "". */
  end(trailers: string): void;
  /** The client is slow. */
  blocked(): void;
  /** It takes bytes again. */
  drained(): void;
  /** The exchange is over; more than once does no harm. */
  close(): void;
}

/** The coded form of a stored response that is to be made and kept: `coded-forms.ts` fulfils it. */
export interface WantedForm {
  /** Making it smaller was tried in vain. */
  readonly isVain: boolean;
  /** in  the answer's body, as it is sent without coding */
  isOf(body: Buffer, coding: Coding): boolean;
  keep(encoded: Buffer): void;
  giveUp(): void;
}

/** What a route says about caching. */
export interface CacheRules {
  /** Its name: two routes never answer for each other. */
  readonly route: string;
  readonly policy: CachePolicy;
  /** Endpoints are told on which of several ports a client came in: each port has answers of its own. */
  readonly keysPort: boolean;
  /** Nothing but scheme, authority and target is in its keys, unless a trusted proxy sends more. */
  readonly isPlainKey: boolean;
}

/** Who takes the answer to an exchange that has no client: `fetch.ts` fulfils it. */
export interface AnswerTaker {
  /** A response head, or a failure. */
  answered(): void;
  /** The exchange is over. */
  recorded(): void;
  /** Clients were told of its failure, and count it. */
  readonly isHeard: boolean;
}

/** A stored body on its way to the client: `body-flow.ts` fulfils it. */
export interface Flow {
  /** Hands on what there is. */
  grown(): void;
}

/** An answer that the proxy gives by itself. */
export interface LocalAnswer {
  readonly status: number;
  /** Field lines but framing, Date and connection. */
  readonly lines: string;
  readonly body: Buffer;
  /** A gRPC answer, which is all head: the HTTP status that it stands for in counters and logs. */
  readonly standsFor?: number;
}

export interface PipelineServices {
  readonly counters: Float64Array;
  /** Slot of the worker block. */
  readonly workerSlot: number;
  /** Slot for exchanges that no route took. */
  readonly unroutedSlot: number;
  readonly ids: RequestIds;
  readonly dates: HttpClock;
  readonly budget: BufferBudget;
  readonly encoders: Encoders;
  /** A number in [0, 1). */
  readonly chance: () => number;
  /** Whom an overloaded worker still takes. */
  readonly shedder: Pick<Shedder, "admits" | "cause">;
  /** Writes an access log line; undefined = off. */
  logAccess: ((entry: LogEntry) => void) | undefined;
  /** ms since the epoch at monotonic 0. */
  epochMs: number;
  /** Where what stands in for an endpoint or a client reports: the pipeline itself. */
  events: (UpstreamEvents & DownstreamEvents) | undefined;
  /** Goes on with an exchange that waited, from this phase. */
  readonly resume: (exchange: Planned, phase: PhaseName) => void;
  /** What is being fetched for the cache. */
  readonly fetches: Fetches<Joinable>;
  readonly report: (text: string) => void;
  /** Answers to http-01 challenges that are under way, by token (RFC 8555 §8.3). */
  httpChallenges: ReadonlyMap<string, string>;
  /** The store of the configuration in force; undefined = nothing is cached. A fetch keeps the one that it began with. */
  cache: CacheStore | undefined;
  /** Clients whose PURGE requests are obeyed. */
  purgeFrom: Pick<CidrSet, "has">;
  /** Purges in all workers, for a client that may. out  undefined once it is in force, or why it is not */
  readonly purge?: (scope: PurgeScope, isSoft: boolean, client: string) => Promise<string | undefined>;
}

export class Plan {
  readonly services: PipelineServices;
  route: Route | undefined;
  upstream: UpstreamGroup | undefined;
  endpoint: Endpoint | undefined;
  /** Its place in the upstream. */
  endpointIndex = -1;
  /** The place of the attempt that is under way; undefined where attempts are not limited. */
  hold: Held | undefined;
  /** Waited for places so far. */
  queueMs = 0;
  hasQueued = false;
  attempts = 0;
  /** Endpoints that must not be tried again, by index; made by the first retry. */
  excluded: Uint8Array | undefined;
  /** What the attempt before came to; undefined = it was answered, or there was none. */
  failed: Failure | undefined;
  /** What is kept for another attempt; undefined = nothing, which is the rule. */
  again: Again | undefined;
  /** A second attempt beside the first (`hedge.ts`), which the client's session knows nothing of. */
  isShadow = false;
  /** Field lines for the endpoint that are the same for each attempt; only kept when others are not. */
  added: string | undefined;
  /** The next attempt goes to the same endpoint, on a connection of its own. */
  isFreshRetry = false;
  /** The request for the endpoint is written down: further attempts send the same. */
  isComposed = false;
  /** What the cache does for it; undefined = it is not asked. */
  cache: CacheNote | undefined;
  /** The exchange is one of the cache's own, and this is its client. */
  fetch: AnswerTaker | undefined;
  /** A stored body follows the head. */
  flow: Flow | undefined;
  /** A stored response answers, of which the client would rather have a form that is not stored. */
  form: WantedForm | undefined;
  /** A stored response answers in a form whose head says already what compression has to say. */
  isSettled = false;
  /** Set when the proxy answers by itself. */
  local: LocalAnswer | undefined;
  /** The client speaks gRPC-Web and the endpoint gRPC: bodies are turned from one into the other. */
  web: GrpcWeb | undefined;
  /** The response body leaves in a coding that the client likes better. */
  coder: Coder | undefined;
  /** The response is complete with the bytes that came with its head. */
  isEnd = false;
  /** The whole response was handed to the kernel. */
  isSent = false;
  /** A phase is running: a failure that comes now is left to it. */
  isRunning = false;
  /** The client's message is broken or the client is gone: nothing more will come from it. */
  isRequestBroken = false;
  /** An attempt failed while phase `forward` was running. */
  isFailing = false;
  /** The local answer waits until the request body has been read and forgotten. */
  isAwaitingRequest = false;

  constructor(services: PipelineServices) {
    this.services = services;
  }
}

/** An exchange in the pipeline. Every exchange gets its plan before the first phase. */
export type Planned = Exchange & { plan: Plan };
