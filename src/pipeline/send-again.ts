/**
 * Send again: a request body that an endpoint got before, or part of it, goes to the next attempt.
 *
 * why    an endpoint that leaves, or has no room for another stream, must not cost a request that it never looked at
 *        (RFC 9113 §6.8, §8.7), nor one that fails a request that may be repeated; a client cannot be asked for its body
 *        twice
 * rule   before any byte that the client sends from now on
 */
import type { Planned } from "./plan.ts";

/** Call it when the attempt's head is on its way. out  false when the endpoint takes no more for now */
export function sendAgain(exchange: Planned): boolean {
  const { upstream, bodyAgain } = exchange;
  const { again } = exchange.plan;
  if (upstream === undefined) return true;
  if (bodyAgain === undefined && again?.body?.isWhole !== true) return true;
  const bytes = bodyAgain ?? (again?.body?.copy() as Buffer);
  const trailers = bodyAgain === undefined ? (again?.body?.trailers ?? "") : exchange.trailersAgain;
  exchange.bodyAgain = undefined;
  exchange.trailersAgain = "";
  const isOpen = bytes.length === 0 || upstream.sendBody(bytes);
  if (exchange.isRequestComplete) upstream.sendEnd(trailers);
  return isOpen;
}
