/**
 * HTTP/2 pool: the connections to one endpoint that carry many exchanges each, and the exchanges that wait for one.
 *
 * why    exchanges that come while a connection is being made wait for it: a burst costs one handshake, not one each
 * rule   the first connection with room is used, so that what is not needed any more goes idle and ends; a new one is
 *        made when those there are, and those being made, are full
 * bound  MAX_CONNECTIONS connections; MAX_WAITING exchanges, each for its connect time-out
 * spec   RFC 9113 §5.1.2, §9.1
 */
import { type Failure, type FailureCode, fail } from "../core/failure.ts";
import { clock } from "../transport/clock.ts";
import type { Timed } from "../transport/timers.ts";
import type { RawSocket } from "../transport/wire.ts";
import type { EndpointAccount } from "./endpoint-account.ts";
import type { Exchange, Upstream } from "./exchange.ts";
import { H2Client, type H2ClientOwner } from "./h2-client.ts";

const MAX_CONNECTIONS = 256;
const MAX_WAITING = 16_384;
const NEVER = Number.POSITIVE_INFINITY;

/** The endpoint's pool, as this part of it sees it. */
export interface H2PoolOwner extends EndpointAccount {
  readonly limits: { readonly idle: number; readonly idleTimeoutMs: number; readonly maxAgeMs: number };
  readonly scheme: "http" | "https";
  /** How connections are made now. */
  readonly terms: unknown;
  /** Why no connection can be made now. */
  obstacle(): Failure | undefined;
  dial(client: H2Client): void;
  isKnown(address: string): boolean;
  /** The PROXY header that opens a connection for this exchange alone, if one is sent. */
  proxyHeader(exchange: Exchange): Buffer | undefined;
  /** The endpoint speaks HTTP/1.1: `socket`, which `made` has opened, is for the first exchange that waits. */
  sendH1(exchange: Exchange, made?: H2Client, socket?: RawSocket): void;
  /** Connections that wait for an exchange have become more or fewer. */
  pooled(change: number): void;
  connectedH2(startedAtMs: number): void;
  /** A connection that was open is closed. */
  closedH2(): void;
}

/** An exchange that waits for a connection. */
class Waiting implements Upstream, Timed {
  deadlineMs = NEVER;
  wheelTick = 0;
  wheelIndex = 0;
  readonly exchange: Exchange;
  /** Only a connection made after this one will do; 0 = any. */
  readonly after: number;
  readonly #pool: H2Pool;

  constructor(pool: H2Pool, exchange: Exchange, after: number) {
    this.#pool = pool;
    this.exchange = exchange;
    this.after = after;
  }

  sendBody(): boolean {
    return false; // the request's body is paused until `upstreamReady`
  }
  sendEnd(): void {
    // likewise
  }
  pauseResponse(): void {
    // there is none
  }
  resumeResponse(): void {
    // there is none
  }
  cancel(): void {
    this.#pool.calledOff(this);
  }
  expire(): void {
    this.#pool.expired(this);
  }
}

export class H2Pool implements H2ClientOwner {
  readonly #owner: H2PoolOwner;
  /** In the order they were made. */
  readonly #clients: H2Client[] = [];
  readonly #waiting = new Set<Waiting>();
  /** Connections for one exchange each. */
  readonly #reserved = new Map<H2Client, Waiting>();
  #connecting = 0;
  #made = 0;
  /** Number of the newest connection that was open once. */
  #newest = 0;
  /** Streams that the endpoint took on a connection when it last said. */
  #capacity = 100;

  constructor(owner: H2PoolOwner) {
    this.#owner = owner;
  }

  get services(): EndpointAccount["services"] {
    return this.#owner.services;
  }

  get addressCount(): number {
    return this.#owner.addressCount;
  }

  /** out  true when the head is on its way; else `upstreamReady` will tell */
  send(exchange: Exchange, mayReuse: boolean): boolean {
    const client = mayReuse ? this.#clientWithRoom() : undefined;
    if (client === undefined || !this.#mayServe(client, exchange)) this.#wait(exchange, mayReuse);
    else if (this.#sendOn(client, exchange)) return true;
    return false;
  }

  #clientWithRoom(): H2Client | undefined {
    for (const client of this.#clients) {
      if (client.room <= 0) continue;
      if (this.#isGood(client)) return client;
      client.retire();
    }
    return undefined;
  }

  /** Made as connections are made now, and not too old. */
  #isGood({ terms, address, openedAtMs }: H2Client): boolean {
    const { maxAgeMs } = this.#owner.limits;
    if (terms !== this.#owner.terms || !this.#owner.isKnown(address)) return false;
    return maxAgeMs === 0 || clock.nowMs - openedAtMs < maxAgeMs;
  }

  /** Whether a WebSocket may be asked for is known only once the endpoint has told its settings (RFC 8441 §3). */
  #mayServe(client: H2Client, { upgrade }: Exchange): boolean {
    return upgrade === "" || client.hasSettings;
  }

  // ── exchanges that wait ──

  #wait(exchange: Exchange, mayReuse: boolean): void {
    if (this.#waiting.size >= MAX_WAITING) {
      this.failed(exchange, fail("connect_refused", "too many exchanges wait for a connection"), true);
      return;
    }
    const isFull = this.#clients.length >= MAX_CONNECTIONS;
    const waiting = new Waiting(this, exchange, mayReuse || isFull ? 0 : this.#newest);
    exchange.upstream = waiting;
    exchange.connectStartedAtMs = clock.nowMs;
    const { connectMs } = exchange.timeouts;
    const deadline = connectMs > 0 ? clock.nowMs + connectMs : NEVER;
    this.services.wheel.schedule(waiting, Math.min(deadline, exchange.deadlineMs));
    const header = this.#owner.proxyHeader(exchange);
    if (header !== undefined) this.#dialFor(waiting, header);
    else {
      this.#waiting.add(waiting);
      this.#dialMore();
    }
  }

  /** Makes connections for those that wait, unless enough are being made. */
  #dialMore(): void {
    while (this.#waiting.size > this.#connecting * this.#capacity && this.#clients.length < MAX_CONNECTIONS) {
      const [first] = this.#waiting;
      const obstacle = this.#owner.obstacle();
      if (first === undefined || obstacle !== undefined) {
        if (obstacle !== undefined && this.#connecting === 0 && this.#clients.length === 0)
          this.#failAll(obstacle);
        return;
      }
      this.#connecting++;
      this.#dial(first.exchange);
    }
  }

  #dial(exchange: Exchange): H2Client {
    const client = new H2Client(this, this.#owner.scheme, exchange.timeouts.connectMs);
    client.terms = this.#owner.terms;
    client.number = ++this.#made;
    this.#clients.push(client);
    this.dial(client);
    return client;
  }

  /** A connection that speaks for one client carries nobody else's requests. */
  #dialFor(waiting: Waiting, header: Buffer): void {
    const obstacle = this.#owner.obstacle();
    if (obstacle !== undefined) {
      this.#leave(waiting);
      this.failed(waiting.exchange, obstacle, true);
      return;
    }
    const client = new H2Client(this, this.#owner.scheme, waiting.exchange.timeouts.connectMs);
    client.preface = header;
    client.terms = this.#owner.terms;
    this.#reserved.set(client, waiting);
    this.dial(client);
  }

  /** Takes an exchange out of the queue. */
  #leave(waiting: Waiting): void {
    this.#waiting.delete(waiting);
    this.services.wheel.forget(waiting);
    waiting.exchange.upstream = undefined;
  }

  #failAll(failure: Failure): void {
    for (const waiting of [...this.#waiting]) {
      if (!this.#waiting.has(waiting)) continue;
      this.#leave(waiting);
      this.failed(waiting.exchange, failure, true);
    }
  }

  calledOff(waiting: Waiting): void {
    this.#leave(waiting);
    this.#abandonReserved(waiting);
    this.finished();
  }

  expired(waiting: Waiting): void {
    const { exchange } = waiting;
    this.#leave(waiting);
    this.#abandonReserved(waiting);
    const isDeadline = clock.nowMs >= exchange.deadlineMs;
    this.failed(exchange, fail(isDeadline ? "request_timeout" : "connect_timeout"), true);
  }

  #abandonReserved(waiting: Waiting): void {
    for (const [client, reserved] of this.#reserved) {
      if (reserved !== waiting) continue;
      this.#reserved.delete(client);
      client.abandon();
    }
  }

  #fill(client: H2Client): void {
    for (const waiting of this.#waiting) {
      if (client.room <= 0) return;
      const isNewEnough = client.number > waiting.after;
      if (isNewEnough && this.#mayServe(client, waiting.exchange)) this.#serve(waiting, client);
    }
  }

  #serve(waiting: Waiting, client: H2Client): void {
    const { exchange } = waiting;
    this.#leave(waiting);
    exchange.connectedAtMs = clock.nowMs;
    if (this.#sendOn(client, exchange)) this.services.events.upstreamReady(exchange);
  }

  /** out  false when it failed, which is told */
  #sendOn(client: H2Client, exchange: Exchange): boolean {
    const isUpgrade = exchange.upgrade !== "";
    if (isUpgrade && !(client.takesWebSocket && exchange.upgrade === "websocket")) {
      this.failed(exchange, fail("upgrade_unsupported", exchange.upgrade), false);
      return false;
    }
    if (!client.send(exchange)) {
      this.failed(exchange, fail("stream_refused", "no stream number is left"), false);
      return false;
    }
    if (client.isResting) this.#wake(client);
    return true;
  }

  // ── what connections report ──

  dial(client: H2Client): void {
    this.#owner.dial(client);
  }
  dialled(): void {
    this.#owner.dialled();
  }
  socketGone(): void {
    this.#owner.socketGone();
  }
  connected(startedAtMs: number): void {
    this.#owner.connectedH2(startedAtMs);
  }
  responded(exchange: Exchange): void {
    this.#owner.responded(exchange);
  }
  finished(isComplete = false): void {
    this.#owner.finished(isComplete);
  }
  failed(exchange: Exchange, failure: Failure, wasConnecting: boolean): void {
    this.#owner.failed(exchange, failure, wasConnecting);
  }

  opened(client: H2Client): void {
    const reserved = this.#reserved.get(client);
    if (reserved !== undefined) {
      this.#reserved.delete(client);
      this.#serve(reserved, client);
      client.retire();
      return;
    }
    this.#connecting--;
    this.#newest = Math.max(this.#newest, client.number);
    this.#fill(client);
    this.#dialMore();
  }

  becameH1(client: H2Client, socket: RawSocket): void {
    const reserved = this.#reserved.get(client);
    if (reserved === undefined) this.#notMade(client);
    else this.#reserved.delete(client);
    const [first] = reserved === undefined ? this.#waiting : [reserved];
    if (first === undefined) {
      this.dialled();
      socket.terminate();
      return;
    }
    this.#leave(first);
    this.#owner.sendH1(first.exchange, client, socket);
    for (const waiting of [...this.#waiting]) {
      if (!this.#waiting.has(waiting)) continue;
      this.#leave(waiting);
      this.#owner.sendH1(waiting.exchange);
    }
  }

  notOpened(client: H2Client, code: FailureCode, detail: string): void {
    const reserved = this.#reserved.get(client);
    if (reserved !== undefined) {
      this.#reserved.delete(client);
      this.#leave(reserved);
      this.failed(reserved.exchange, fail(code, detail), true);
      return;
    }
    this.#notMade(client);
    // its own time is over before that of those who came later: they may have another try
    if (code === "connect_timeout") this.#dialMore();
    else if (this.#connecting === 0) this.#failAll(fail(code, detail));
  }

  #notMade(client: H2Client): void {
    this.#connecting--;
    this.#remove(client);
  }

  #remove(client: H2Client): void {
    const index = this.#clients.indexOf(client);
    if (index !== -1) this.#clients.splice(index, 1);
  }

  changed(client: H2Client): void {
    if (this.#waiting.size > 0) this.#fill(client);
    if (client.isOpen && client.hasSettings) this.#capacity = Math.max(1, client.capacity);
    const isIdle = client.isIdle && this.#clients.includes(client);
    if (isIdle === client.isResting) return;
    if (!isIdle) this.#wake(client);
    else if (this.#mayRest(client)) {
      client.isResting = true;
      this.#owner.pooled(1);
      client.restFor(this.#owner.limits.idleTimeoutMs);
    } else client.retire();
  }

  #wake(client: H2Client): void {
    client.isResting = false;
    this.#owner.pooled(-1);
    if (client.isOpen) client.restFor(0);
  }

  #mayRest(client: H2Client): boolean {
    return this.#isGood(client) && this.restingCount < this.#owner.limits.idle;
  }

  closed(client: H2Client): void {
    this.#remove(client);
    this.#owner.closedH2();
    this.#dialMore();
  }

  // ── what the endpoint's pool asks ──

  get restingCount(): number {
    return this.#clients.reduce((count, client) => count + (client.isResting ? 1 : 0), 0);
  }

  /** Ends the connections that are not as they should be any more, busy ones after their exchanges. */
  review(): void {
    for (const client of [...this.#clients]) if (client.isOpen && !this.#isGood(client)) client.retire();
  }

  /** Closes a connection that nobody uses. out  false when there is none */
  dropIdle(): boolean {
    const idle = this.#clients.find((client) => client.isResting);
    idle?.retire();
    return idle !== undefined;
  }
}
