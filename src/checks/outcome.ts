/**
 * Outcome: what one check of an endpoint has found.
 */
import type { Operator, Reason } from "../health/board.table.ts";

export interface CheckOutcome {
  readonly isSuccess: boolean;
  readonly reason: Reason;
  /** What was seen, for people: `HTTP 503, not 200-299`. */
  readonly text: string;
  /** What the endpoint's agent asks for. */
  readonly agent?: AgentAnswer;
}

/** An agent's word; it always says all: what it leaves out is up, at the full weight. */
export interface AgentAnswer {
  /** `down` counts at once: the agent knows, and need not be asked three times. */
  readonly isUp: boolean;
  readonly wish: Operator;
  /** Part of the configured weight, above 0. */
  readonly share: number;
}

export function passed(text: string): CheckOutcome {
  return { isSuccess: true, reason: "check_passed", text };
}

export function failed(reason: Reason, text: string): CheckOutcome {
  return { isSuccess: false, reason, text };
}

const MAX_QUOTED = 60;

/** The start of what an endpoint said, fit for a log line: it may say anything. */
export function excerpt(text: string): string {
  const isLong = text.length > MAX_QUOTED;
  return `${JSON.stringify(isLong ? text.slice(0, MAX_QUOTED) : text)}${isLong ? "…" : ""}`;
}

/** `2 s`, `500 ms`. */
export function spanText(ms: number): string {
  return ms < 1000 ? `${ms} ms` : `${Math.round(ms / 100) / 10} s`;
}
