/**
 * Cache stage: a pipeline with a cache and a store of one process, between clients and endpoints that a test plays.
 *
 * shape  everything is the real thing but the two ends: what a client gets is noted, what an endpoint is asked is listed,
 *        and answers when the test says so
 */

import { BufferArena } from "../../src/cache/memory/arena.ts";
import { type CacheSizes, privateMemory } from "../../src/cache/memory/layout.ts";
import { type MemoryStore, openMemoryStore } from "../../src/cache/memory/memory-store.ts";
import type { CachePolicy } from "../../src/cache/policy.ts";
import { PLAIN } from "../../src/cache/storable.cases.ts";
import { MemoryBodyFiles } from "../../src/cache/store.cases.ts";
import type { BodyReader } from "../../src/cache/store.ts";
import type { BodyRef } from "../../src/cache/stored.ts";
import type { RetryConfig } from "../../src/config/config.ts";
import { CidrSet } from "../../src/core/address.ts";
import { BODY_LENGTH, BODY_NONE, BODY_STREAM } from "../../src/core/body.ts";
import { type FailureCode, fail } from "../../src/core/failure.ts";
import { fieldsOfLines } from "../../src/core/fields.ts";
import { RequestIds } from "../../src/core/request-id.ts";
import { CACHE, LISTENER, ROUTE, WORKER } from "../../src/observe/metrics.table.ts";
import { Pipeline } from "../../src/pipeline/pipeline.ts";
import type { PipelineServices, Planned, Route, Site } from "../../src/pipeline/plan.ts";
import { run } from "../../src/pipeline/run.ts";
import { Exchange, type TlsSession, type Upstream } from "../../src/session/exchange.ts";
import { clock } from "../../src/transport/clock.ts";
import {
  FakeDownstream,
  type FakeServices,
  fakeServices,
  fakeSite,
  fixedRoute,
  ROUTE_SLOT,
} from "./fake-exchange.ts";

const MIB = 1024 * 1024;
const CACHE_SLOT = ROUTE_SLOT + ROUTE.slots + LISTENER.slots;
const SIZES: CacheSizes = { memoryBytes: 16 * MIB, diskBytes: 0, workers: 1 };

/** Body files whose readers get memory of their own, and that count who has them open. */
export class CountedFiles extends MemoryBodyFiles {
  openReaders = 0;
  isBroken = false;

  override async open(ref: BodyRef): Promise<BodyReader | undefined> {
    const reader = await super.open(ref);
    if (reader === undefined) return undefined;
    this.openReaders++;
    let isClosed = false;
    return {
      length: reader.length,
      read: async (position, end) => {
        if (this.isBroken) throw new Error("damaged");
        return Buffer.from(await reader.read(position, end));
      },
      close: () => {
        if (!isClosed) this.openReaders--;
        isClosed = true;
      },
    };
  }
}

export interface Asking {
  readonly method?: string;
  readonly target?: string;
  /** Field lines beside Host. */
  readonly lines?: readonly string[];
  readonly tls?: TlsSession;
  /** It takes no byte before `drain`. */
  readonly isSlow?: boolean;
  /** The kernel does not take its last bytes before `flush`. */
  readonly isHeld?: boolean;
  /** ms that it waits. */
  readonly withinMs?: number;
}

/** A client and the one answer that it gets. */
export class StagedClient extends FakeDownstream {
  readonly exchange: Planned;
  readonly pieces: Buffer[] = [];
  isSlow: boolean;
  readonly #isHeld: boolean;
  /** How the answer ended. */
  end: "" | "whole" | "cut" = "";
  /** Runs at each piece. */
  onPiece: (() => void) | undefined;
  #head = "";
  readonly #pipeline: Pipeline;

  constructor(site: Site, pipeline: Pipeline, asking: Asking) {
    super(site, asking.tls === undefined ? {} : { tls: asking.tls });
    this.#pipeline = pipeline;
    this.isSlow = asking.isSlow ?? false;
    this.#isHeld = asking.isHeld ?? false;
    const exchange = new Exchange(this) as Planned;
    this.exchange = exchange;
    exchange.method = asking.method ?? "GET";
    exchange.rawTarget = asking.target ?? "/x";
    const lines = ["Host: a.test", ...(asking.lines ?? [])].map((line) => `${line}\r\n`);
    exchange.requestFields = fieldsOfLines(lines.join(""));
    exchange.isRequestComplete = true;
    exchange.acceptedAtMs = clock.nowMs;
    exchange.startedAtMs = clock.nowMs;
  }

  get status(): number {
    return this.exchange.sentStatus;
  }

  get text(): string {
    return Buffer.concat(this.pieces).toString("latin1");
  }

  /** Field lines of the answer. */
  get head(): string {
    return this.#head;
  }

  override sendHead(exchange: Exchange, isEnd = false): boolean {
    if (exchange.isHeadSent) throw new Error("a second head");
    super.sendHead(exchange);
    this.#head = exchange.responseFields.linesWithout(0, 0) + exchange.sentAdded;
    const { first, firstStart, firstEnd } = exchange;
    exchange.first = undefined;
    if (first !== undefined && exchange.sentBodyKind !== BODY_NONE)
      this.#take(first.subarray(firstStart, firstEnd));
    if (isEnd) this.#ended();
    return !this.isSlow;
  }

  override sendBody(exchange: Exchange, bytes: Buffer): boolean {
    super.sendBody(exchange, bytes);
    this.#take(bytes);
    if (!exchange.isBodyShared) bytes.fill(0x21); // whoever else reads this memory will see it
    return !this.isSlow;
  }

  override sendEnd = () => {
    this.calls.push("end");
    this.#ended();
    return undefined;
  };

  override abort = () => {
    this.end = "cut";
    return undefined;
  };

  #take(bytes: Buffer): void {
    if (this.end !== "") throw new Error("bytes after the end");
    this.exchange.bytesSent += bytes.length;
    this.pieces.push(Buffer.from(bytes));
    this.onPiece?.();
  }

  #ended(): void {
    this.end = "whole";
    this.exchange.isResponseComplete = true;
    if (!this.#isHeld) this.flush();
  }

  /** Its answer is out. */
  flush(): void {
    this.#pipeline.responseSent(this.exchange);
  }

  /** Takes bytes again. */
  drain(isSlow = false): void {
    this.isSlow = isSlow;
    this.#pipeline.downstreamDrained(this.exchange);
  }

  leave(): void {
    this.#pipeline.downstreamFailed(this.exchange, fail("downstream_closed"));
  }
}

/** What an endpoint was asked, to be answered by the test. */
export class Asked implements Upstream {
  readonly exchange: Planned;
  isPaused = false;
  isCancelled = false;
  readonly #pipeline: Pipeline;

  constructor(exchange: Planned, pipeline: Pipeline) {
    this.exchange = exchange;
    this.#pipeline = pipeline;
    exchange.upstream = this;
    exchange.sentAtMs = clock.nowMs;
  }

  /** Field lines as the endpoint gets them. */
  get lines(): string {
    const { exchange } = this;
    return (
      exchange.requestFields.linesWithout(exchange.upstreamDropLow, exchange.upstreamDropHigh) +
      exchange.upstreamAdded
    );
  }

  /** A head; with `body` the answer is complete. */
  answer(status: number, lines: readonly string[], body?: string): void {
    const { exchange } = this;
    const length = lines.find((line) => line.startsWith("Content-Length: "))?.slice(16);
    exchange.status = status;
    exchange.reason = "OK";
    exchange.respondedAtMs = clock.nowMs;
    exchange.responseFields = fieldsOfLines(lines.map((line) => `${line}\r\n`).join(""));
    exchange.responseBodyKind = length !== undefined || body !== undefined ? BODY_LENGTH : BODY_STREAM;
    if (status === 304 || exchange.method === "HEAD") exchange.responseBodyKind = BODY_NONE;
    exchange.responseBodyLength = body?.length ?? Number(length ?? -1);
    if (body !== undefined) {
      exchange.first = Buffer.from(body, "latin1");
      exchange.firstStart = 0;
      exchange.firstEnd = exchange.first.length;
      exchange.upstream = undefined;
    }
    this.#pipeline.response(exchange, body !== undefined);
    exchange.responseFields = fieldsOfLines("X-Gone: the connection has other work\r\n");
  }

  send(bytes: string | Buffer): void {
    if (this.isCancelled) return;
    const own = typeof bytes === "string" ? Buffer.from(bytes, "latin1") : Buffer.from(bytes);
    this.#pipeline.responseBody(this.exchange, own);
    own.fill(0x3f); // it was the reader's
  }

  end(): void {
    if (this.isCancelled) return;
    this.exchange.upstream = undefined;
    this.#pipeline.responseEnd(this.exchange, "");
  }

  fail(code: FailureCode): void {
    if (this.isCancelled) return;
    this.exchange.upstream = undefined;
    this.#pipeline.upstreamFailed(this.exchange, fail(code));
  }

  interim(status: number, lines: string): void {
    this.#pipeline.interim(this.exchange, status, fieldsOfLines(lines));
  }

  sendBody(): boolean {
    return true;
  }

  sendEnd(): void {
    // what the cache asks has no body
  }

  pauseResponse(): void {
    this.isPaused = true;
  }

  resumeResponse(): void {
    this.isPaused = false;
  }

  cancel(): void {
    this.isCancelled = true;
  }
}

export interface StageSettings {
  readonly policy?: Partial<CachePolicy>;
  readonly route?: Partial<Route>;
  readonly retry?: Partial<RetryConfig>;
  readonly memoryBytes?: number;
  /** No place for large bodies. */
  readonly hasNoFiles?: boolean;
}

export class CacheStage {
  readonly services: FakeServices;
  readonly pipeline: Pipeline;
  readonly store: MemoryStore;
  readonly files = new CountedFiles();
  readonly asked: Asked[] = [];
  readonly clients: StagedClient[] = [];
  readonly purged: string[] = [];
  readonly #site: Site;
  /** The next request to an endpoint fails at once, in the middle of the phase. */
  failsAtOnce: FailureCode | undefined;

  constructor(settings: StageSettings = {}) {
    const memory = privateMemory(
      { ...SIZES, memoryBytes: settings.memoryBytes ?? SIZES.memoryBytes },
      [1, 2],
      (bytes) => new BufferArena(bytes),
    );
    this.store = openMemoryStore(memory, {
      row: 0,
      files: settings.hasNoFiles === true ? undefined : this.files,
    });
    const plain = fakeServices();
    this.services = {
      ...plain,
      ids: new RequestIds((bytes) => crypto.getRandomValues(bytes)),
      counters: new Float64Array(CACHE_SLOT + CACHE.slots),
      epochMs: Date.now() - clock.nowMs,
      cache: this.store,
      resume: run,
      purgeFrom: new CidrSet(["203.0.113.9"]),
      purge: (scope) => {
        this.store.board.purge(scope, false);
        this.purged.push(JSON.stringify(scope));
        return Promise.resolve(undefined);
      },
    };
    this.pipeline = new Pipeline(this.services as PipelineServices);
    const policy = { ...PLAIN, maxBytes: 1024 * MIB, ...settings.policy };
    const route = this.#routeOf(policy, settings.route);
    this.#site = fakeSite([route], { keyPolicies: [policy.key] });
  }

  #routeOf(policy: CachePolicy, parts: Partial<Route> = {}): Route {
    const pool = { send: (exchange: Planned) => this.#send(exchange) };
    const group = {
      name: "app",
      endpoints: [{ name: "e0", pool: pool as never }],
      isHttp2: false,
      chooser: { choose: () => 0, hasRoom: () => true, stickyLine: () => "" },
    };
    return fixedRoute({
      name: "site",
      cacheSlot: CACHE_SLOT,
      cache: { route: "site", policy, keysPort: false, isPlainKey: true },
      action: { kind: "proxy", upstreams: [group], split: { pick: () => 0 } as never },
      ...parts,
    });
  }

  #send(exchange: Planned): boolean {
    const code = this.failsAtOnce;
    this.failsAtOnce = undefined;
    if (code !== undefined) {
      this.pipeline.upstreamFailed(exchange, fail(code));
      return false;
    }
    this.asked.push(new Asked(exchange, this.pipeline));
    return true;
  }

  ask(asking: Asking = {}): StagedClient {
    const client = new StagedClient(this.#site, this.pipeline, asking);
    if (asking.withinMs !== undefined) {
      client.exchange.requestFields.add("X-Request-Timeout", String(asking.withinMs));
      client.exchange.requestFields = fieldsOfLines(client.exchange.requestFields.linesWithout(0, 0));
    }
    this.clients.push(client);
    this.pipeline.request(client.exchange);
    return client;
  }

  /** The request to an endpoint with this number. */
  at(index: number): Asked {
    const asked = this.asked[index];
    if (asked === undefined) throw new Error(`only ${this.asked.length} requests reached the endpoint`);
    return asked;
  }

  metric(offset: number): number {
    return this.services.counters[CACHE_SLOT + offset] as number;
  }

  routeMetric(offset: number): number {
    return this.services.counters[ROUTE_SLOT + offset] as number;
  }

  failures(): number {
    const at = WORKER.at.failures;
    return this.services.counters.subarray(at, at + 100).reduce((sum, count) => sum + count, 0);
  }

  /** What must be left when all is over: nothing. */
  leftovers() {
    const { services, files } = this;
    return {
      budget: services.budget.usedBytes,
      readers: files.openReaders,
      active: this.routeMetric(ROUTE.at.active),
      open: this.clients.filter(({ exchange }) => !exchange.isOver).length,
      fetching: this.asked.filter(({ exchange }) => !exchange.isOver).length,
      reported: services.reported,
    };
  }
}

export const NOTHING_LEFT = { budget: 0, readers: 0, active: 0, open: 0, fetching: 0, reported: [] };
