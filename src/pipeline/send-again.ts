/**
 * Send again: a request body that an endpoint got, or part of it, and says it has not begun, goes to the next attempt.
 *
 * why    an endpoint that leaves, or has no room for another stream, must not cost a request that it never looked at
 *        (RFC 9113 §6.8, §8.7), and a client cannot be asked for its body twice
 * rule   before any byte that the client sends from now on
 */
import type { Exchange } from "../session/exchange.ts";

/** Call it when the attempt's head is on its way. out  false when the endpoint takes no more for now */
export function sendAgain(exchange: Exchange): boolean {
  const { upstream, bodyAgain, trailersAgain } = exchange;
  if (bodyAgain === undefined || upstream === undefined) return true;
  exchange.bodyAgain = undefined;
  exchange.trailersAgain = "";
  const isOpen = bodyAgain.length === 0 || upstream.sendBody(bodyAgain);
  if (exchange.isRequestComplete) upstream.sendEnd(trailersAgain);
  return isOpen;
}
