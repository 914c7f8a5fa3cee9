/**
 * Guard: may the request pass, and what does its route do with it?
 *
 * why    when buffers are at their ceiling, the newest request is refused: those under way can finish. Before it comes
 *        to that, an overloaded worker turns away some by their route's priority
 */
import { fail } from "../core/failure.ts";
import { fieldIdOf } from "../core/field-names.ts";
import { WORKER } from "../observe/metrics.table.ts";
import { grpcTimeoutMs } from "./grpc.ts";
import type { NextOf } from "./phases.table.ts";
import type { LocalAnswer, Planned, Route } from "./plan.ts";
import { requestTimeoutMs } from "./request-timeout.ts";

const GRPC_TIMEOUT = fieldIdOf("grpc-timeout");
const REQUEST_TIMEOUT = fieldIdOf("x-request-timeout");
const NO_BODY = Buffer.alloc(0);

export function guard(exchange: Planned): NextOf<"guard"> {
  const { plan } = exchange;
  if (plan.services.budget.isExhausted) {
    exchange.failure = fail("out_of_memory", `${plan.services.budget.usedBytes} bytes buffered`);
    return "answer";
  }
  const route = plan.route as Route;
  const { shedder } = plan.services;
  if (!shedder.admits(route.shed, plan.services.chance())) return shed(exchange, route);
  const { action } = route;
  if (action.kind === "proxy") {
    if (route.requestMs > 0) exchange.deadlineMs = exchange.startedAtMs + route.requestMs;
    const { requestFields: fields } = exchange;
    if (fields.has(GRPC_TIMEOUT)) shortenDeadline(exchange, grpcTimeoutMs(fields));
    if (fields.has(REQUEST_TIMEOUT)) shortenDeadline(exchange, requestTimeoutMs(fields));
    return plan.services.cache === undefined ? "choose" : "lookup";
  }
  if (action.kind === "files") return "serve";
  plan.local = action.kind === "respond" ? action : redirect(exchange, action);
  return "answer";
}

/** Of no use to anybody unless it costs next to nothing: no endpoint is asked, no body is waited for. */
function shed(exchange: Planned, { shed: priority }: Route): "answer" {
  const { counters, workerSlot, shedder } = exchange.plan.services;
  const at = workerSlot + WORKER.at.shed + priority;
  counters[at] = (counters[at] as number) + 1;
  exchange.failure = fail("shed", shedder.cause);
  return "answer";
}

/** A client says how long it waits: nothing is done for it after that. */
function shortenDeadline(exchange: Planned, waitsMs: number): void {
  exchange.deadlineMs = Math.min(exchange.deadlineMs, exchange.startedAtMs + waitsMs);
}

function redirect(
  exchange: Planned,
  action: { readonly status: number; readonly to: (facts: Planned) => string },
): LocalAnswer {
  return { status: action.status, lines: `Location: ${action.to(exchange)}\r\n`, body: NO_BODY };
}
