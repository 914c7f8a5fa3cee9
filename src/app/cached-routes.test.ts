import { describe, expect, test } from "bun:test";
import type { CachePolicy } from "../cache/policy.ts";
import type { PurgeScope } from "../cache/store.ts";
import type { RouteConfig } from "../config/config.ts";
import type { RouteMatch } from "../route/match.ts";
import { CachedRoutes, parseUrl } from "./cached-routes.ts";

const ANY: RouteMatch = {
  hosts: [],
  path: undefined,
  methods: [],
  headers: [],
  query: [],
  cookies: [],
  clientIp: [],
  clientCert: undefined,
};
const WHOLE: CachePolicy["key"] = {
  query: { mode: "except", names: [] },
  sortQuery: false,
  headers: [],
  cookies: [],
  device: false,
  languages: [],
  host: undefined,
};

function route(name: string, match: Partial<RouteMatch>, key: Partial<CachePolicy["key"]> | undefined) {
  const cache = key === undefined ? undefined : { key: { ...WHOLE, ...key } };
  return { name, match: { ...ANY, ...match }, priority: 0, cache } as RouteConfig;
}

const ROUTES = new CachedRoutes({
  routes: [
    route("shop", { hosts: ["shop.test"] }, { query: { mode: "except", names: ["utm_*"] }, sortQuery: true }),
    route(
      "shop-phone",
      { hosts: ["shop.test"], headers: [{ name: "x-app", test: { kind: "present" } }] },
      {},
    ),
    route(
      "mirror",
      { hosts: ["*.cdn.test"], path: { kind: "pattern", source: "^/v\\d+/" } },
      { host: "cdn.test" },
    ),
    route("plain", { hosts: ["plain.test"] }, undefined),
  ],
});

const text = (scopes: readonly PurgeScope[] | string) =>
  typeof scopes === "string" ? scopes : scopes.map((scope) => Object.values(scope).slice(1).join(" ")).sort();

describe("what a person names is purged under every name that it is stored under", () => {
  const rows: [
    what: string,
    kind: "url" | "prefix" | "host" | "tag" | "all",
    name: string,
    found: string[],
  ][] = [
    ["a URL as it stands", "url", "https://shop.test/a", ["shop.test/a"]],
    [
      "parameters that one route leaves out and sorts, and another keeps",
      "url",
      "shop.test/a?z=1&utm_source=x&b=2",
      ["shop.test/a?b=2&z=1", "shop.test/a?z=1&utm_source=x&b=2"],
    ],
    [
      "a host that another one stands for",
      "url",
      "http://eu.cdn.test/v2/x",
      ["cdn.test/v2/x", "eu.cdn.test/v2/x"],
    ],
    ["a path that the route does not take", "url", "http://eu.cdn.test/x", ["eu.cdn.test/x"]],
    ["a URL of no route that caches", "url", "plain.test/", ["plain.test/"]],
    ["capitals, the scheme's port, dot segments", "url", "HTTPS://Shop.TEST:443/a/../%62", ["shop.test/b"]],
    ["another port", "url", "http://shop.test:8080", ["shop.test:8080/"]],
    ["the port of another scheme", "url", "http://shop.test:443/", ["shop.test:443/"]],
    ["a usual port without scheme", "url", "shop.test:443/", ["shop.test/"]],
    ["letters that are not ASCII", "url", "http://shöp.test/café", ["xn--shp-tna.test/caf%C3%A9"]],
    ["a prefix", "prefix", "shop.test/blog/", ["shop.test/blog/"]],
    [
      "a prefix below a host that another stands for",
      "prefix",
      "a.cdn.test/v1",
      ["a.cdn.test/v1", "cdn.test/v1"],
    ],
    ["a host as a prefix ends there", "prefix", "shop.test", ["shop.test/"]],
    ["a host", "host", "Shop.test", ["shop.test"]],
    ["a host that another stands for", "host", "a.cdn.test", ["a.cdn.test", "cdn.test"]],
    ["a tag as it is written", "tag", "Product-1", ["Product-1"]],
    ["everything", "all", "", [""]],
  ];
  for (const [what, kind, name, found] of rows) {
    test(what, () => expect(text(ROUTES.scopesOf(kind, name))).toEqual(found));
  }
});

describe("a name that can be none is told", () => {
  const rows: [kind: "url" | "host", name: string, part: string][] = [
    ["url", "/logo.png", "begins with a host"],
    ["url", "https://*.shop.test/", "purge each host by its name"],
    ["url", "http://shop.test/%zz", "no path"],
    ["host", "shop.test/blog", "purge a prefix"],
    ["url", "ftp://shop.test/", "begins with a host"],
  ];
  for (const [kind, name, part] of rows) {
    test(name, () => expect(text(ROUTES.scopesOf(kind, name))).toContain(part));
  }
});

test("a scheme is only known when it is said", () => {
  expect(parseUrl("https://a.test/?q")).toEqual({
    scheme: "https",
    host: "a.test",
    authority: "a.test",
    path: "/",
    query: "q",
  });
  expect(parseUrl("a.test")).toMatchObject({ scheme: undefined, path: "/" });
});

test("there is nothing to look for when no route caches", () => {
  expect(new CachedRoutes({ routes: [] }).isEmpty).toBe(true);
  expect(ROUTES.isEmpty).toBe(false);
});
