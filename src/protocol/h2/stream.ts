/**
 * Stream: one request and its response on an HTTP/2 connection, as both halves of the machine see it.
 *
 * why    RFC 9113 §5.1 draws seven states; two ends that are over or not say the same in fewer words: open is
 *        neither, half-closed one, closed both or reset. Idle streams have no object, closed ones lose it.
 */

import { LENGTH_UNKNOWN } from "../../core/body.ts";
import type { Head } from "./head.ts";

export class H2Stream {
  readonly id: number;
  /** Whoever speaks for it: set by the session. */
  session: unknown;
  /** The peer has sent END_STREAM. */
  isInputOver = false;
  /** We have sent END_STREAM. */
  isOutputOver = false;
  /** Over both ways, or reset. */
  isClosed = false;
  /** Reset by us for a mistake of the peer. */
  isFaulty = false;
  /** A final head came in; what comes next is trailers. */
  hasHead = false;
  /** The request's head, read but not told: told when all that came with it has been read. */
  waitingHead: Head | undefined;
  /** We asked with HEAD: the length declared is of a body that does not come (RFC 9110 §9.3.2). */
  isHeadRequest = false;

  // what comes in
  /** Body bytes that the peer may still send. */
  receiveWindow: number;
  /** Handed on, and not used up yet. */
  unconsumedBytes = 0;
  /** Used up, and not given back to the peer yet. */
  creditBytes = 0;
  /** Body length that the head declared, or -1. */
  declaredBytes = LENGTH_UNKNOWN;
  receivedBytes = 0;

  // what goes out
  sendWindow: number;
  /** Body bytes that wait for a window or for the socket; most streams never have any. */
  queue: Buffer[] | undefined;
  queuedBytes = 0;
  /** Of the first piece, what is sent already. */
  queueOffset = 0;
  isEndQueued = false;
  /** Field lines that end the stream behind its body. */
  queuedTrailers = "";
  /** RFC 9218 §4.1, 0 first; -1 = nobody has asked yet. */
  urgency = -1;
  isIncremental = false;
  isWaiting = false;

  constructor(id: number, receiveWindow: number, sendWindow: number) {
    this.id = id;
    this.receiveWindow = receiveWindow;
    this.sendWindow = sendWindow;
  }

  /** True when the body came out shorter or longer than declared (§8.1.1). */
  get isCutShort(): boolean {
    return this.declaredBytes >= 0 && this.receivedBytes !== this.declaredBytes;
  }
}
