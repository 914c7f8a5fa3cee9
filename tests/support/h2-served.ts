/**
 * Served: an HTTP/2 server session on a fake socket, whose client says exactly these frames, at a time of its own.
 */
import { afterAll, beforeAll, spyOn } from "bun:test";
import { CidrSet } from "../../src/core/address.ts";
import { BODY_LENGTH, BODY_NONE } from "../../src/core/body.ts";
import { FAILURE_INDEX } from "../../src/core/failure.ts";
import { fieldsOfLines } from "../../src/core/fields.ts";
import { LISTENER, WORKER } from "../../src/observe/metrics.table.ts";
import { acceptOf } from "../../src/protocol/websocket-key.ts";
import type { DownstreamEvents, Exchange } from "../../src/session/exchange.ts";
import { H2Server } from "../../src/session/h2-server.ts";
import type { Listener } from "../../src/session/listener.ts";
import type { SessionServices } from "../../src/session/services.ts";
import { readClock } from "../../src/transport/clock.ts";
import { SocketBudget } from "../../src/transport/socket-budget.ts";
import { Wheel } from "../../src/transport/timers.ts";
import { BufferBudget } from "../../src/transport/wire.ts";
import { FakeSocket } from "./fake-socket.ts";
import * as wire from "./h2-frames.ts";

const { FRAME, SETTING } = wire;
export const HEAD_MS = 1000;
export const BODY_MS = 3000;
export const IDLE_MS = 10_000;

let passedMs = 0;
const now = performance.now.bind(performance);

/** Time passes as the tests of this file say, besides by itself. */
export function useOwnTime(): void {
  let spy: { mockRestore(): void };
  beforeAll(() => {
    spy = spyOn(performance, "now").mockImplementation(() => now() + passedMs);
  });
  afterAll(() => {
    spy.mockRestore();
    passedMs = 0;
    readClock();
  });
}

/** Notes what the session tells, in place of the pipeline. */
class Notes implements DownstreamEvents {
  readonly told: string[] = [];
  readonly exchanges: Exchange[] = [];
  onRequest: (exchange: Exchange) => void = () => undefined;
  onBody: (exchange: Exchange) => void = () => undefined;
  onFailure: (exchange: Exchange, code: string) => void = () => undefined;
  request(exchange: Exchange): void {
    this.told.push(`request ${exchange.rawTarget}`);
    this.exchanges.push(exchange);
    this.onRequest(exchange);
  }
  requestBody(exchange: Exchange, bytes: Buffer): void {
    this.told.push(`body ${bytes.length}`);
    this.onBody(exchange);
  }
  requestEnd = (_exchange: Exchange, trailers: string) => void this.told.push(`end ${trailers}`.trim());
  downstreamDrained = () => void this.told.push("drained");
  responseSent = () => void this.told.push("sent");
  downstreamFailed(exchange: Exchange, failure: { readonly code: string }): void {
    this.told.push(failure.code);
    this.onFailure(exchange, failure.code);
  }
  get last(): Exchange {
    return this.exchanges.at(-1) as Exchange;
  }
}

/** Counts its writes. */
class CountingSocket extends FakeSocket {
  writes = 0;
  override write(data: string | Uint8Array, offset?: number | "latin1", length?: number): number {
    this.writes++;
    return super.write(data, offset, length);
  }
}

interface Setup {
  readonly limits?: Partial<Listener["limits"]>;
  readonly http2?: Partial<Listener["http2"]>;
  /** Settings that the client sends first. */
  readonly settings?: readonly (readonly [id: number, value: number])[];
}

function listenerOf({ limits, http2 }: Setup): Listener {
  return {
    name: "web",
    limits: {
      connections: 10,
      requestHeadBytes: 4096,
      headers: 50,
      bodyBytes: 0,
      requestsPerConnection: 0,
      ...limits,
    },
    timeouts: { handshakeMs: 1000, headMs: HEAD_MS, bodyMs: BODY_MS, idleMs: IDLE_MS },
    trustedProxies: new CidrSet([]),
    proxyProtocolFrom: new CidrSet([]),
    protocols: ["h2"],
    http2: {
      maxStreams: 100,
      streamWindowBytes: 65_535,
      connectionWindowBytes: 1 << 20,
      extendedConnect: true,
      ...http2,
    },
    tls: undefined,
    slot: WORKER.slots,
    site: undefined,
    isLeaving: false,
  };
}

/** A connection that has not said a word yet. */
export function connected(setup: Setup = {}) {
  const events = new Notes();
  const socket = new CountingSocket();
  const listener = listenerOf(setup);
  const services: SessionServices = {
    wheel: new Wheel(),
    budget: new BufferBudget(1e9),
    sockets: new SocketBudget(undefined),
    events,
    counters: new Float64Array(WORKER.slots + LISTENER.slots),
    workerSlot: 0,
    isDraining: false,
  };
  const client = { ip: "127.0.0.1", port: 1, localPort: 2, localIp: "127.0.0.1", tls: undefined };
  readClock();
  const server = new H2Server(socket, listener, client, services);
  let seen = 0;
  return {
    server,
    socket,
    listener,
    services,
    events,
    send: (...frames: readonly Uint8Array[]) => server.onData(Buffer.concat(frames)),
    /** Frames of exchanges that were written since the last look. */
    said: (): wire.Frame[] => {
      server.flush();
      const { frames, rest } = wire.takeFrames(Buffer.from(socket.written.slice(seen), "latin1"));
      seen = socket.written.length - rest.length;
      return frames;
    },
    /** Lets so much time pass for the wheel. */
    pass: (ms: number) => {
      passedMs += ms;
      services.wheel.advance(readClock());
    },
    count: (code: Parameters<typeof FAILURE_INDEX.get>[0]) =>
      services.counters[WORKER.at.failures + (FAILURE_INDEX.get(code) as number)],
  };
}

/** A connection that both sides have opened. */
export function open(setup: Setup = {}) {
  const peers = connected(setup);
  peers.send(wire.PREFACE, wire.settings([SETTING.headerTableSize, 0], ...(setup.settings ?? [])));
  peers.said();
  return peers;
}

export const get = (id: number, path = "/") => wire.headers(id, fieldsOf("GET", path));
export const post = (id: number, more: wire.FieldList = []) =>
  wire.headers(id, [...fieldsOf("POST", "/"), ...more], { end: false });
export const webSocket = (id: number, end = false) =>
  wire.headers(id, [[":protocol", "websocket"], ...fieldsOf("CONNECT", "/chat")], { end });

export function fieldsOf(method: string, path: string): wire.FieldList {
  return [
    [":method", method],
    [":scheme", "http"],
    [":path", path],
    [":authority", "a.test"],
  ];
}

/** Sends a whole answer with a body of so many bytes. */
export function answer(exchange: Exchange, bytes = 0, status = 200): void {
  exchange.sentStatus = status;
  exchange.sentBodyKind = bytes === 0 ? BODY_NONE : BODY_LENGTH;
  exchange.first = Buffer.alloc(bytes);
  exchange.firstStart = 0;
  exchange.firstEnd = bytes;
  exchange.downstream.sendHead(exchange, true);
}

/** The key that an endpoint is asked with, or "". */
export function keyOf({ requestFields }: Exchange): string {
  return /^sec-websocket-key: ([^\r]*)/im.exec(requestFields.added)?.[1] ?? "";
}

/** The endpoint's 101 for the key that it was asked with. */
export function agree(exchange: Exchange, accept = acceptOf(keyOf(exchange))): void {
  exchange.sentStatus = 101;
  exchange.sentAdded = "Date: now\r\n";
  exchange.responseFields = fieldsOfLines(`Sec-WebSocket-Accept: ${accept}\r\n`);
  exchange.downstream.sendSwitch(exchange);
}

const NAMES = [
  "data",
  "headers",
  "priority",
  "reset",
  "settings",
  "push",
  "ping",
  "goaway",
  "window",
  "continuation",
];

/** Frames in short: `headers 1 200`, `data 1 5 end`, `reset 1 0`, `goaway 3 0`. */
export function short(frames: readonly wire.Frame[]): string[] {
  return frames.map(({ type, flags, stream, payload }) => {
    const end = (flags & 1) === 1 && (type === FRAME.data || type === FRAME.headers) ? " end" : "";
    if (type === FRAME.headers) return `headers ${stream} ${wire.statusOf(payload)}${end}`;
    if (type === FRAME.data) return `data ${stream} ${payload.length}${end}`;
    if (type === FRAME.rstStream) return `reset ${stream} ${payload.readUInt32BE(0)}`;
    if (type === FRAME.goaway) return `goaway ${payload.readUInt32BE(0)} ${payload.readUInt32BE(4)}`;
    return `${NAMES[type]} ${stream}`;
  });
}
