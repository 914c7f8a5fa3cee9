/**
 * TLS: contexts, and what the runtime can do with a secured socket beyond its documentation.
 *
 * why    Bun.listen knows server names, protocol choice and client certificates, but says so nowhere: every such
 *        use is declared here and held by tests/runtime/tls*.test.ts
 * shape  a context is certificate, key and rules in the library's own form; the same context gives the same
 *        ticket keys, so sessions resume for as long as it is kept. Tickets are not shared between processes
 * rule   a socket that was secured after its first bytes goes on telling its first handlers, with ciphertext: it
 *        is detached from its session before
 */
import { ptr } from "bun:ffi";
import type { X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import type { CertificatePair } from "../tls/materials.ts";
import { C, libc } from "./libc.ts";
import type { RawSocket } from "./wire.ts";

/** The rules under which a listener speaks TLS. */
export interface TlsRules {
  readonly minVersion: "1.2" | "1.3";
  /** OpenSSL names joined by ":"; for TLS 1.2. */
  readonly ciphers: string;
  /** Key exchange groups joined by ":". */
  readonly curves: string;
  readonly clientAuth: "off" | "optional" | "require";
  /** PEM texts. */
  readonly ca: string | undefined;
  readonly crl: string | undefined;
}

declare const CONTEXT: unique symbol;
/** The library's SSL_CTX. */
export interface TlsContext {
  readonly [CONTEXT]: true;
}

/** How the socket of a connection asks for and judges client certificates. */
interface ClientVerification {
  readonly requestCert: boolean;
  /** With `requestCert`: ends the handshake when none comes or it is not verified. */
  readonly rejectUnauthorized: boolean;
}

function verificationOf(rules: TlsRules): ClientVerification {
  return { requestCert: rules.clientAuth !== "off", rejectUnauthorized: rules.clientAuth === "require" };
}

/** Throws when a key does not fit its certificate or something does not parse. Without pairs every handshake fails. */
export function makeContext(pairs: readonly CertificatePair[], rules: TlsRules): TlsContext {
  const options: SecureContextOptions & ClientVerification = {
    ...verificationOf(rules),
    key: pairs.map((pair) => pair.key),
    cert: pairs.map((pair) => pair.cert),
    minVersion: `TLSv${rules.minVersion}`,
    ciphers: rules.ciphers,
    honorCipherOrder: true, // whoever asks for the weakest of a list does not get it; TLS 1.3 has an order of its own
    ecdhCurve: rules.curves,
    ...(rules.ca === undefined ? {} : { ca: rules.ca }),
    ...(rules.crl === undefined ? {} : { crl: rules.crl }),
  };
  return createSecureContext(options).context as TlsContext;
}

/** A socket on which TLS is spoken. */
export interface TlsSocket extends RawSocket {
  readonly authorized: boolean;
  readonly alpnProtocol: string | false | null;
  getServername(): string | false | undefined;
  getTLSVersion(): string;
  getCipher(): { readonly name: string | null } | undefined;
  isSessionReused(): boolean;
  getPeerX509Certificate(): X509Certificate | undefined;
}

/** How a listener that speaks TLS from the first byte settles a handshake. */
export interface NativeTls {
  /** For clients that name no server. */
  readonly context: TlsContext;
  readonly rules: TlsRules;
  /** out  undefined = no certificate for this name: the handshake ends with unrecognized_name */
  contextFor(serverName: string): TlsContext | undefined;
  /** `offered` as on the wire (RFC 7301 §3.1). out  undefined = none fits: no_application_protocol */
  chooseProtocol(offered: Buffer): string | undefined;
}

/** How one connection is secured of which the first bytes were read already. */
export interface UpgradeTls {
  readonly context: TlsContext;
  readonly rules: TlsRules;
  /** The protocol to agree on, which the client has offered; undefined = it offered none. */
  readonly protocol: string | undefined;
  readonly first: Buffer;
}

/** What Bun.listen takes for TLS. */
export function listenOptions(native: NativeTls): object {
  return { secureContext: native.context, ...verificationOf(native.rules) };
}

/** Handlers that only a listener with TLS of its own has. */
export function nativeHandlers(native: NativeTls): object {
  return {
    serverName(_listenerData: unknown, name: string, socket: Described) {
      const context = native.contextFor(name);
      if (context !== undefined) return context;
      sendPlain(socket, ALERT_UNRECOGNIZED_NAME); // the library would close without a word
      return false;
    },
    alpnCallback(_socket: unknown, _name: string | undefined, offered: Buffer) {
      return native.chooseProtocol(offered);
    },
  };
}

interface Upgradable {
  upgradeTLS(options: object): [raw: RawSocket, secured: TlsSocket];
}

/** Goes on with TLS on a plain socket, which must not be used any more. `handlers` hear of the new one. */
export function upgrade(socket: RawSocket, data: unknown, how: UpgradeTls, handlers: object): TlsSocket {
  const { context, rules, protocol, first } = how;
  const [, secured] = (socket as unknown as Upgradable).upgradeTLS({
    isServer: true,
    initialData: first,
    data,
    tls: {
      secureContext: context,
      ...verificationOf(rules),
      ...(protocol === undefined ? {} : { ALPNProtocols: wireNames([protocol]) }),
    },
    socket: handlers,
  });
  return secured;
}

/** Protocol names as on the wire, each behind its length; the runtime takes no other form. */
export function wireNames(names: readonly string[]): Buffer {
  return Buffer.concat(
    names.map((name) => Buffer.from(`${String.fromCharCode(name.length)}${name}`, "latin1")),
  );
}

/** Fatal alerts in a plain record, for a client whose hello was not answered (RFC 8446 §6, RFC 6066 §3, RFC 7301 §3.2). */
export const ALERT_UNRECOGNIZED_NAME = Buffer.from([21, 3, 3, 0, 2, 2, 112]);
export const ALERT_NO_PROTOCOL = Buffer.from([21, 3, 3, 0, 2, 2, 120]);
export const ALERT_INTERNAL_ERROR = Buffer.from([21, 3, 3, 0, 2, 2, 80]);

interface Described {
  /** Its file descriptor; -1 once it is closed. */
  readonly fd: number;
}

/** Sends bytes past the TLS library, for a handshake that has failed. What the kernel does not take is lost. */
export function sendPlain(socket: object, bytes: Buffer): void {
  const { fd } = socket as Described;
  if (typeof fd === "number" && fd >= 0) {
    libc().send(fd, ptr(bytes), bytes.length, C.MSG_DONTWAIT | C.MSG_NOSIGNAL);
  }
}

/** True when the library found an HTTP request where a client hello should be. */
export function isPlainHttp(error: Error | null | undefined): boolean {
  return error?.message.includes("HTTP_REQUEST") === true;
}
