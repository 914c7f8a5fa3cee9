/**
 * Field names: the header fields that the proxy itself acts on, each with a small id.
 *
 * why    a head is scanned once; knowing by id which fields are in it makes "drop these nine
 *        names" one AND, and "is there a Range" one bit test, whatever the number of fields
 * shape  id = row number; ids below 32 live in the low word of a mask, the others in the high one.
 *        A family is many names with one id: they are only ever dropped together
 * rule   at most 59 rows; ids from 59 on belong to families, dropped and unknown fields
 */
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
  "x-forwarded-server", "x-forwarded-prefix", "age", "expires", "strict-transport-security", "grpc-timeout",
  "x-request-timeout", "pragma",
] as const;

export type KnownName = (typeof NAMES)[number];
/** Names with an id of their own: it is their place here. */
export const KNOWN_NAMES: readonly KnownName[] = NAMES;

/** What a proxy says about the client's certificate: RFC 9440, our own names, Envoy's. */
export const CERTIFICATE_NAMES = [
  "client-cert", "client-cert-chain", "x-client-cert-subject", "x-client-cert-issuer", "x-client-cert-san",
  "x-client-cert-serial", "x-client-cert-fingerprint", "x-client-cert-verified", "x-forwarded-client-cert",
] as const;

/** What frameworks take for the scheme of a request, beside X-Forwarded-Proto: some proxies set one of them on all. */
export const SCHEME_NAMES = [
  "x-forwarded-scheme", "x-forwarded-protocol", "x-forwarded-ssl", "x-scheme", "x-url-scheme", "front-end-https",
] as const;

/** What makes some applications take a request for another one: a cache that keys by target and method must not trust it. */
export const STEERING_NAMES = [
  "x-http-method-override", "x-http-method", "x-method-override", "x-original-method", "x-original-url",
  "x-original-uri", "x-rewrite-url", "x-original-host", "x-host", "x-http-host-override", "x-backend-host",
  "x-forwarded-path", "x-forwarded-uri", "x-invoke-path", "x-matched-path",
  "x-now-route-matches", "x-middleware-subrequest", ...SCHEME_NAMES,
] as const;

/** Names whose spellings with underscores CGI-style backends read as these (RFC 3875 §4.1.18 folds "-" to "_"). */
export const FOLDED_NAMES = [
  "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-forwarded-server",
  "x-forwarded-prefix", "x-real-ip", "x-request-id", ...CERTIFICATE_NAMES, ...STEERING_NAMES,
] as const satisfies readonly (
  | KnownName
  | (typeof CERTIFICATE_NAMES)[number]
  | (typeof STEERING_NAMES)[number]
)[];

export type FieldFamily = "client certificate" | "underscored" | "steering";
/** `underscored`: each of FOLDED_NAMES with at least one underscore for a hyphen. */
export const FAMILY_IDS: Readonly<Record<FieldFamily, number>> = {
  steering: 59,
  "client certificate": 60,
  underscored: 61,
};

/** From here on an id does not say which name it is. */
export const FIRST_SHARED_ID = 59;
/** Marks a field taken out of the message; its bytes stay where they are and are skipped by writers. */
export const ID_DROPPED = 62;
/** A field whose name is not in the table. */
export const ID_UNKNOWN = 63;
