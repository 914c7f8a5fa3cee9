/**
 * Trace context: reads and writes `traceparent`.
 *
 * in     the field of a trusted peer, as it came
 * out    its parts, or undefined: then a new trace begins, as the specification asks
 * spec   W3C Trace Context §3.2
 */
export interface TraceParent {
  /** 32 lower-case hex digits, not all zero. */
  readonly traceId: string;
  /** 16 lower-case hex digits, not all zero. */
  readonly parentId: string;
  readonly isSampled: boolean;
}

/** Version 00 is exactly this long; a later one may go on after a further "-". */
const SHAPE = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const NO_TRACE = "0".repeat(32);
const NO_PARENT = "0".repeat(16);
const SAMPLED = 1;
/** Room for what later versions may add; longer ones are not worth reading. */
const MAX_LENGTH = 512;

export function parseTraceparent(value: string): TraceParent | undefined {
  if (value.length > MAX_LENGTH) return undefined;
  const parts = SHAPE.exec(value);
  if (parts === null) return undefined;
  const [, version, traceId, parentId, flags, rest] = parts as unknown as [
    string,
    string,
    string,
    string,
    string,
    string?,
  ];
  if (version === "ff" || (version === "00" && rest !== undefined)) return undefined;
  if (traceId === NO_TRACE || parentId === NO_PARENT) return undefined;
  return { traceId, parentId, isSampled: (Number.parseInt(flags, 16) & SAMPLED) !== 0 };
}

/** The field to send on: version 00, whatever came in (§3.2.2.5: unknown flags are not passed on). */
export function formatTraceparent(traceId: string, spanId: string, isSampled: boolean): string {
  return isSampled ? `00-${traceId}-${spanId}-01` : `00-${traceId}-${spanId}-00`;
}
