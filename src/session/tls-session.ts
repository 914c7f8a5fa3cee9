/**
 * TLS session: what a client's handshake settled, for routes, headers and the log.
 *
 * cost   version and cipher are read once a connection, for a closed socket forgets them; the client's
 *        certificate is taken apart when somebody asks for it
 * spec   RFC 4514 (names), RFC 9110 §7.4 (which hosts a connection may ask for)
 */
import type { X509Certificate } from "node:crypto";
import { normaliseServerName } from "../protocol/client-hello.ts";
import type { Choice } from "../tls/select.ts";
import type { TlsSocket } from "../transport/tls.ts";
import type { ClientCertificate, TlsSession } from "./exchange.ts";
import type { Listener } from "./listener.ts";

export class SettledTls implements TlsSession {
  readonly serverName: string;
  readonly version: string;
  readonly cipher: string;
  readonly #listener: Listener;
  readonly #choice: Choice | undefined;
  #x509: X509Certificate | undefined;
  #client: ClientCertificate | undefined;

  /** in  `x509`: the client's certificate when it was verified */
  constructor(socket: TlsSocket, listener: Listener, x509: X509Certificate | undefined) {
    this.serverName = normaliseServerName(socket.getServername() || "");
    this.version = socket.getTLSVersion();
    this.cipher = socket.getCipher()?.name ?? "";
    this.#listener = listener;
    this.#choice = listener.tls?.choose(this.serverName);
    this.#x509 = x509;
  }

  get client(): ClientCertificate | undefined {
    if (this.#x509 !== undefined) {
      this.#client = describe(this.#x509);
      this.#x509 = undefined;
    }
    return this.#client;
  }

  covers(host: string): boolean {
    if (this.serverName === "" || host === this.serverName || this.#choice === undefined) return true;
    // asked of the listener as it is now: a certificate that came meanwhile makes a host another's
    return this.#listener.tls?.covers(this.#choice, host) ?? false;
  }
}

/**
 * The client's certificate when it was verified, by the library's word and ours: a session that is resumed was
 * verified when it began, and its certificate may have expired since.
 */
export function verifiedCertificate(
  socket: TlsSocket,
  error: Error | null | undefined,
): X509Certificate | undefined {
  const isVerified = (error === null || error === undefined) && socket.authorized;
  const x509 = isVerified ? socket.getPeerX509Certificate() : undefined;
  if (x509 === undefined) return undefined;
  return Date.parse(x509.validTo) > Date.now() ? x509 : undefined;
}

function describe(x509: X509Certificate): ClientCertificate {
  return {
    subject: distinguishedName(x509.subject),
    issuer: distinguishedName(x509.issuer),
    sans: alternativeNames(x509.subjectAltName ?? ""),
    serial: x509.serialNumber,
    fingerprint: x509.fingerprint256.replaceAll(":", "").toLowerCase(),
    der: x509.raw.toString("base64"),
  };
}

/** The runtime has one relative name a line, escaped, the first of the certificate first: RFC 4514 wants it last. */
function distinguishedName(lines: string | undefined): string {
  return (lines ?? "").split("\n").reverse().join(",").replaceAll(" + ", "+");
}

/** `DNS:a.test, URI:"x, y"`: a value with a comma or a quote in it stands in quotes, as in JSON. */
const ALTERNATIVE_NAME = /([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/g;

function alternativeNames(text: string): string[] {
  return [...text.matchAll(ALTERNATIVE_NAME)].map(([, kind, value = ""]) => {
    const name = value.startsWith('"') ? unquoted(value) : value;
    return `${kind === "IP Address" ? "IP" : kind}:${name}`;
  });
}

function unquoted(value: string): string {
  try {
    return String(JSON.parse(value));
  } catch {
    return value;
  }
}
