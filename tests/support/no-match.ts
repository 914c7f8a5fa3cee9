/**
 * No match: a route test that asks nothing, for tests to say only what they ask.
 */
import type { RouteMatch } from "../../src/route/match.ts";

export const NO_MATCH: RouteMatch = {
  hosts: [],
  path: undefined,
  methods: [],
  headers: [],
  query: [],
  cookies: [],
  clientIp: [],
  clientCert: undefined,
};
