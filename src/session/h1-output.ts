/**
 * HTTP/1 output: heads and body bytes as they go into a wire, in as few system calls as they fit.
 *
 * why    what a message looks like on this protocol is the writer's to say; how it is cut into writes is said here
 * out    every send says false when the other side is slow, as Wire does
 */
import type { AnswerMemo } from "../core/answer-memo.ts";
import { BODY_LENGTH, BODY_NONE, BODY_STREAM, BODY_UNTIL_CLOSE, type BodyKind } from "../core/body.ts";
import { OUT } from "../core/out.ts";
import { type ConnectionOption, chunkStart, LAST_CHUNK, writeResponseHead } from "../protocol/h1/writer.ts";
import { JOIN_BYTES, type Wire } from "../transport/wire.ts";
import type { Exchange } from "./exchange.ts";

/** What the response body's framing is on this connection: HTTP/1.0 knows no chunks (RFC 9112 §6.1). */
export function framedKind(exchange: Exchange): BodyKind {
  const kind = exchange.sentBodyKind;
  if (kind === BODY_NONE || kind === BODY_LENGTH) return kind;
  return exchange.isHttp10 ? BODY_UNTIL_CLOSE : BODY_STREAM;
}

/** Sends the response head and the body bytes that came along; `isEnd`: nothing follows them. */
export function sendAnswerHead(
  wire: Wire,
  exchange: Exchange,
  connection: ConnectionOption,
  isEnd: boolean,
): boolean {
  const { answerMemo } = exchange;
  if (answerMemo !== undefined && isEnd && connection === "") return sendKept(wire, exchange, answerMemo);
  const kind = framedKind(exchange);
  const { first, firstStart, firstEnd } = exchange;
  const length = first === undefined || kind === BODY_NONE ? 0 : firstEnd - firstStart;
  exchange.first = undefined;
  exchange.bytesSent += length;
  OUT.reset();
  writeResponseHead(OUT, exchange, kind, connection);
  if (first === undefined || length === 0) {
    if (isEnd && kind === BODY_STREAM) OUT.text(LAST_CHUNK);
    return wire.writeOut();
  }
  if (kind !== BODY_STREAM) return wire.writeOutWith(first, firstStart, firstEnd);
  OUT.text(chunkStart(length));
  OUT.copy(first, firstStart, firstEnd);
  OUT.text(isEnd ? `\r\n${LAST_CHUNK}` : "\r\n");
  return wire.writeOut();
}

/** An answer that goes out again and again: written down the second time, and then only sent. */
function sendKept(wire: Wire, exchange: Exchange, memo: AnswerMemo): boolean {
  const { first, firstStart, firstEnd } = exchange;
  const hasBody = first !== undefined && exchange.sentBodyKind !== BODY_NONE;
  exchange.first = undefined;
  if (hasBody) exchange.bytesSent += firstEnd - firstStart;
  if (memo.h1 !== undefined) return wire.writeBytes(memo.h1);
  OUT.reset();
  writeResponseHead(OUT, exchange, framedKind(exchange), "");
  if (hasBody) OUT.copy(first, firstStart, firstEnd);
  if (memo.isKnown) memo.h1 = Buffer.from(OUT.bytes.subarray(0, OUT.length));
  memo.isKnown = true;
  return wire.writeOut();
}

/** Sends body bytes as one chunk; `isShared`: others use them too. */
export function sendChunk(wire: Wire, bytes: Buffer, isShared = false): boolean {
  OUT.reset();
  OUT.text(chunkStart(bytes.length));
  if (bytes.length > JOIN_BYTES) {
    wire.writeOut();
    wire.write(bytes, isShared);
    return wire.writeText("\r\n");
  }
  OUT.copy(bytes, 0, bytes.length);
  OUT.text("\r\n");
  return wire.writeOut();
}
