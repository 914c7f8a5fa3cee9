/**
 * Judgements told in short, for the tests of what may be stored: what is not said is a GET of `/` that is answered 200
 * just now, on a route that says nothing.
 */
import { fieldsOfLines } from "../core/fields.ts";
import { httpDate } from "../core/http-clock.ts";
import { requestDirectives } from "./directives.ts";
import type { CachePolicy } from "./policy.ts";
import { judgeResponse } from "./storable.ts";
import type { StoreVerdict } from "./verdict.ts";

export const NOW = Date.UTC(2026, 5, 1, 12, 0, 0);
export const at = (seconds: number) => httpDate(NOW + seconds * 1000);

export const PLAIN: CachePolicy = {
  isDry: false,
  ttlMs: {},
  overridesOrigin: false,
  minTtlMs: 0,
  maxTtlMs: 0,
  heuristic: true,
  staleWhileRevalidateMs: -1,
  staleIfErrorMs: -1,
  staleOn: ["error", "timeout"],
  keepMs: 3_600_000,
  jitter: 0,
  key: {
    query: { mode: "except", names: [] },
    sortQuery: false,
    headers: [],
    cookies: [],
    device: false,
    languages: [],
    host: undefined,
  },
  vary: { encoding: true, languages: [], ignore: [] },
  bypass: [],
  minUses: 1,
  minBytes: 0,
  maxBytes: 0,
  ignore: [],
  heedsClient: true,
  coalesceMs: 5000,
  sliceBytes: 0,
  status: true,
};

export interface Told {
  readonly method?: string;
  readonly path?: string;
  readonly hasBody?: boolean;
  readonly asked?: readonly string[];
  readonly status?: number;
  readonly came?: readonly string[];
  readonly bytes?: number;
  readonly delayMs?: number;
  readonly policy?: Partial<CachePolicy>;
  readonly chance?: number;
}

export const fieldsOf = (lines: readonly string[] = []) =>
  fieldsOfLines(lines.map((line) => `${line}\r\n`).join(""));

export function judge(told: Told): StoreVerdict {
  const {
    method = "GET",
    path = "/",
    hasBody = false,
    status = 200,
    bytes = -1,
    delayMs = 0,
    chance = 0,
  } = told;
  const policy = { ...PLAIN, ...told.policy };
  const asked = fieldsOf(told.asked);
  return judgeResponse(
    {
      method,
      path,
      url: `http://a.example${path}?q=1`,
      hasBody,
      fields: asked,
      directives: requestDirectives(asked, policy.heedsClient),
    },
    {
      status,
      fields: fieldsOf(told.came),
      declaredBytes: bytes,
      requestedAtMs: NOW - delayMs,
      respondedAtMs: NOW,
    },
    policy,
    chance,
  );
}

export const FRESH = ["Cache-Control: max-age=60"];
export const GUESSED = [`Last-Modified: ${at(-36_000)}`];
