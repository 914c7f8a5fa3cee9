/**
 * Which fields are worth a place in the encoder's table.
 *
 * shape  by name; a name that is not here is REPEATED: remembered until its values turn out to change every time
 * spec   RFC 7541 §7.1.3: a secret in the table could be guessed through the size of what follows
 */

/** Remembered as long as values come again. */
export const REPEATED = 0;
/** Values differ from message to message: they would only push out what is asked for again. */
export const CHANGING = 1;
/** A secret: no table on the whole way may hold it (never-indexed literal). */
export const SECRET = 2;
export type Indexing = typeof REPEATED | typeof CHANGING | typeof SECRET;

export const INDEXING: Readonly<Record<string, Indexing>> = {
  // one value a resource, and there are more resources than a table holds
  ":path":                CHANGING,
  "etag":                 CHANGING,
  "if-none-match":        CHANGING,
  "if-match":             CHANGING,
  "if-range":             CHANGING,
  "location":             CHANGING,
  "range":                CHANGING,
  "content-range":        CHANGING,
  "age":                  CHANGING,
  // one value a message
  "x-request-id":         CHANGING,
  "traceparent":          CHANGING,
  "tracestate":           CHANGING,
  "sec-websocket-key":    CHANGING,
  "sec-websocket-accept": CHANGING,
  // whoever holds these is the user
  "authorization":        SECRET,
  "proxy-authorization":  SECRET,
  "set-cookie":           SECRET,
  "x-api-key":            SECRET,
  "x-auth-token":         SECRET,
  "x-csrf-token":         SECRET,
  "x-amz-security-token": SECRET,
};

/** A shorter cookie has so few possible values that it could be guessed (as nghttp2 judges, too). */
export const SHORT_COOKIE_BYTES = 20;
