/**
 * Field names: the header fields that the proxy itself acts on, each with a small id.
 *
 * why    a head is scanned once; knowing by id which fields are in it makes "drop these nine
 *        names" one AND, and "is there a Range" one bit test, whatever the number of fields
 * shape  id = row number; ids below 32 live in the low word of a mask, the others in the high one
 * rule   at most 62 rows; ids 62 and 63 are reserved (dropped, unknown)
 */

/** Spellings that CGI-style backends read as the names with hyphens (RFC 3875 §4.1.18 folds "-" to "_"). */
export const UNDERSCORE_NAMES = [
  "x_forwarded_for", "x_forwarded_proto", "x_forwarded_host", "x_forwarded_port", "x_real_ip", "x_request_id",
] as const;

const NAMES = [
  // hop-by-hop and framing (RFC 9110 §7.6.1, RFC 9112 §6): never copied from one side to the other
  "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
  "content-length", "http2-settings", "proxy-authenticate", "proxy-authorization",
  // what a proxy says about the client: dropped unless the sender is a trusted proxy
  "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "forwarded", "via",
  "x-request-id", "traceparent", "tracestate", "x-real-ip",
  // what the proxy reads to do its work
  "host", "expect", "cookie", "range", "if-range", "if-none-match", "if-modified-since", "if-match",
  "if-unmodified-since", "accept", "accept-encoding",
  // high word
  "content-type", "content-encoding", "date", "server", "etag", "last-modified", "location",
  "set-cookie", "cache-control", "vary", "authorization", "user-agent", "referer", "origin",
  "retry-after", "sec-websocket-key", "sec-websocket-accept", "sec-websocket-version",
  "x-forwarded-server", "x-forwarded-prefix", "age", "expires",
  ...UNDERSCORE_NAMES,
] as const;

export type KnownName = (typeof NAMES)[number];
export const KNOWN_NAMES: readonly KnownName[] = NAMES;

/** Marks a field taken out of the message; its bytes stay where they are and are skipped by writers. */
export const ID_DROPPED = 62;
/** A field whose name is not in the table. */
export const ID_UNKNOWN = 63;
