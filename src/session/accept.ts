/**
 * Accept: a new connection becomes a session, or is refused.
 *
 * why    whether to take a connection at all, and who is on the other end, is settled before a protocol
 *        machine is built for it
 * rule   when limits.connections is reached the newest is told so and closed: those already open go on. A peer
 *        that must send a PROXY header sends it first, within timeouts.handshake, or is closed
 */
import { FAILURE_INDEX, type FailureCode } from "../core/failure.ts";
import { LISTENER, WORKER } from "../observe/metrics.table.ts";
import { type ProxyHeader, readProxyHeader } from "../protocol/proxy-line.ts";
import { clock, readClock } from "../transport/clock.ts";
import type { Timed } from "../transport/timers.ts";
import type { RawSocket, SocketSession } from "../transport/wire.ts";
import { type ClientAddress, H1Server } from "./h1-server.ts";
import type { Listener } from "./listener.ts";
import type { SessionServices } from "./services.ts";

/** What an accepted socket reports to, and what the worker may ask of it. */
export interface AcceptedSession extends SocketSession {
  /** Ends soon when idle, else after the answer under way. */
  leave(): void;
  /** Ends now. */
  kill(): void;
}

/** Sent to the newest connection when there is no room; then it is closed. */
const REFUSAL =
  "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/** out  undefined when the connection was refused, and is closed */
export function accept(
  socket: RawSocket,
  listener: Listener,
  services: SessionServices,
  activeEverywhere: number,
): AcceptedSession | undefined {
  readClock();
  count(services, listener, LISTENER.at.connections, 1);
  const isFull = activeEverywhere >= listener.limits.connections || !services.sockets.mayOpen();
  if (isFull || services.budget.isExhausted) {
    count(services, listener, LISTENER.at.refused, 1);
    countReason(services, isFull ? "too_many_connections" : "out_of_memory");
    socket.write(REFUSAL, "latin1");
    socket.close();
    return undefined;
  }
  count(services, listener, LISTENER.at.active, 1);
  services.sockets.openCount++;
  const client = clientOf(socket);
  const isProxied = !listener.proxyProtocolFrom.isEmpty && listener.proxyProtocolFrom.has(client.ip);
  return isProxied
    ? new ProxiedStart(socket, listener, client, services)
    : new H1Server(socket, listener, client, services);
}

/** The accepted socket is gone. */
export function released(listener: Listener, services: SessionServices): void {
  count(services, listener, LISTENER.at.active, -1);
  services.sockets.openCount--;
}

function count(services: SessionServices, listener: Listener, offset: number, amount: number): void {
  const at = listener.slot + offset;
  services.counters[at] = (services.counters[at] as number) + amount;
}

function countReason(services: SessionServices, code: FailureCode): void {
  const at = services.workerSlot + WORKER.at.failures + (FAILURE_INDEX.get(code) as number);
  services.counters[at] = (services.counters[at] as number) + 1;
}

const MAPPED = "::ffff:";

function clientOf(socket: RawSocket): ClientAddress {
  const ip = unmapped(socket.remoteAddress ?? "");
  return {
    ip: ip === "" ? "unix" : ip,
    port: socket.remotePort ?? 0,
    localPort: socket.localPort ?? 0,
    localIp: unmapped(socket.localAddress ?? ""),
    tls: undefined,
  };
}

/** An IPv4 client of a dual-stack socket is the same client as on an IPv4 socket. */
function unmapped(address: string): string {
  return address.startsWith(MAPPED) ? address.slice(MAPPED.length) : address;
}

/** Waits for the PROXY header, then hands over to the HTTP session. */
class ProxiedStart implements AcceptedSession, Timed {
  deadlineMs = Number.POSITIVE_INFINITY;
  wheelTick = 0;
  wheelIndex = 0;
  readonly #socket: RawSocket;
  readonly #listener: Listener;
  readonly #peer: ClientAddress;
  readonly #services: SessionServices;
  #bytes = Buffer.alloc(0);
  #session: H1Server | undefined;

  constructor(socket: RawSocket, listener: Listener, peer: ClientAddress, services: SessionServices) {
    this.#socket = socket;
    this.#listener = listener;
    this.#peer = peer;
    this.#services = services;
    services.wheel.schedule(this, clock.nowMs + listener.timeouts.handshakeMs);
  }

  onData(bytes: Buffer): void {
    if (this.#session !== undefined) {
      this.#session.onData(bytes);
      return;
    }
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    const header = readProxyHeader(this.#bytes);
    if (header === "more") return;
    if (header === undefined)
      this.#socket.terminate(); // not what was agreed: whoever it is, we cannot name it
    else this.#start(header);
  }

  #start(header: ProxyHeader): void {
    readClock();
    this.#services.wheel.forget(this);
    const client =
      header.source === undefined
        ? this.#peer
        : { ...this.#peer, ...header.source, localPort: header.destinationPort };
    const rest = this.#bytes.subarray(header.bytes);
    this.#bytes = Buffer.alloc(0);
    this.#session = new H1Server(this.#socket, this.#listener, client, this.#services);
    if (rest.length > 0) this.#session.onData(rest);
  }

  onDrain(): void {
    this.#session?.onDrain();
  }

  onEnd(): void {
    if (this.#session === undefined) this.#socket.terminate();
    else this.#session.onEnd();
  }

  onClose(isReset: boolean): void {
    this.#services.wheel.forget(this);
    this.#session?.onClose(isReset);
  }

  expire(): void {
    this.#socket.terminate();
  }

  leave(): void {
    if (this.#session === undefined) this.#socket.terminate();
    else this.#session.leave();
  }

  kill(): void {
    this.#socket.terminate();
  }
}
