/**
 * Match: which route takes the request? Before any route: does its listener send it to https?
 */
import { fail } from "../core/failure.ts";
import { ROUTE } from "../observe/metrics.table.ts";
import { challengeAnswer } from "./acme-challenge.ts";
import type { NextOf } from "./phases.table.ts";
import type { Planned, Site, ToHttps } from "./plan.ts";
import { redirectToHttps } from "./to-https.ts";

export function match(exchange: Planned): NextOf<"match"> {
  const { plan } = exchange;
  const site = exchange.downstream.listener.site as Site;
  const challenge = challengeAnswer(exchange.method, exchange.path, plan.services.httpChallenges);
  if (challenge !== undefined) {
    plan.local = challenge;
    return "answer";
  }
  if (site.toHttps !== undefined && isSentToHttps(exchange, site.toHttps)) return "answer";
  const route = site.table.find(exchange);
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

function isSentToHttps(exchange: Planned, rule: ToHttps): boolean {
  const answer = redirectToHttps(exchange, rule);
  if (answer === undefined) return false;
  if ("code" in answer) exchange.failure = answer;
  else exchange.plan.local = answer;
  return true;
}
