/**
 * Repeat: what is done around an attempt for the next one: before it, while it waits, and with its answer.
 *
 * rule   nothing of an answer that is dropped reaches the client, or the next answer
 * bound  a body by `retry.buffer`, an answer by MAX_HELD_BYTES, a wait by `retry.backoff.max` and the exchange's deadline
 */
import { BODY_LENGTH } from "../core/body.ts";
import { Fields } from "../core/fields.ts";
import { clock } from "../transport/clock.ts";
import { Again } from "./again.ts";
import { hedge } from "./hedge.ts";
import { HeldAnswer, MAX_HELD_BYTES } from "./held-answer.ts";
import type { Planned, Route } from "./plan.ts";
import { RepeatBody } from "./repeat-body.ts";
import { hasBody } from "./retry.ts";

/** Before the first attempt of a request whose route says more than `on: connect`. */
export function beginRepeats(exchange: Planned, { retry }: Route): void {
  const { plan } = exchange;
  retry.budgets?.get(plan.upstream?.name ?? "")?.deposit(clock.nowMs);
  if (!retry.methods.has(exchange.method)) return;
  plan.again ??= new Again();
  const mayKeep = retry.bufferBytes > 0 && exchange.requestBodyLength <= retry.bufferBytes;
  if (mayKeep && hasBody(exchange)) {
    plan.again.body = new RepeatBody(plan.services.budget, retry.bufferBytes);
  }
}

/** The attempt is under way: when its answer is long in coming, another endpoint is asked too. */
export function armHedge(exchange: Planned, again: Again, afterMs: number): void {
  if (!again.isHedged) again.in(afterMs, () => hedge(exchange));
}

/** The next attempt waits; what the client sends meanwhile waits with it. */
export function awaitTry(exchange: Planned, delayMs: number, act: () => void): void {
  const { plan } = exchange;
  plan.again ??= new Again();
  if (!exchange.isRequestComplete) exchange.downstream.pauseRequest(exchange);
  plan.again.in(delayMs, () => {
    if (plan.again !== undefined) plan.again.isWaiting = false;
    act();
  });
  plan.again.isWaiting = true;
}

/** The endpoint's answer is not for the client. Its body is not read: the connection, or the stream, is given up. */
export function dropAnswer(exchange: Planned): void {
  exchange.upstream?.cancel();
  exchange.upstream = undefined;
  exchange.plan.hold?.leave();
  exchange.plan.again?.race?.callOff();
  exchange.plan.again?.dropHeld();
  exchange.first = undefined;
  exchange.status = 0;
  exchange.respondedAtMs = 0;
  exchange.responseFields = new Fields();
}

/** out  true when the answer is kept until it is whole */
export function holdAnswer(exchange: Planned, again: Again): boolean {
  const { plan, responseBodyKind, responseBodyLength } = exchange;
  const { retry } = plan.route as Route;
  const isSmall = responseBodyKind === BODY_LENGTH && responseBodyLength <= MAX_HELD_BYTES;
  if (plan.isEnd || !isSmall || !retry.onReset || plan.web !== undefined) return false;
  if (plan.attempts >= retry.attempts || plan.services.budget.isExhausted) return false;
  again.held = new HeldAnswer(plan.services.budget, exchange);
  return true;
}
