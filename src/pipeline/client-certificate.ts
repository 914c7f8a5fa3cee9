/**
 * Client certificate: what endpoints are told about the certificate of a client that was verified.
 *
 * why    an endpoint behind TLS cannot see it; where the listener says `forward`, it learns it from these fields,
 *        and never from anybody else: what came under these names is dropped
 * out    Client-Cert and X-Client-Cert-*: ASCII on one line each, whatever the certificate holds
 * cost   made once for a connection that shows a certificate
 * spec   RFC 9440 §2.2 (a byte sequence of RFC 8941 §3.3.5), §2.4 (why it is dropped); RFC 4514 §2.4 (escapes)
 */
import type { ClientCertificate } from "../session/exchange.ts";

const made = new WeakMap<ClientCertificate, string>();

/** Field lines about the certificate. */
export function certificateLines(client: ClientCertificate): string {
  const known = made.get(client);
  if (known !== undefined) return known;
  const lines =
    `Client-Cert: :${client.der}:\r\n` +
    `X-Client-Cert-Subject: ${plain(client.subject)}\r\n` +
    `X-Client-Cert-Issuer: ${plain(client.issuer)}\r\n` +
    `X-Client-Cert-San: ${client.sans.map(plainItem).join(", ")}\r\n` +
    `X-Client-Cert-Serial: ${plain(client.serial)}\r\n` +
    `X-Client-Cert-Fingerprint: ${client.fingerprint}\r\n` +
    "X-Client-Cert-Verified: 1\r\n";
  made.set(client, lines);
  return lines;
}

/** What no field may hold, or what recipients decode in two ways, is written as RFC 4514 writes bytes: `\C3\A9`. */
function plain(text: string): string {
  return text.replace(/[^\x20-\x7e]+/g, escapeBytes);
}

/** One of a list: a comma or backslash of its own cannot be taken for the list's. */
function plainItem(text: string): string {
  return text.replace(/[^\x20-\x7e]+|[,\\]/g, escapeBytes);
}

function escapeBytes(text: string): string {
  let escaped = "";
  for (const byte of Buffer.from(text, "utf8"))
    escaped += `\\${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  return escaped;
}
