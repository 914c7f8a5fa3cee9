/**
 * Body: how much of a body follows a head, in words every protocol shares.
 *
 * why    HTTP/1 says it with two fields, HTTP/2 with a flag; the pipeline must not care
 * shape  a BodyKind, and next to it a length in bytes that only means something for LENGTH
 */

/** No body follows the head. */
export const BODY_NONE = 0;
/** Exactly `bodyLength` bytes follow. */
export const BODY_LENGTH = 1;
/** Bytes follow until the protocol marks the end (HTTP/1.1 chunked, HTTP/2 END_STREAM). */
export const BODY_STREAM = 2;
/** Bytes follow until the connection closes: only an HTTP/1 response may say so. */
export const BODY_UNTIL_CLOSE = 3;

export type BodyKind = typeof BODY_NONE | typeof BODY_LENGTH | typeof BODY_STREAM | typeof BODY_UNTIL_CLOSE;

/** "No length was declared", where a length in bytes is expected. */
export const LENGTH_UNKNOWN = -1;
