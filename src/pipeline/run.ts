/**
 * Run: drives one exchange through the phase table. The only loop in the pipeline.
 *
 * in     an exchange and the phase to go on with
 * out    returns when the exchange waits for an event or is over; `record` runs exactly once, even when a
 *        phase throws
 * cost   no promise, no object: a switch and a call for each phase
 * never  knows what any phase does
 */
import { defectText, fail } from "../core/failure.ts";
import { answer } from "./answer.ts";
import { choose } from "./choose.ts";
import { forward } from "./forward.ts";
import { guard } from "./guard.ts";
import { lookup } from "./lookup.ts";
import { match } from "./match.ts";
import { type PhaseName, WAIT } from "./phases.table.ts";
import type { Planned } from "./plan.ts";
import { receive } from "./receive.ts";
import { record } from "./record.ts";
import { relay } from "./relay.ts";
import { serve } from "./serve.ts";

/** More steps than any honest exchange takes; a loop without progress stops here. */
const MAX_STEPS = 64;

/** Goes on from a phase until the exchange waits or is over. */
export function run(exchange: Planned, from: PhaseName): void {
  if (exchange.isOver) return;
  const { plan } = exchange;
  plan.isRunning = true;
  let name: PhaseName | typeof WAIT = from;
  try {
    for (let steps = 0; name !== "record" && name !== WAIT; steps++) {
      if (steps === MAX_STEPS) throw new Error(`no progress after ${MAX_STEPS} phases, last: ${name}`);
      name = step(exchange, name);
    }
  } catch (defect) {
    name = "record";
    fall(exchange, defect);
  }
  plan.isRunning = false;
  if (name === "record") finish(exchange);
}

function step(exchange: Planned, name: Exclude<PhaseName, "record">): PhaseName | typeof WAIT {
  switch (name) {
    case "receive":
      return receive(exchange);
    case "match":
      return match(exchange);
    case "guard":
      return guard(exchange);
    case "lookup":
      return lookup(exchange);
    case "serve":
      return serve(exchange, run);
    case "choose":
      return choose(exchange);
    case "forward":
      return forward(exchange);
    case "answer":
      return answer(exchange);
    case "relay":
      return relay(exchange);
  }
}

/** A phase threw: a defect of ours. The client sees a cut or a closed connection, the log sees why. */
function fall(exchange: Planned, defect: unknown): void {
  exchange.failure = fail("internal", String(defect));
  exchange.plan.services.report(defectText(defect));
  exchange.upstream?.cancel();
  exchange.upstream = undefined;
  exchange.downstream.abort(exchange);
}

/** Ends the exchange: recorded once, and no event reaches it any more. */
export function finish(exchange: Planned): void {
  if (exchange.isOver) return;
  exchange.isOver = true;
  exchange.plan.hold?.leave();
  exchange.plan.again?.end();
  exchange.plan.coder?.close();
  record(exchange);
}
