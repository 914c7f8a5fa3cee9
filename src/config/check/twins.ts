/**
 * Twins: two routes that can never be told apart, so that one of them would never be used.
 *
 * why    the order in the file decides nothing a person can rely on; better to say so than to pick one
 * cost   one key for each route, listener and host
 */
import type { RouteMatch } from "../../route/match.ts";
import type { RouteConfig } from "../config.ts";
import type { Place } from "../problem.ts";

export interface PlacedRoute {
  readonly route: RouteConfig;
  readonly place: Place;
}

export function refuseTwins(routes: readonly PlacedRoute[], listeners: readonly string[]): void {
  const seen = new Map<string, PlacedRoute>();
  for (const placed of routes) {
    const twin = keysOf(placed.route, listeners)
      .map((key) => ({ key, first: seen.get(key) }))
      .find(({ key, first }) => {
        if (first === undefined) seen.set(key, placed);
        return first !== undefined && first !== placed;
      })?.first;
    if (twin === undefined) continue;
    placed.place.error(
      `this route matches the same requests as \`${twin.route.name}\` (${twin.place.where}) and would never be used`,
      "Change its `match`, or give one of them a `priority`.",
    );
  }
}

function keysOf({ match, listeners, priority }: RouteConfig, all: readonly string[]): readonly string[] {
  const rest = JSON.stringify([
    priority,
    match.path,
    sorted(match.methods),
    sorted(match.clientIp),
    match.clientCert ?? null,
    testsOf(match),
  ]);
  const hosts = match.hosts.length === 0 ? [""] : match.hosts;
  return (listeners.length === 0 ? all : listeners).flatMap((listener) =>
    hosts.map((host) => `${listener} ${host} ${rest}`),
  );
}

function testsOf(match: RouteMatch): readonly string[][] {
  return [match.headers, match.query, match.cookies].map((tests) =>
    sorted(tests.map((test) => JSON.stringify(test))),
  );
}

function sorted(texts: readonly string[]): string[] {
  return texts.toSorted();
}
