/**
 * Connection: what the Connection field asks for, and which fields it takes out of the message.
 *
 * why    fields named in Connection are for this hop only; but a client must not be able to take away a
 *        field that a proxy in front of us set, or one that decides about routing or framing
 * out    a set of CONNECTION bits; the named fields are dropped from `fields`
 * cost   nothing without a Connection field; one compare for `keep-alive` and `close`
 * spec   RFC 9110 §7.6.1, RFC 9112 §9.3
 */
import { ID_UNKNOWN } from "../../core/field-names.table.ts";
import { fieldIdOf, fieldMask } from "../../core/field-names.ts";
import type { Fields } from "../../core/fields.ts";

export const CONNECTION_CLOSE = 1;
export const CONNECTION_KEEP_ALIVE = 2;
export const CONNECTION_UPGRADE = 4;

const CONNECTION = fieldIdOf("connection");
/**
 * Never taken out because somebody named them: they decide who is asked for what, and by whom; or are for all on the way,
 * so that no option may be called like them (RFC 9110 §7.6.1): without Vary one user's page would be kept for others.
 */
const PROTECTED = fieldMask(
  "host",
  "content-length",
  "transfer-encoding",
  "connection",
  "upgrade",
  "te",
  "trailer",
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-forwarded-port",
  "forwarded",
  "via",
  "x-request-id",
  "x-real-ip",
  "client certificate",
  "authorization",
  "cookie",
  "set-cookie",
  "cache-control",
  "vary",
  "age",
  "expires",
  "pragma",
  "content-encoding",
);

/** Fields that never pass, whatever Connection says. */
export const HOP_BY_HOP = fieldMask(
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
  "proxy-authenticate",
  "proxy-authorization",
);

/** Reads the field and drops those that it names. out  CONNECTION bits, or 0 */
export function readConnection(fields: Fields): number {
  if (!fields.has(CONNECTION)) return 0;
  const index = fields.indexOf(CONNECTION);
  if (!fields.isRepeated(CONNECTION)) {
    if (fields.isValue(index, "keep-alive")) return CONNECTION_KEEP_ALIVE;
    if (fields.isValue(index, "close")) return CONNECTION_CLOSE;
  }
  let bits = 0;
  for (const part of (fields.joined(CONNECTION) as string).split(","))
    bits |= takeOption(part.trim().toLowerCase(), fields);
  return bits;
}

function takeOption(option: string, fields: Fields): number {
  if (option === "keep-alive") return CONNECTION_KEEP_ALIVE;
  if (option === "close") return CONNECTION_CLOSE;
  if (option === "upgrade") return CONNECTION_UPGRADE;
  if (option !== "" && !isProtected(option)) fields.drop(option);
  return 0;
}

/** True for a lower-case name that Connection takes nothing away by. */
export function isProtected(name: string): boolean {
  const id = fieldIdOf(name);
  if (id === ID_UNKNOWN) return false;
  return id < 32 ? (PROTECTED.low & (1 << id)) !== 0 : (PROTECTED.high & (1 << (id - 32))) !== 0;
}
