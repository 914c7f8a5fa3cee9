/**
 * Match: which route takes the request?
 */
import { fail } from "../core/failure.ts";
import { ROUTE } from "../observe/metrics.table.ts";
import type { NextOf } from "./phases.table.ts";
import type { Planned, Site } from "./plan.ts";

export function match(exchange: Planned): NextOf<"match"> {
  const { plan } = exchange;
  const route = (exchange.downstream.listener.site as Site).table.find(exchange);
  if (route === undefined) {
    exchange.failure = fail("no_route");
    return "answer";
  }
  plan.route = route;
  const { counters } = plan.services;
  const at = route.slot + ROUTE.at.active;
  counters[at] = (counters[at] as number) + 1;
  return "guard";
}
