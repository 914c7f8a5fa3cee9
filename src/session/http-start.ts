/**
 * HTTP start: the session that speaks the protocol a connection has settled on.
 */
import type { RawSocket } from "../transport/wire.ts";
import type { AcceptedSession } from "./accepted-session.ts";
import { type ClientAddress, H1Server } from "./h1-server.ts";
import { H2Server } from "./h2-server.ts";
import type { Listener } from "./listener.ts";
import type { SessionServices } from "./services.ts";

export type HttpProtocol = "h1" | "h2";

/** Versions with their names in ALPN (RFC 7301 §6, RFC 9113 §3.1); the preferred one first. */
export const HTTP_PROTOCOLS: readonly { readonly version: HttpProtocol; readonly alpn: string }[] = [
  { version: "h2", alpn: "h2" },
  { version: "h1", alpn: "http/1.1" },
];

/** Starts a session; the socket's bytes are its own from now on. */
export function startHttp(
  protocol: HttpProtocol,
  socket: RawSocket,
  place: { readonly listener: Listener; readonly services: SessionServices },
  client: ClientAddress,
): AcceptedSession {
  const { listener, services } = place;
  return protocol === "h2"
    ? new H2Server(socket, listener, client, services)
    : new H1Server(socket, listener, client, services);
}
