/**
 * Policies: named sets of route keys, merged into a route.
 *
 * rule   layers in order: the policies as the route lists them, then the route itself; a later layer wins.
 *        `match`, `rewrite`, `timeouts`, `retry`, `compress` and `errorPages` are merged key by key, `cache` and its
 *        `key` and `vary` too: a layer that adds a part of the key must not lose another; of header edits, the last
 *        layer that mentions a field name decides what happens to it
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
    cache: mergeCache(below.cache, layer.cache),
    compress: mergeCompress(below.compress, layer.compress),
    errorPages: mergeNamed(below.errorPages, layer.errorPages),
    headers: mergeHeaders(below.headers, layer.headers),
  };
  const present = Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== undefined));
  return { ...below, ...layer, ...present };
}

function joined<T extends object>(below: T | undefined, above: T | undefined): T | undefined {
  return below === undefined || above === undefined ? (above ?? below) : { ...below, ...above };
}

function mergeCache(below: WrittenRoute["cache"], above: WrittenRoute["cache"]): WrittenRoute["cache"] {
  if (below === undefined || above === undefined) return above ?? below;
  const parts = { key: joined(below.key, above.key), vary: joined(below.vary, above.vary) };
  const present = Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined));
  return { ...below, ...above, ...present };
}

function mergeCompress(
  below: WrittenRoute["compress"],
  above: WrittenRoute["compress"],
): WrittenRoute["compress"] {
  return below === false || above === false ? (above ?? below) : joined(below, above);
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
