/**
 * Head: one decoded HTTP/2 header block: pseudo-header fields apart, the others as Fields.
 *
 * why    routes, edits and the HTTP/1 writer work on lines `name: value\r\n`; a block becomes such lines here, and
 *        nothing above ever sees HPACK
 * rule   the lines are ours: `:authority` stands first as `host` (RFC 9113 §8.3.1), cookie crumbs are one `cookie`
 *        line (§8.2.3), fields of HTTP/1 connections are malformed (§8.2.2)
 */
import { LENGTH_UNKNOWN } from "../../core/body.ts";
import { Fields } from "../../core/fields.ts";

export type HeadKind = "request" | "response" | "trailers";

/** Reused from one block to the next: its owner lets go of it when nobody looks at the fields any more. */
export class Head {
  method = "";
  /** `http` or `https`, as the client wrote it. */
  scheme = "";
  authority = "";
  path = "";
  /** `:protocol` of an extended CONNECT (RFC 8441 §4), or "". */
  protocol = "";
  /** 0 in a request. */
  status = 0;
  readonly fields = new Fields();
  /** Content-Length, or -1. */
  contentLength = LENGTH_UNKNOWN;
  /** Why the message is malformed (RFC 9113 §8.1.1), or "": an error of its stream, not of the connection. */
  malformed = "";
  /** The list is larger than limits.requestHead or has more fields than limits.headers. */
  isTooLarge = false;
}
