/**
 * Policies: named sets of route keys, merged into a route.
 *
 * rule   layers in order: the policies as the route lists them, then the route itself; a later layer wins.
 *        `match`, `rewrite`, `timeouts`, `retry` and `errorPages` are merged key by key; of header edits,
 *        the last layer that mentions a field name decides what happens to it
 */
import type { HEADER_EDITS } from "../options/options.table.ts";
import type { Written } from "../options/types.ts";
import type { WrittenPolicy, WrittenRoute } from "./written-route.ts";

type Edits = Written<typeof HEADER_EDITS>;

export function mergePolicies(route: WrittenRoute, policies: readonly WrittenPolicy[]): WrittenRoute {
  return policies.length === 0 ? route : [...policies, route].reduce<WrittenRoute>(mergeLayer, {});
}

function mergeLayer(below: WrittenRoute, layer: WrittenRoute): WrittenRoute {
  const merged = {
    match: joined(below.match, layer.match),
    rewrite: joined(below.rewrite, layer.rewrite),
    timeouts: joined(below.timeouts, layer.timeouts),
    retry: joined(below.retry, layer.retry),
    errorPages: mergeNamed(below.errorPages, layer.errorPages),
    headers: mergeHeaders(below.headers, layer.headers),
  };
  const present = Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== undefined));
  return { ...below, ...layer, ...present };
}

function joined<T extends object>(below: T | undefined, above: T | undefined): T | undefined {
  return below === undefined || above === undefined ? (above ?? below) : { ...below, ...above };
}

function mergeNamed<E extends { readonly name: string }>(
  below: readonly E[] | undefined,
  above: readonly E[] | undefined,
): readonly E[] | undefined {
  if (below === undefined || above === undefined) return above ?? below;
  return [...below.filter((entry) => !above.some(({ name }) => name === entry.name)), ...above];
}

function mergeHeaders(
  below: WrittenRoute["headers"],
  above: WrittenRoute["headers"],
): WrittenRoute["headers"] {
  if (below === undefined || above === undefined) return above ?? below;
  return {
    request: mergeEdits(below.request ?? {}, above.request ?? {}),
    response: mergeEdits(below.response ?? {}, above.response ?? {}),
  };
}

function mergeEdits(below: Edits, above: Edits): Edits {
  const decided = new Set([
    ...[...(above.set ?? []), ...(above.add ?? [])].map(([name]) => name.toLowerCase()),
    ...(above.remove ?? []),
  ]);
  const isOpen = ([name]: readonly [string, string]) => !decided.has(name.toLowerCase());
  return {
    set: [...(below.set ?? []).filter(isOpen), ...(above.set ?? [])],
    add: [...(below.add ?? []).filter(isOpen), ...(above.add ?? [])],
    remove: [...(below.remove ?? []).filter((name) => !decided.has(name)), ...(above.remove ?? [])],
  };
}
