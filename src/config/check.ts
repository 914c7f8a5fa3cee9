/**
 * Check: a document becomes a Config with every default filled in, or all of its problems.
 *
 * why    the only way to a Config: whatever runs has passed here
 * in     a Source, and what the check needs to know of the machine, handed in: this folder does no I/O
 * out    a Config when there is no error; warnings may come beside it
 * how    fill in variables → read by the option rows → join the parts (names, policies, addresses)
 */

import { checkCache } from "./check/cache.ts";
import type { CheckFacts } from "./check/facts.ts";
import { checkListeners } from "./check/listeners.ts";
import { checkAdmin, checkObserve, checkServer } from "./check/machine.ts";
import { checkRoutes } from "./check/routes.ts";
import { UpstreamTable } from "./check/upstreams.ts";
import type { Config, Problem } from "./config.ts";
import { fillVariables } from "./environment.ts";
import { object } from "./options/containers.ts";
import { ROOT } from "./options/options.table.ts";
import { Place, Report, type Source } from "./problem.ts";

export interface Checked {
  readonly config: Config | undefined;
  /** The admin listener as far as it could be read, even when the file has problems elsewhere. */
  readonly admin: Config["admin"];
  readonly problems: readonly Problem[];
}

export function checkConfig(source: Source, facts: CheckFacts): Checked {
  const report = new Report();
  const place = new Place(source, report);
  const config = read(source.value, place, facts);
  return {
    config: report.errorCount === 0 ? config : undefined,
    admin: config?.admin,
    problems: report.problems(),
  };
}

function read(value: unknown, place: Place, facts: CheckFacts): Config | undefined {
  if (value === null || value === undefined) {
    place.error("the configuration is empty", "It needs at least `listeners` and `routes`.");
    return undefined;
  }
  const written = object(ROOT).read(fillVariables(value, place, facts.env), place);
  if (written === undefined) return undefined;
  const server = checkServer(written.server, facts);
  const listeners = checkListeners(written.listeners, place.key("listeners"), facts);
  const upstreams = new UpstreamTable(written.upstreams, place, facts, server);
  const routes = checkRoutes(written, place, {
    facts,
    upstreams,
    listeners: place.key("listeners").names(),
    listenerConfigs: listeners,
  });
  const cache = checkCache(written.cache, place, { facts, server, routes });
  const admin = checkAdmin(written.admin, place.key("admin"), { facts, listeners });
  const observe = checkObserve(written.observe, place.key("observe"), facts);
  return { server, listeners, routes, upstreams: upstreams.all(), admin, observe, cache };
}
