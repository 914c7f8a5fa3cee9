/**
 * Compress: gives an answer the content coding that its client likes best.
 *
 * why    one place for all answers of a route: of endpoints, files, the cache and our own
 * in     an answer with everything decided but this: status, fields with the route's edits, framing, first bytes
 * out    the same answer, or one with another body, head and framing; `plan.coder` where the body goes on
 * rule   a body that is here whole is encoded at once and keeps a Content-Length; where that makes it no smaller it leaves
 *        as it is. Anything else is encoded as it comes
 * rule   what the cache gives out settled, coded or not, has had all this done, and passes
 * cost   a route without `compress`: one branch. Else the judgement, 0.3 µs, and the encoder
 * spec   RFC 9110 §8.4
 */
import type { CompressConfig } from "../config/config.ts";
import { BODY_LENGTH, BODY_NONE, LENGTH_UNKNOWN } from "../core/body.ts";
import { fieldIdOf } from "../core/field-names.ts";
import type { Coding } from "../protocol/accept-encoding.ts";
import { encodeWhole } from "../transport/encoder.ts";
import type { Encoders } from "../transport/encoders.ts";
import { CompressedBody } from "./compress-body.ts";
import {
  addVary,
  describeCoded,
  describeStoredCoded,
  isCoding,
  judgeCompression,
  matchTag,
  REFUSALS,
} from "./compress-head.ts";
import { type Compression, mediaTypeIn } from "./compress-rules.ts";
import type { Planned } from "./plan.ts";

/** Larger bodies would keep the worker from everything else for too long: 1.4 ms at the usual level. */
const MAX_WHOLE_BYTES = 128 * 1024;
/** Each event is to arrive when it is sent. */
const LIVE_TYPE = "text/event-stream";
const CONTENT_TYPE = fieldIdOf("content-type");

/** Just before the head is sent. */
export function compressAnswer(exchange: Planned, compression: Compression): void {
  if (exchange.plan.isSettled) {
    if (exchange.plan.route?.responseEdits !== undefined) describeStoredCoded(exchange);
    return;
  }
  const verdict = judgeCompression(exchange, compression);
  if (!isCoding(verdict)) {
    if (REFUSALS[verdict].varies) addVary(exchange);
    if (verdict === "not_modified") matchTag(exchange);
    return;
  }
  addVary(exchange);
  const { plan, sentBodyKind } = exchange;
  if (sentBodyKind === BODY_NONE) {
    // HEAD: what GET would say, but for the length, which nobody knows
    describeCoded(exchange, verdict);
    exchange.sentBodyLength = LENGTH_UNKNOWN;
  } else if (plan.isEnd && exchange.firstEnd - exchange.firstStart <= MAX_WHOLE_BYTES) {
    encodeFirst(exchange, compression, verdict);
  } else if (!exchange.isHttp10) encodeStream(exchange, compression, verdict);
}

/** The body is in `first`, and that is all of it. */
function encodeFirst(exchange: Planned, { config }: Compression, coding: Coding): void {
  const { first, firstStart, firstEnd, plan } = exchange;
  if (first === undefined) return;
  const { encoders } = plan.services;
  const form = plan.form?.isOf(first, coding) === true ? plan.form : undefined;
  if (form?.isVain === true) return;
  const bytes = first.subarray(firstStart, firstEnd);
  const encoded = compressWhole(bytes, coding, levelOf(config, encoders));
  if (encoded.length >= bytes.length) {
    form?.giveUp();
    return;
  }
  form?.keep(encoded);
  encoders.bytesIn += bytes.length;
  encoders.bytesOut += encoded.length;
  describeCoded(exchange, coding);
  exchange.first = encoded;
  exchange.firstStart = 0;
  exchange.firstEnd = encoded.length;
  exchange.sentBodyKind = BODY_LENGTH;
  exchange.sentBodyLength = encoded.length;
}

function encodeStream(exchange: Planned, { config }: Compression, coding: Coding): void {
  const { encoders } = exchange.plan.services;
  const isLive = mediaTypeIn(exchange.responseFields.get(CONTENT_TYPE) ?? "") === LIVE_TYPE;
  const encoder = encoders.take(coding, levelOf(config, encoders), isLive ? "live" : "usual");
  if (encoder === undefined) return;
  describeCoded(exchange, coding);
  const body = new CompressedBody(exchange, encoder, isLive);
  exchange.plan.coder = body;
  body.begin();
}

/** The level that a route states, or that the worker's load allows. */
export function levelOf({ level }: CompressConfig, encoders: Pick<Encoders, "level">): number {
  return level === 0 ? encoders.level : level;
}

/** A body that is here whole, in a coding; `level` as `levelOf` says. */
export function compressWhole(bytes: Buffer, coding: Coding, level: number): Buffer {
  return encodeWhole(bytes as Buffer<ArrayBuffer>, coding, level);
}
