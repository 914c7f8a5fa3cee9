/**
 * Cached routes: which routes may keep a URL that a person names, and under which name it stands there.
 *
 * why    a purge of `/a?utm=1&b=2` must reach what the route keeps as `/a?b=2`, or under another host; who types it need not
 *        know the route's key
 * in     URLs with or without scheme, as written by people: letters that a path cannot hold are encoded
 * rule   routes are chosen by host and path alone: which headers a stored request had is not known. So a purge may reach
 *        too much, never too little
 * cost   linear in the routes that cache, for each name
 */
import { domainToASCII } from "node:url";
import type { PurgeKind } from "../admin/cache-status.ts";
import { cacheKey, hostOfUrl, urlOfKey } from "../cache/key.ts";
import type { CachePolicy } from "../cache/policy.ts";
import type { PurgeScope } from "../cache/store.ts";
import type { Config, RouteConfig } from "../config/config.ts";
import { type Fields, fieldsOfLines } from "../core/fields.ts";
import type { RouteRequest } from "../route/conditions.ts";
import { normaliseHost } from "../route/host.ts";
import { encodeIllegal, normalisePath } from "../route/path.ts";
import { compileTable, type RouteTable } from "../route/table.ts";

export interface CachedRoute {
  readonly config: RouteConfig;
  readonly policy: CachePolicy;
}

/** A URL as keys name it, in its parts. */
export interface NamedUrl {
  /** undefined = not said. */
  readonly scheme: "http" | "https" | undefined;
  /** Normal form, without port. */
  readonly host: string;
  /** Host and port; without the scheme's own port, and where the scheme is not said without any usual one. */
  readonly authority: string;
  /** Normal form. */
  readonly path: string;
  readonly query: string;
}

const NO_FIELDS = fieldsOfLines("");
const USUAL_PORTS: Readonly<Record<string, readonly string[]>> = {
  http: ["80"],
  https: ["443"],
  "": ["80", "443"],
};

export class CachedRoutes {
  readonly #table: RouteTable<CachedRoute>;
  /** The same routes whatever their paths. */
  readonly #byHost: RouteTable<CachedRoute>;
  readonly isEmpty: boolean;

  constructor({ routes }: Pick<Config, "routes">) {
    const cached = routes.flatMap((config) =>
      config.cache === undefined ? [] : [{ config, policy: config.cache }],
    );
    this.isEmpty = cached.length === 0;
    this.#table = tableOf(cached, true);
    this.#byHost = tableOf(cached, false);
  }

  /** Routes that may keep it, in their order of precedence. */
  routesOf(named: Pick<NamedUrl, "host" | "path" | "query">): readonly CachedRoute[] {
    return this.#table
      .explain(requestFor(named))
      .filter(({ verdict }) => verdict !== "host" && verdict !== "path")
      .map(({ rule }) => rule.value);
  }

  /** All that has to be purged for a name that a person has given. out  what is wrong with the name, as a text */
  scopesOf(kind: PurgeKind, name: string): readonly PurgeScope[] | string {
    switch (kind) {
      case "all":
        return [{ kind: "all" }];
      case "tag":
        return [{ kind: "tag", tag: name }];
      case "host":
        return this.#hostScopes(name);
      case "url":
        return this.#urlScopes(name);
      case "prefix":
        return this.#prefixScopes(name);
    }
  }

  #urlScopes(name: string): readonly PurgeScope[] | string {
    const named = parseUrl(name);
    if (typeof named === "string") return named;
    const { authority, path, query } = named;
    const urls = new Set([joinUrl(authority, path, query)]);
    for (const route of this.routesOf(named)) urls.add(urlOfKey(keyOf(route, named, NO_FIELDS)));
    return [...urls].map((url) => ({ kind: "url", url }));
  }

  #prefixScopes(name: string): readonly PurgeScope[] | string {
    const named = parseUrl(name);
    if (typeof named === "string") return named;
    const { host, authority, path, query } = named;
    const rest = joinUrl("", path, query);
    return [...this.#hostsFor(host, authority)].map((each) => ({ kind: "prefix", prefix: each + rest }));
  }

  #hostScopes(name: string): readonly PurgeScope[] | string {
    const named = parseUrl(name);
    if (typeof named === "string") return named;
    if (named.path !== "/" || named.query !== "") return `"${name}" is more than a host: purge a prefix`;
    return [...this.#hostsFor(named.host, named.host)].map((each) => ({
      kind: "host",
      host: hostOfUrl(each),
    }));
  }

  /** The host itself, and those that stand for it in the keys of its routes. */
  #hostsFor(host: string, authority: string): ReadonlySet<string> {
    const folded = this.#byHost
      .explain(requestFor({ host, path: "/", query: "" }))
      .filter(({ verdict }) => verdict !== "host")
      .map(({ rule }) => rule.value.policy.key.host)
      .filter((each) => each !== undefined);
    return new Set([authority, ...folded]);
  }
}

/** What a person tells of a request. */
function requestFor({ host, path, query }: Pick<NamedUrl, "host" | "path" | "query">): RouteRequest {
  const downstream = { tls: undefined };
  return { host, path, query, method: "GET", requestFields: NO_FIELDS, clientIp: "", downstream };
}

function tableOf(routes: readonly CachedRoute[], hasPaths: boolean): RouteTable<CachedRoute> {
  return compileTable(
    routes.map((value) => {
      const { name, match, priority } = value.config;
      return { name, match: hasPaths ? match : { ...match, path: undefined }, priority, value };
    }),
  );
}

/** The key that a request with these fields has on a route; as http where the scheme is not said. */
export function keyOf(
  { config, policy }: CachedRoute,
  { scheme, authority, path, query }: NamedUrl,
  requestFields: Fields,
): string {
  return cacheKey(policy.key, {
    route: config.name,
    scheme: scheme ?? "http",
    authority,
    path,
    query,
    requestFields,
    extra: "",
  });
}

const joinUrl = (authority: string, path: string, query: string) =>
  `${authority}${path}${query === "" ? "" : `?${query}`}`;

/** `[scheme://]host[:port][/path][?query]`. out  what is wrong with it, as a text */
export function parseUrl(written: string): NamedUrl | string {
  const parts = /^(?:(https?):\/\/)?(?![a-z]+:\/)([^/?#\s@]+)(\/[^?#]*)?(?:\?([^#]*))?(?:#.*)?$/i.exec(
    written,
  );
  if (parts === null)
    return `"${written}" is no URL such as https://example.com/logo.png: it begins with a host`;
  const [, schemeText = "", authorityText = "", pathText = "/", query = ""] = parts;
  const host = normaliseHost(asciiHost(authorityText));
  if (host === undefined) return `"${authorityText}" is no host${wildcardHint(authorityText)}`;
  const path = normalisePath(encodeIllegal(pathText), "pass");
  if (path === undefined) return `"${pathText}" is no path that a request can have`;
  const scheme = schemeText.toLowerCase();
  const port = /:(\d+)$/.exec(authorityText)?.[1];
  const isUsual = port === undefined || USUAL_PORTS[scheme]?.includes(port) === true;
  return {
    scheme: scheme === "http" || scheme === "https" ? scheme : undefined,
    host,
    authority: isUsual ? host : `${host}:${port}`,
    path,
    query: query.replace(/[^\x21-\x7e]/gu, encodeURIComponent),
  };
}

/** Names that are not ASCII as clients send them (RFC 5891 §4.4). */
function asciiHost(authority: string): string {
  if (/^[\x20-\x7e]*$/.test(authority)) return authority;
  const [name = "", port] = authority.split(":");
  return port === undefined ? domainToASCII(name) : `${domainToASCII(name)}:${port}`;
}

const wildcardHint = (text: string) => (text.includes("*") ? ": purge each host by its name" : "");
