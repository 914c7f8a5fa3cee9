/**
 * Accept: a new connection becomes a session, or is refused.
 *
 * why    whether to take a connection at all, and who is on the other end, is settled before a protocol
 *        machine is built for it
 * rule   when limits.connections is reached the newest is told so and closed: those already open go on. Half-open
 *        handshakes count as connections
 */
import { LISTENER } from "../observe/metrics.table.ts";
import { readClock } from "../transport/clock.ts";
import type { RawSocket } from "../transport/wire.ts";
import type { AcceptedSession } from "./accepted-session.ts";
import { ConnectionStart, type Stage } from "./connection-start.ts";
import { type ClientAddress, H1Server } from "./h1-server.ts";
import type { Listener } from "./listener.ts";
import type { Place } from "./place.ts";
import { countReason, type SessionServices } from "./services.ts";

/** Sent to the newest connection when there is no room; then it is closed. */
const REFUSAL =
  "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/** out  undefined when the connection was refused, and is closed */
export function accept(socket: RawSocket, place: Place): AcceptedSession | undefined {
  const { listener, services } = place;
  readClock();
  count(services, listener, LISTENER.at.connections, 1);
  const activeEverywhere = place.keeper.activeEverywhere(listener);
  const isFull = activeEverywhere >= listener.limits.connections || !services.sockets.mayOpen();
  if (isFull || services.budget.isExhausted) {
    count(services, listener, LISTENER.at.refused, 1);
    countReason(services, isFull ? "too_many_connections" : "out_of_memory");
    if (listener.tls === undefined) socket.write(REFUSAL, "latin1");
    socket.close();
    return undefined;
  }
  count(services, listener, LISTENER.at.active, 1);
  services.sockets.openCount++;
  const client = clientOf(socket);
  const stage = firstStage(place, client);
  return stage === undefined
    ? new H1Server(socket, listener, client, services)
    : new ConnectionStart(socket, client, place, stage);
}

/** out  undefined = HTTP/1 from the first byte */
function firstStage({ listener, isNative }: Place, client: ClientAddress): Stage | undefined {
  if (isNative) return "handshake";
  const isProxied = !listener.proxyProtocolFrom.isEmpty && listener.proxyProtocolFrom.has(client.ip);
  if (isProxied) return "proxy";
  if (listener.tls !== undefined) return "hello";
  return listener.protocols.includes("h2") ? "preface" : undefined;
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
