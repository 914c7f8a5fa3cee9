/**
 * Cache: the store that routes share, and what fits into it.
 */
import { dirname, isAbsolute } from "node:path";
import type { CacheConfig, RouteConfig, ServerConfig } from "../config.ts";
import { CACHE, CACHE_DISK, CACHE_PURGE, MIN_MEMORY } from "../options/cache.table.ts";
import { type Written, withDefaults } from "../options/types.ts";
import { type Place, quote } from "../problem.ts";
import { formatSize } from "../quantity.ts";
import type { CheckFacts } from "./facts.ts";
import { absolutePath } from "./places.ts";

interface CacheNeeds {
  readonly facts: CheckFacts;
  readonly server: ServerConfig;
  /** In the order of the file. */
  readonly routes: readonly RouteConfig[];
}

/** `root` is the file's. out  undefined: nothing is allocated */
export function checkCache(
  written: Written<typeof CACHE> | undefined,
  root: Place,
  { facts, server, routes }: CacheNeeds,
): CacheConfig | undefined {
  const caching = routes.filter(({ cache }) => cache !== undefined);
  if (written === undefined && caching.length === 0) return undefined;
  const place = root.key("cache");
  if (caching.length === 0) {
    place.warning("nothing is kept: no route has `cache`", "Add `cache: true` to a route, or remove it.");
  }
  const purge = withDefaults(CACHE_PURGE, written?.purge);
  const config: CacheConfig = {
    memoryBytes: memoryOf(written, server),
    disk: checkDisk(written?.disk, place.key("disk"), facts),
    purgeFrom: [...new Set(purge.from)],
    audit: checkAudit(purge.audit, place.key("purge").key("audit"), facts),
  };
  warnOfOpenPurge(config.purgeFrom, place.key("purge").key("from"));
  warnOfLargeBodies(config, root.key("routes"), routes);
  return config;
}

/** As asked for; when left out, what suits the rest: a machine that is to hold little holds a small cache. */
function memoryOf(written: Written<typeof CACHE> | undefined, server: ServerConfig): number {
  const { memory } = withDefaults(CACHE, written);
  if (written?.memory !== undefined) return memory;
  const half = Math.floor((server.memoryBytes * server.workers) / 2);
  return Math.max(MIN_MEMORY, Math.min(memory, half));
}

/** The system's own: a cache sweeps its folder, and would take what others rely on. */
const SYSTEM =
  /^\/(?:(?:bin|boot|dev|etc|lib\w*|proc|sbin|sys)(?:\/.*)?|home|opt|root|run|srv|tmp|usr|var)?$/;
const SWEPT = /^\/(?:tmp|var\/tmp)(?:\/|$)/;

function checkDisk(
  written: Written<typeof CACHE_DISK> | undefined,
  place: Place,
  facts: CheckFacts,
): CacheConfig["disk"] {
  const { path, size } = withDefaults(CACHE_DISK, written);
  if (path === undefined || size === undefined) return undefined;
  const folder = absolutePath(path, facts.folder).replace(/(?<=.)\/+$/, "");
  const at = place.key("path");
  const kind = facts.kindOf(folder);
  if (kind === "file" || kind === "other") {
    at.error(`${quote(path)} is not a folder`, "Name a folder of its own, such as /var/cache/weir.");
  } else if (isAbsolute(path) && SYSTEM.test(folder)) {
    at.error(`${quote(path)} is no place for a cache`, "Name a folder of its own, such as /var/cache/weir.");
  } else if (folder === facts.folder.replace(/\/+$/, "")) {
    at.error(
      "the folder of the configuration is not the cache's own",
      "Name a folder of its own, such as ./cache.",
    );
  } else if (isAbsolute(path) && SWEPT.test(path)) {
    at.warning(
      `files below ${quote(path)} may be swept away by the system`,
      "Use a folder such as /var/cache/weir.",
    );
  }
  return { path: folder, bytes: size };
}

function checkAudit(written: string | undefined, place: Place, facts: CheckFacts): string | undefined {
  if (written === undefined) return undefined;
  const path = absolutePath(written, facts.folder);
  const kind = facts.kindOf(path);
  if (written === "" || kind === "folder") place.error(`${quote(written)} is not a file`, "Name a file.");
  else if (kind === "missing" && facts.kindOf(dirname(path)) === "missing") {
    const hint = "Make it, or purges are listed in the program's log only.";
    place.warning(`there is no folder ${quote(dirname(path))}`, hint);
  }
  return path;
}

function warnOfOpenPurge(from: readonly string[], place: Place): void {
  const open = from.find((block) => /\/0$/.test(block));
  if (open === undefined) return;
  place.warning(`${open} is everybody: anyone may empty the cache`, "Name the addresses that purge.");
}

/** A `maxSize` that was asked for and cannot be had. */
function warnOfLargeBodies(config: CacheConfig, place: Place, routes: readonly RouteConfig[]): void {
  const from = config.disk === undefined ? "`cache.memory`" : "`cache.disk.size`";
  const largest = Math.floor((config.disk?.bytes ?? config.memoryBytes) / 4);
  for (const [index, { cache }] of routes.entries()) {
    const at = place.item(index).key("cache");
    if (cache === undefined || !at.has("maxSize") || cache.maxBytes <= largest) continue;
    const hint = "Make it less, or the budget larger.";
    at.key("maxSize").warning(
      `no body of more than a quarter of ${from} is kept: ${formatSize(largest)}`,
      hint,
    );
  }
}
