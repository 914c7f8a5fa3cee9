/**
 * Upstream pool: the connections of this worker to one endpoint: lease, keep, age out, count.
 *
 * why    a pool belongs to an endpoint, not to a configuration: a reload that leaves the endpoint alone
 *        leaves its connections alone
 * shape  idle connections are a stack: the one used last is the least likely to have gone stale
 * rule   `settings.idle` idle connections stay, each at most `idleTimeoutMs` idle and `maxAgeMs` old; those beyond stay
 *        a moment: requests that come in bursts, as one HTTP/2 client sends them, would open and close them each time
 */
import { PeakEwma } from "../balance/latency.ts";
import { type Failure, fail } from "../core/failure.ts";
import { observe } from "../observe/histogram.ts";
import { ENDPOINT } from "../observe/metrics.table.ts";
import { clock } from "../transport/clock.ts";
import { type DialAddress, dial } from "../transport/dial.ts";
import { type Offer, TlsDialer, type TlsSettings } from "../transport/dial-tls.ts";
import type { RawSocket } from "../transport/wire.ts";
import type { EndpointWatcher } from "./endpoint-account.ts";
import type { Exchange } from "./exchange.ts";
import { type ClientOwner, H1Client } from "./h1-client.ts";
import type { H2Client } from "./h2-client.ts";
import { H2Pool, type H2PoolOwner } from "./h2-pool.ts";
import type { PoolServices } from "./services.ts";

export interface PoolSettings {
  readonly idle: number;
  readonly idleTimeoutMs: number;
  readonly maxAgeMs: number;
  /** Makes the header that opens each connection, or undefined when none is sent. */
  readonly proxyHeader: ((exchange: Exchange) => Buffer) | undefined;
  readonly protocol: "h1" | "h2" | "h2c" | "auto";
  /** undefined = plain text. */
  readonly tls: TlsSettings | undefined;
}

/** How connections are made; with another word or another certificate, those made before are used up. */
interface Terms {
  readonly protocol: PoolSettings["protocol"];
  readonly tls: TlsDialer | undefined;
}

function termsOf({ protocol, tls }: PoolSettings): Terms {
  return { protocol, tls: tls === undefined ? undefined : new TlsDialer(tls) };
}

function isSameTerms({ protocol, tls }: Terms, next: PoolSettings): boolean {
  const now = tls?.settings;
  return (
    protocol === next.protocol &&
    now?.context === next.tls?.context &&
    now?.serverName === next.tls?.serverName &&
    now?.verify === next.tls?.verify
  );
}

/**
 * Connections being made at once to one endpoint: a blackhole must not eat all descriptors. One that nobody waits for
 * any more counts too, as it cannot be called off: the kernel gives up after two minutes.
 */
const MAX_CONNECTING = 1024;
/** A slow answer counts half after this long. */
const LATENCY_HALF_LIFE_MS = 5000;
/** How long an idle connection beyond `settings.idle` waits for the next burst. */
const SURPLUS_MS = 1000;
const AT = ENDPOINT.at;

export class EndpointPool implements ClientOwner, H2PoolOwner {
  readonly services: PoolServices;
  /** First slot of the endpoint's block in the counter row. */
  slot: number;
  /** Hears how attempts go; undefined = nobody does. */
  watcher: EndpointWatcher | undefined;
  #settings: PoolSettings;
  #terms: Terms;
  #addresses: readonly DialAddress[] = [];
  #known: ReadonlySet<string> = new Set();
  #nextAddress = 0;
  #idle: H1Client[] = [];
  readonly #h2 = new H2Pool(this);
  /** HTTP/1.1 connections that are open, busy or idle. */
  #h1Open = 0;
  /** `auto`: the endpoint chose HTTP/1.1 when it was last asked. */
  #isH1Chosen = false;
  #dialling = 0;
  #latency: PeakEwma | undefined;
  #isRetired = false;

  constructor(services: PoolServices, slot: number, settings: PoolSettings) {
    this.services = services;
    this.slot = slot;
    this.#settings = settings;
    this.#terms = termsOf(settings);
  }

  /** Connections that were made in another way end, busy ones after their exchange. */
  configure(settings: PoolSettings): void {
    this.#settings = settings;
    if (isSameTerms(this.#terms, settings)) return;
    this.#terms = termsOf(settings);
    this.#isH1Chosen = false;
    for (const client of [...this.#idle]) client.retire();
    this.#h2.review();
  }

  get addressCount(): number {
    return this.#addresses.length;
  }

  get idleCount(): number {
    return this.#idle.length + this.#h2.restingCount;
  }

  /** Addresses to connect to from now on; connections to others end, busy ones after their exchange. */
  setAddresses(addresses: readonly DialAddress[]): void {
    this.#addresses = addresses;
    this.#known = new Set(addresses.map(nameOf));
    for (const client of [...this.#idle]) if (!this.#known.has(client.address)) client.retire();
    this.#h2.review();
  }

  /**
   * Sends the exchange on an idle connection, or makes one.
   * out  true when the head is on its way: body bytes may follow at once; else `upstreamReady` will tell
   */
  send(exchange: Exchange, mayReuse: boolean): boolean {
    this.#add(AT.requests, 1);
    this.#add(AT.active, 1);
    if (this.#isForH2(exchange)) return this.#h2.send(exchange, mayReuse);
    const client = mayReuse ? this.#lease() : undefined;
    if (client !== undefined) {
      client.send(exchange);
      return true;
    }
    this.#connect(exchange);
    return false;
  }

  #isForH2({ upgrade }: Exchange): boolean {
    const { protocol, tls } = this.#terms;
    if (protocol === "h1") return false;
    if (protocol !== "auto") return true;
    // an endpoint that changed its mind is asked again once no connection of the old kind is left
    return tls !== undefined && upgrade === "" && !(this.#isH1Chosen && this.#h1Open > 0);
  }

  #lease(): H1Client | undefined {
    for (let client = this.#idle.pop(); client !== undefined; client = this.#idle.pop()) {
      this.#add(AT.pooled, -1);
      if (client.mayTake) return client;
    }
    return undefined;
  }

  #connect(exchange: Exchange): void {
    const obstacle = this.obstacle();
    if (obstacle === undefined) this.dial(this.#newClient(exchange));
    else this.failed(exchange, obstacle, this.#addresses.length > 0);
  }

  #newClient(exchange: Exchange): H1Client {
    exchange.connectStartedAtMs = clock.nowMs;
    const client = new H1Client(this, exchange);
    client.preface = this.proxyHeader(exchange);
    client.terms = this.#terms;
    exchange.upstream = client;
    return client;
  }

  obstacle(): Failure | undefined {
    if (this.#addresses.length === 0) return fail("name_unresolved");
    if (this.#dialling >= MAX_CONNECTING)
      return fail("connect_refused", "too many connections are being made");
    return this.services.sockets.mayOpen()
      ? undefined
      : fail("too_many_connections", "no descriptor is left for another");
  }

  /** On `socket`, which `made` found to speak HTTP/1.1, or on a connection of its own. */
  sendH1(exchange: Exchange, made?: H2Client, socket?: RawSocket): void {
    this.#isH1Chosen = true;
    if (made === undefined || socket === undefined) {
      this.#connect(exchange);
      return;
    }
    const { connectStartedAtMs } = exchange;
    const client = this.#newClient(exchange);
    exchange.connectStartedAtMs = connectStartedAtMs;
    client.address = made.address;
    client.terms = made.terms;
    client.secured = made.secured;
    if (made.secured !== undefined) made.secured.session = client;
    client.onOpen(socket);
  }

  /** Tries the next address of the endpoint: the one behind that which refused, whatever others try meanwhile. */
  dial(client: H1Client | H2Client): void {
    this.#dialling++;
    this.services.sockets.openCount++;
    const refused = this.#addresses.findIndex((address) => nameOf(address) === client.address);
    const next = ((refused === -1 ? this.#nextAddress : refused) + 1) % this.#addresses.length;
    if (refused === -1) this.#nextAddress = next;
    const address = this.#addresses[next] as DialAddress;
    client.address = nameOf(address);
    client.secured = dial(address, client, { tls: this.#terms.tls, offer: this.#offerOf(client) });
  }

  #offerOf(client: H1Client | H2Client): Offer {
    if (client instanceof H1Client) return "h1";
    return this.#terms.protocol === "auto" ? "both" : "h2";
  }

  proxyHeader(exchange: Exchange): Buffer | undefined {
    return this.#settings.proxyHeader?.(exchange);
  }

  get limits(): PoolSettings {
    return this.#settings;
  }

  get scheme(): "http" | "https" {
    return this.#terms.tls === undefined ? "http" : "https";
  }

  get terms(): unknown {
    return this.#terms;
  }

  isKnown(address: string): boolean {
    return !this.#isRetired && this.#known.has(address);
  }

  // ── what connections report ──

  /** A dial has ended, one way or the other. */
  dialled(): void {
    this.#dialling--;
  }

  /** A dialled socket is closed, or was never opened. */
  socketGone(): void {
    this.services.sockets.openCount--;
  }

  connected(startedAtMs: number): void {
    this.#h1Open++;
    this.connectedH2(startedAtMs);
  }

  connectedH2(startedAtMs: number): void {
    this.#add(AT.connects, 1);
    this.#add(AT.open, 1);
    observe(this.services.counters, this.slot + AT.connectTime, clock.nowMs - startedAtMs);
  }

  /** Latency is kept from now on: somebody chooses by it. */
  watchLatency(): void {
    this.#latency ??= new PeakEwma(LATENCY_HALF_LIFE_MS);
  }

  /** How long the endpoint takes to answer, as this worker sees it; 0 = nothing seen. */
  get latencyMs(): number {
    return this.#latency?.at(clock.nowMs) ?? 0;
  }

  responded(exchange: Exchange): void {
    this.#latency?.add(exchange.respondedAtMs - exchange.sentAtMs, clock.nowMs);
    this.watcher?.responded(exchange);
    if (exchange.status >= 500) this.#add(AT.status5xx, 1);
    observe(this.services.counters, this.slot + AT.firstByte, exchange.respondedAtMs - exchange.sentAtMs);
  }

  /** An exchange is through with its connection: complete, or called off. */
  finished(isComplete = false): void {
    this.#add(AT.active, -1);
    this.watcher?.finished(isComplete);
  }

  failed(exchange: Exchange, failure: Failure, wasConnecting: boolean): void {
    this.#add(AT.active, -1);
    this.#add(wasConnecting ? AT.connectErrors : AT.errors, 1);
    this.watcher?.failed(exchange, failure, wasConnecting);
    this.services.events.upstreamFailed(exchange, failure);
  }

  /** A connection offers itself for reuse. out  false when it must be closed instead */
  keep(client: H1Client): boolean {
    const { idle, idleTimeoutMs, maxAgeMs } = this.#settings;
    if (this.#isRetired || client.terms !== this.#terms) return false;
    if (idle === 0 || !this.#known.has(client.address)) return false;
    if (maxAgeMs > 0 && clock.nowMs - client.openedAtMs >= maxAgeMs) return false;
    const isSurplus = this.#idle.length >= idle;
    this.#idle.push(client);
    this.#add(AT.pooled, 1);
    client.rest(isSurplus ? Math.min(SURPLUS_MS, idleTimeoutMs) : idleTimeoutMs);
    return true;
  }

  /** A socket is gone. */
  closed(client: H1Client, wasIdle: boolean): void {
    this.#h1Open--;
    this.#add(AT.open, -1);
    if (wasIdle) this.forget(client);
  }

  closedH2(): void {
    this.#add(AT.open, -1);
  }

  pooled(change: number): void {
    this.#add(AT.pooled, change);
  }

  /** Takes an idle connection out of the pool. */
  forget(client: H1Client): void {
    const index = this.#idle.lastIndexOf(client);
    if (index === -1) return;
    this.#idle.splice(index, 1);
    this.#add(AT.pooled, -1);
  }

  /** Closes the connection that has been idle longest. out  false when none is idle */
  dropIdle(): boolean {
    const [oldest] = this.#idle;
    oldest?.retire();
    return oldest !== undefined || this.#h2.dropIdle();
  }

  /** The endpoint left the configuration: idle connections close, busy ones after their exchange. */
  retire(): void {
    this.#isRetired = true;
    for (const client of [...this.#idle]) client.retire();
    this.#h2.review();
  }

  #add(offset: number, amount: number): void {
    const { counters } = this.services;
    const at = this.slot + offset;
    counters[at] = (counters[at] as number) + amount;
  }
}

function nameOf(address: DialAddress): string {
  return "unix" in address ? address.unix : `${address.ip} ${address.port}`;
}
