/**
 * Endpoint state: operator × check × ejection × slow start → one state, and what that state may take.
 *
 * why    status, metrics, events and the balancer say the same word for the same thing
 * rule   rows of RULES are read from the top, the first that fits counts. A person's maintenance beats all. Trouble
 *        beats drain: an endpoint that is down takes not even the sessions that it is to finish
 * cost   a state is one read of a 36-byte array
 */
import { BOARD, CHECK, type Check, OPERATOR, type Operator } from "./board.table.ts";

export const ENDPOINT_STATES = ["up", "warming", "draining", "ejected", "down", "maintenance"] as const;
export type EndpointState = (typeof ENDPOINT_STATES)[number];

/** A state after "is" or "was", for people. */
export const stateText = (state: string): string => (state === "maintenance" ? "in maintenance" : state);

interface StateRule {
  readonly operator?: Operator;
  readonly check?: Check;
  readonly isEjected?: boolean;
  readonly isWarming?: boolean;
  readonly state: EndpointState;
}

const RULES: readonly StateRule[] = [
  { operator: "maintenance", state: "maintenance" },
  { check: "down",           state: "down" },
  { isEjected: true,         state: "ejected" },
  { operator: "drain",       state: "draining" },
  { isWarming: true,         state: "warming" },
  {                          state: "up" },
];

export interface Takes {
  /** Requests that belong nowhere yet. */
  readonly fresh: boolean;
  /** Requests of a session that is bound to this endpoint. */
  readonly sticky: boolean;
  /** Requests when too few endpoints are usable (`panic.ts`): trouble may be mistaken, a person's word is not. */
  readonly panic: boolean;
}

export const TAKES: Readonly<Record<EndpointState, Takes>> = {
  //             fresh         sticky         panic
  up:          { fresh: true,  sticky: true,  panic: true },
  warming:     { fresh: true,  sticky: true,  panic: true },
  draining:    { fresh: false, sticky: true,  panic: false },
  ejected:     { fresh: false, sticky: false, panic: true },
  down:        { fresh: false, sticky: false, panic: true },
  maintenance: { fresh: false, sticky: false, panic: false },
};

const TAKES_FRESH = 1;
const TAKES_STICKY = 2;
const TAKES_IN_PANIC = 4;
const TAKES_BITS = Uint8Array.from(ENDPOINT_STATES, (state) => {
  const { fresh, sticky, panic } = TAKES[state];
  return (fresh ? TAKES_FRESH : 0) | (sticky ? TAKES_STICKY : 0) | (panic ? TAKES_IN_PANIC : 0);
});

/** May the endpoint take a request that belongs nowhere yet? in  a state's number */
export function takesFresh(state: number): boolean {
  return ((TAKES_BITS[state] ?? 0) & TAKES_FRESH) !== 0;
}

/** May the endpoint take a request of a session that is bound to it? in  a state's number */
export function takesSticky(state: number): boolean {
  return ((TAKES_BITS[state] ?? 0) & TAKES_STICKY) !== 0;
}

/** May the endpoint take requests while too few are usable? in  a state's number */
export function takesInPanic(state: number): boolean {
  return ((TAKES_BITS[state] ?? 0) & TAKES_IN_PANIC) !== 0;
}

const codeOf = (operator: number, check: number, flags: number) =>
  (operator * CHECK.length + check) * 4 + flags;

function ruledState(operator: Operator, check: Check, flags: number): number {
  const isEjected = (flags & 2) !== 0;
  const isWarming = (flags & 1) !== 0;
  const rule = RULES.find(
    (row) =>
      (row.operator ?? operator) === operator &&
      (row.check ?? check) === check &&
      (row.isEjected ?? isEjected) === isEjected &&
      (row.isWarming ?? isWarming) === isWarming,
  );
  return ENDPOINT_STATES.indexOf(rule?.state ?? "up");
}

const STATES = new Uint8Array(OPERATOR.length * CHECK.length * 4);
for (const [operator, asked] of OPERATOR.entries()) {
  for (const [check, found] of CHECK.entries()) {
    for (let flags = 0; flags < 4; flags++) {
      STATES[codeOf(operator, check, flags)] = ruledState(asked, found, flags);
    }
  }
}

/** in  numbers of OPERATOR and CHECK · out  the state's number */
export function stateNumber(operator: number, check: number, isEjected: boolean, isWarming: boolean): number {
  return STATES[codeOf(operator, check, (isEjected ? 2 : 0) | (isWarming ? 1 : 0))] ?? 0;
}

/** The state with this number. */
export function stateOf(number: number): EndpointState {
  return ENDPOINT_STATES[number] ?? "up";
}

/** What the reader of a board knows besides. */
export interface StateView {
  /** Since the epoch, as on the board. */
  nowMs: number;
  /** How long slow start takes; 0 = there is none. */
  slowStartMs: number;
}

/**
 * State's number by the board's words at `slot`. `ownUntilMs` is an ejection that this worker has made for itself and
 * control has not confirmed yet; 0 = none.
 */
export function boardState(board: Float64Array, slot: number, view: StateView, ownUntilMs = 0): number {
  const operator = board[slot + BOARD.operator] as number;
  const agent = board[slot + BOARD.agent] as number;
  const ejectedUntilMs = board[slot + BOARD.ejectedUntilMs] as number;
  const warmFromMs = board[slot + BOARD.warmFromMs] as number;
  const isEjected = view.nowMs < ejectedUntilMs || view.nowMs < ownUntilMs;
  const isWarming = warmFromMs > 0 && view.nowMs - warmFromMs < view.slowStartMs;
  const asked = Math.max(operator, agent);
  return stateNumber(asked, board[slot + BOARD.check] as number, isEjected, isWarming);
}
