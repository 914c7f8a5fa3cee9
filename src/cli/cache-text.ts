/**
 * Cache text: how full the cache is and what it does for each route, as lines for a terminal.
 */
import type { RouteCacheStatus } from "../admin/cache-status.ts";
import type { Status } from "../admin/status.ts";
import { type Column, sizeText, tableLines } from "./table.ts";
import { type Palette, printable } from "./terminal.ts";

/** A screen; `--json` has all. */
const MAX_ROUTES = 40;

/** Nothing where nothing is cached. */
export function cacheLines({ cache, routes }: Pick<Status, "cache" | "routes">, paint: Palette): string[] {
  if (cache === undefined) return [];
  const tiers = tableLines(
    [text("CACHE"), number("USED"), number("OF"), number("FULL"), number("RESPONSES"), number("EVICTED")],
    cache.tiers.map(({ tier, usedBytes, budgetBytes, objects, evicted }) => [
      tier,
      sizeText(usedBytes),
      sizeText(budgetBytes),
      shareText(usedBytes, budgetBytes - usedBytes),
      `${objects}`,
      `${evicted}`,
    ]),
  );
  const [head, ...rows] = routeLines(routes);
  const hidden = rows.length - MAX_ROUTES;
  const more = hidden > 0 ? [paint.dim(`… and ${hidden} more; --json has all`)] : [];
  const table = head === undefined ? [] : ["", paint.dim(head), ...rows.slice(0, MAX_ROUTES), ...more];
  return [paint.dim(tiers[0] ?? ""), ...tiers.slice(1), ...table, ...dryLines(routes, paint)];
}

function routeLines(routes: Status["routes"]): string[] {
  const cached = routes.flatMap(({ name, cache }) => (cache === undefined ? [] : [{ name, cache }]));
  return tableLines(
    [
      text("ROUTE"),
      number("HITS"),
      number("BYTES SAVED"),
      number("HIT"),
      number("STALE"),
      number("REVALIDATED"),
      number("MISS"),
      number("SHARED"),
      number("BYPASS"),
      number("STORED"),
      number("REFUSED"),
    ],
    cached
      .toSorted((a, b) => askedOf(b.cache) - askedOf(a.cache))
      .map(({ name, cache }) => [
        printable(name),
        shareText(answeredOf(cache), askedOf(cache) - answeredOf(cache)),
        `${sizeText(cache.bytesFromCache)} ${shareText(cache.bytesFromCache, cache.bytesFromEndpoint)}`,
        `${cache.hit}`,
        `${cache.stale}`,
        `${cache.revalidated}`,
        `${cache.miss}`,
        `${cache.coalesced}`,
        `${cache.bypass}`,
        `${cache.stored}`,
        `${cache.refused}`,
      ]),
  );
}

/** What routes with `dryRun` would have done. */
function dryLines(routes: Status["routes"], paint: Palette): string[] {
  const lines = routes.flatMap(({ name, cache }) => {
    if (cache?.dry === undefined) return [];
    const { hit, differed, stored } = cache.dry;
    const wrong =
      differed === 0 ? "" : paint.warn(`, ${differed} with something else than the endpoint sent`);
    const share = shareText(hit, cache.bypass - hit);
    return [`${printable(name)}: a dry run: ${hit} would be hits (${share})${wrong}; ${stored} stored`];
  });
  return lines.length === 0 ? [] : ["", ...lines.slice(0, MAX_ROUTES)];
}

const text = (title: string): Column => ({ title });
const number = (title: string): Column => ({ title, isNumber: true });

/** Requests that were answered out of the store. */
const answeredOf = ({ hit, stale, revalidated }: RouteCacheStatus) => hit + stale + revalidated;
const askedOf = (counts: RouteCacheStatus) => answeredOf(counts) + counts.miss + counts.bypass;

/** `37 %` of both together. */
function shareText(part: number, rest: number): string {
  return part + rest <= 0 ? "-" : `${Math.round((100 * part) / (part + rest))} %`;
}
