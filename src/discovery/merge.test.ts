import { expect, test } from "bun:test";
import { testUpstream } from "../../tests/support/test-upstream.ts";
import type { Config, EndpointConfig } from "../config/config.ts";
import { hasSameEndpoints, withDiscovered } from "./merge.ts";
import { plainEndpoint } from "./source.ts";

const discovery = { kind: "file", path: "/x", intervalMs: 1000 } as const;
const endpoint = (name: string): EndpointConfig => plainEndpoint(name, "127.0.0.1", 1);
const configOf = (...upstreams: Config["upstreams"]) => ({ upstreams }) as unknown as Config;

test("what is found stands behind what is listed, and what is both stays as it is listed", () => {
  const listed = { ...endpoint("a"), weight: 5 };
  const config = configOf(testUpstream([listed], { discovery }), testUpstream([], { name: "other" }));
  const merged = withDiscovered(config, new Map([["app", [endpoint("a"), endpoint("b")]]]));
  expect(merged.upstreams[0]?.endpoints.map(({ name, weight }) => [name, weight])).toEqual([
    ["a", 5],
    ["b", 1],
  ]);
  expect(merged.upstreams[1]).toBe(config.upstreams[1] as never);
});

test("a configuration without discovery is the same object", () => {
  const config = configOf(testUpstream([{}]));
  expect(withDiscovered(config, new Map([["app", [endpoint("x")]]]))).toBe(config);
});

test("configurations differ when an endpoint or one of its properties does", () => {
  const one = configOf(testUpstream([endpoint("a")], { discovery }));
  expect(hasSameEndpoints(one, configOf(testUpstream([endpoint("a")], { discovery })))).toBe(true);
  expect(
    hasSameEndpoints(one, configOf(testUpstream([{ ...endpoint("a"), weight: 2 }], { discovery }))),
  ).toBe(false);
  expect(hasSameEndpoints(one, configOf(testUpstream([], { discovery })))).toBe(false);
});
