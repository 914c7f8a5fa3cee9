/**
 * Priority: how much a client wants a response, against its others (RFC 9218 §4).
 */
import type { H2Stream } from "./stream.ts";

const DEFAULT_URGENCY = 3;

/** Reads the value of a Priority field: `u=0` to `u=7`, and `i` for incremental. */
export function setPriority(stream: H2Stream, value: string): void {
  const urgency = /(?:^|[,\s])u=([0-7])(?:$|[,;\s])/.exec(value)?.[1];
  stream.urgency = urgency === undefined ? DEFAULT_URGENCY : Number(urgency);
  stream.isIncremental = /(?:^|[,\s])i(?:=\?1)?(?:$|[,;\s])/.test(value);
}
