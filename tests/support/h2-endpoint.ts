/**
 * HTTP/2 endpoint: a server that says exactly these frames, the pool that talks to it, and notes of what the pool told.
 */
import { afterEach } from "bun:test";
import { BODY_STREAM } from "../../src/core/body.ts";
import type { Failure } from "../../src/core/failure.ts";
import { type Fields, fieldsOfLines } from "../../src/core/fields.ts";
import { ENDPOINT } from "../../src/observe/metrics.table.ts";
import type { Exchange, UpstreamEvents } from "../../src/session/exchange.ts";
import { EndpointPool, type PoolSettings } from "../../src/session/upstream-pool.ts";
import { SocketBudget } from "../../src/transport/socket-budget.ts";
import { Wheel } from "../../src/transport/timers.ts";
import { BufferBudget } from "../../src/transport/wire.ts";
import { fakeExchange } from "./fake-exchange.ts";
import * as wire from "./h2-frames.ts";
import { Origin, type OriginConnection } from "./origin.ts";

const { FRAME } = wire;

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** What became of one exchange, in place of the pipeline. */
export class Note {
  readonly told: string[] = [];
  /** Bytes of body, with those that came with the head. */
  bodyBytes = 0;
  isReady = false;
  isWritable = false;
  failure: Failure | undefined;
  isDone = false;
}

/** A client that is slow pauses the response at each piece. */
export class Notes implements UpstreamEvents {
  readonly byExchange = new Map<Exchange, Note>();
  isSlow = false;

  of(exchange: Exchange): Note {
    const known = this.byExchange.get(exchange) ?? new Note();
    this.byExchange.set(exchange, known);
    return known;
  }

  get done(): number {
    return [...this.byExchange.values()].filter(({ isDone }) => isDone).length;
  }

  get failures(): string[] {
    return [...this.byExchange.values()].flatMap(({ failure }) =>
      failure === undefined ? [] : failure.code,
    );
  }

  upstreamReady(exchange: Exchange): void {
    this.of(exchange).isReady = true;
  }
  interim = (exchange: Exchange, status: number, fields: Fields) =>
    void this.of(exchange).told.push(`${status} ${fields.linesWithout(0, 0).trim()}`);
  response(exchange: Exchange, isEnd: boolean): void {
    const note = this.of(exchange);
    const { first, firstStart, firstEnd } = exchange;
    note.told.push(`${exchange.status} ${first?.latin1Slice(firstStart, firstEnd) ?? ""}${isEnd ? "." : ""}`);
    note.bodyBytes += first === undefined ? 0 : firstEnd - firstStart;
    exchange.first = undefined;
    note.isDone ||= isEnd;
    if (this.isSlow) exchange.upstream?.pauseResponse();
  }
  responseBody(exchange: Exchange, bytes: Buffer): void {
    const note = this.of(exchange);
    note.bodyBytes += bytes.length;
    if (bytes.length < 100) note.told.push(bytes.toString("latin1"));
    if (this.isSlow) exchange.upstream?.pauseResponse();
  }
  responseEnd(exchange: Exchange, trailers: string): void {
    this.of(exchange).told.push(`end ${trailers}`.trim());
    this.of(exchange).isDone = true;
  }
  upstreamDrained(exchange: Exchange): void {
    this.of(exchange).isWritable = true;
  }
  upstreamFailed(exchange: Exchange, failure: Failure): void {
    this.of(exchange).failure = failure;
    this.of(exchange).told.push(failure.code);
  }
}

export const SETTINGS: PoolSettings = {
  idle: 4,
  idleTimeoutMs: 60_000,
  maxAgeMs: 0,
  proxyHeader: undefined,
  protocol: "h2c",
  tls: undefined,
};

/** An endpoint that is told frame by frame what to say. */
export class Endpoint {
  readonly connection: OriginConnection;
  readonly frames: wire.Frame[] = [];
  #rest: Buffer = Buffer.alloc(0);
  #isGreeted = false;

  constructor(connection: OriginConnection) {
    this.connection = connection;
  }

  read(text: string): void {
    const bytes = Buffer.from(text, "latin1");
    const all = Buffer.concat([this.#rest, bytes]);
    const from = this.#isGreeted ? 0 : wire.PREFACE.length;
    this.#isGreeted = true;
    const { frames, rest } = wire.takeFrames(all.subarray(from));
    this.#rest = Buffer.from(rest);
    this.frames.push(...frames);
  }

  send(...frames: readonly Buffer[]): void {
    this.connection.write(Buffer.concat(frames));
  }

  of(type: number): wire.Frame[] {
    return this.frames.filter((frame) => frame.type === type);
  }

  /** Streams asked for. */
  get asked(): number[] {
    return this.of(FRAME.headers).map(({ stream }) => stream);
  }
}

export interface Script {
  readonly settings?: readonly (readonly [number, number])[];
  /** Called for each read. */
  readonly said?: (endpoint: Endpoint, frames: readonly wire.Frame[]) => void;
}

export async function start({ settings = [], said }: Script = {}, pool: Partial<PoolSettings> = {}) {
  const endpoints: Endpoint[] = [];
  const origin = await Origin.start({
    open(connection) {
      endpoints.push(new Endpoint(connection));
      connection.write(wire.settings(...settings));
    },
    data(connection, text) {
      const endpoint = endpoints[connection.index] as Endpoint;
      const before = endpoint.frames.length;
      endpoint.read(text);
      said?.(endpoint, endpoint.frames.slice(before));
    },
  });
  ends.push(() => origin.stop());
  const made = poolFor({ ip: "127.0.0.1", port: origin.port }, pool);
  return { ...made, origin, endpoints };
}

export function poolFor(address: { ip: string; port: number }, settings: Partial<PoolSettings> = {}) {
  const events = new Notes();
  const services = {
    wheel: new Wheel(),
    budget: new BufferBudget(1e9),
    sockets: new SocketBudget(undefined),
    events,
    counters: new Float64Array(ENDPOINT.slots),
    onDefect: (defect: unknown) => {
      throw defect;
    },
  };
  const pool = new EndpointPool(services, 0, { ...SETTINGS, ...settings });
  pool.setAddresses([address]);
  ends.push(() => pool.retire());
  const count = (name: keyof typeof ENDPOINT.at) => services.counters[ENDPOINT.at[name]];
  return { pool, events, services, count };
}

export function request(parts: Partial<Exchange> = {}): Exchange {
  const { exchange } = fakeExchange();
  exchange.requestFields = fieldsOfLines("Host: a.test\r\n");
  exchange.upstreamMethod = "GET";
  exchange.upstreamTarget = "/";
  exchange.upstreamAdded = "X-Test: 1\r\n";
  exchange.timeouts = { connectMs: 5000, responseMs: 5000, idleMs: 5000 };
  return Object.assign(exchange, parts);
}

export const STREAMED = {
  upstreamMethod: "POST",
  requestBodyKind: BODY_STREAM,
  isRequestComplete: false,
} as const;

export const ok = (stream: number, body: string) => [
  wire.headers(stream, [[":status", "200"]], { end: false }),
  wire.data(stream, body, { end: true }),
];

/** Answers each request with its stream's number. */
export const answering: Script = {
  said: (endpoint, frames) =>
    endpoint.send(
      ...frames.filter(({ type }) => type === FRAME.headers).flatMap(({ stream }) => ok(stream, `${stream}`)),
    ),
};

/** What one exchange was told. */
export const told = (events: Notes, exchange: Exchange) => events.of(exchange).told;

export const head = (stream: number, fields: wire.FieldList, end = false) =>
  wire.headers(stream, fields, { end });
