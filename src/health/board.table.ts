/**
 * Board: what control has decided about each endpoint, as words of shared memory.
 *
 * why    one decision for all workers, which lives over reloads, worker deaths and upgrades
 * shape  BOARD_WORDS Float64 words at the slot of the endpoint's series, in control's own row of the zone. Zeroed
 *        memory means: up, not checked, never ejected, the configured weight, warm
 * rule   control writes, workers read; words and the rows of REASONS are appended, never moved: an upgraded process
 *        reads what its predecessor wrote
 */

/** Offsets of the words. */
export const BOARD = {
  operator: 0,         // what a person asked for: an index of OPERATOR
  check: 1,            // what active checks found: an index of CHECK
  ejectedUntilMs: 2,   // since the epoch; 0 = not ejected
  sinceMs: 3,          // since the epoch: when the present state began; 0 = since the start
  weight: 4,           // set at run time, -1 = a weight of 0; 0 = the configured one
  warmFromMs: 5,       // since the epoch: when slow start began; 0 = it never did
  reason: 6,           // why the state is what it is: an index of REASONS
  agent: 7,            // what the endpoint's own agent asked for: an index of OPERATOR
  agentShare: 8,       // part of the configured weight that the agent asked for; 0 = all of it
  transitions: 9,      // how often the state has changed
} as const;
/** Two lines of the processor's cache an endpoint. */
export const BOARD_WORDS = 16;

export const OPERATOR = ["up", "drain", "maintenance"] as const;
export type Operator = (typeof OPERATOR)[number];

export const CHECK = ["unchecked", "up", "down"] as const;
export type Check = (typeof CHECK)[number];

// Codes never change once released: they are in logs, in events and in metrics.
const REASON_ROWS = {
  none:              "",
  operator:          "set by an operator",
  agent:             "asked for by the endpoint's agent",
  check_passed:      "passed its checks",
  check_initial:     "not checked yet, and `initial: down`",
  check_failed:      "failed its checks",
  check_connect:     "checks cannot connect",
  check_timeout:     "checks time out",
  check_tls:         "checks fail in the TLS handshake",
  check_status:      "checks get an unexpected status",
  check_answer:      "checks get an unexpected answer",
  check_command:     "the check's command fails",
  failures:          "failed several requests in a row",
  error_rate:        "fails more requests than the other endpoints",
  latency:           "is slower than the other endpoints",
  ejection_over:     "its ejection is over",
  slow_start:        "has come back and takes a growing share",
} as const satisfies Record<string, string>;

export type Reason = keyof typeof REASON_ROWS;
/** Codes in the order of their numbers on the board. */
export const REASONS = Object.keys(REASON_ROWS) as readonly Reason[];
const NUMBERS = new Map<string, number>(REASONS.map((code, number) => [code, number]));

/** Number of a reason, for the word `reason`. */
export function reasonNumber(reason: Reason): number {
  return NUMBERS.get(reason) ?? 0;
}

/** Reason with this number; `none` for one that a newer process wrote. */
export function reasonOf(number: number): Reason {
  return REASONS[number] ?? "none";
}

/** A reason in words, for people; "" for `none`. */
export function reasonText(reason: Reason): string {
  return REASON_ROWS[reason];
}
