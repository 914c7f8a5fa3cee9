/**
 * Endpoint wish: what a person asks of one endpoint through the API, read and handed on.
 *
 * in     `POST /api/v1/upstreams/NAME/endpoints/ADDRESS`, names percent-encoded, and a JSON object with at least one of
 *        `state`, `weight`, `note`
 * out    the endpoint as it is now, or why not: 400 not understood, 404 no such endpoint, 409 nothing can be set there
 */
import { nearest } from "../config/suggest.ts";
import { OPERATOR } from "../health/board.table.ts";
import type { AdminHooks, EndpointStatus, EndpointWish, UpstreamStatus } from "./status.ts";

/** The path as it is documented. */
export const ENDPOINT_PATH = "/api/v1/upstreams/NAME/endpoints/ADDRESS";
const PATTERN = /^\/api\/v1\/upstreams\/([^/]+)\/endpoints\/([^/]+)$/;
/** As `weight` of an endpoint in the configuration. */
export const MAX_WEIGHT = 1000;
export const MAX_NOTE_LENGTH = 200;
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;
const KEYS = ["state", "weight", "note"] as const;

export interface ChangedEndpoint {
  readonly kind: "changed";
  readonly endpoint: EndpointStatus & { readonly upstream: string };
}

export interface RefusedWish {
  readonly kind: "refused";
  readonly status: 400 | 404 | 409;
  readonly message: string;
}

const refused = (status: RefusedWish["status"], message: string): RefusedWish => ({
  kind: "refused",
  status,
  message,
});

export const isEndpointPath = (path: string) => PATTERN.test(path);

export function changeEndpoint(hooks: AdminHooks, path: string, body: string): ChangedEndpoint | RefusedWish {
  const [, upstream, endpoint] = (PATTERN.exec(path) ?? []).map(decoded);
  if (upstream === undefined || endpoint === undefined) return refused(400, "a name is not percent-encoded");
  const wish = wishOf(body);
  if (typeof wish === "string") return refused(400, wish);
  const unknown = unknownName(hooks.status().upstreams, upstream, endpoint);
  if (unknown !== undefined) return refused(404, unknown);
  const changed = hooks.changeEndpoint(upstream, endpoint, wish);
  if (changed !== undefined) return { kind: "changed", endpoint: { upstream, ...changed } };
  return refused(
    409,
    `nothing can be set for "${endpoint}" here: an upgrade is under way, or there are more endpoints than have ` +
      "a state of their own. Try again in a moment",
  );
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** out  the wish, or what is wrong with it */
export function wishOf(body: string): EndpointWish | string {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    return 'the body is not JSON; expected for example {"state":"drain"}';
  }
  if (typeof json !== "object" || json === null || Array.isArray(json))
    return "the body is not a JSON object";
  for (const key of Object.keys(json)) {
    if (!KEYS.some((known) => known === key)) return `unknown key "${key}"${hint(key, KEYS)}`;
  }
  const { state, weight, note } = json as Readonly<Record<string, unknown>>;
  if (state === undefined && weight === undefined) return "say what to set: state, weight, or both";
  const wrong = wrongState(state) ?? wrongWeight(weight) ?? wrongNote(note);
  return wrong ?? (json as EndpointWish);
}

function wrongState(state: unknown): string | undefined {
  if (state === undefined || OPERATOR.some((known) => known === state)) return undefined;
  return `state is one of ${OPERATOR.join(", ")}${hint(String(state), OPERATOR)}`;
}

/** out  undefined for a weight that can be set */
export function wrongWeight(weight: unknown): string | undefined {
  if (weight === undefined || weight === "configured") return undefined;
  if (Number.isInteger(weight) && (weight as number) >= 0 && (weight as number) <= MAX_WEIGHT)
    return undefined;
  return `weight is a whole number from 0 to ${MAX_WEIGHT}, or "configured"`;
}

/** It stands in the log and on terminals: with line ends or escape sequences it could pretend to be something else. */
function wrongNote(note: unknown): string | undefined {
  if (note === undefined) return undefined;
  const isText = typeof note === "string" && note.length <= MAX_NOTE_LENGTH && !UNPRINTABLE.test(note);
  return isText ? undefined : `note is one line of text of at most ${MAX_NOTE_LENGTH} characters`;
}

function unknownName(
  upstreams: readonly UpstreamStatus[],
  upstream: string,
  endpoint: string,
): string | undefined {
  const names = upstreams.map(({ name }) => name);
  const found = upstreams.find(({ name }) => name === upstream);
  if (found === undefined) return `no upstream "${upstream}"${hint(upstream, names)}`;
  const endpoints = found.endpoints.map(({ name }) => name);
  if (endpoints.includes(endpoint)) return undefined;
  return `upstream "${upstream}" has no endpoint "${endpoint}"${hint(endpoint, endpoints)}`;
}

/** How many names are listed when none is near. */
const MAX_NAMED = 8;

function hint(word: string, known: readonly string[]): string {
  const near = nearest(word, known) ?? known.find((each) => each.includes(word));
  if (near !== undefined) return `; did you mean "${near}"?`;
  return known.length === 0 || known.length > MAX_NAMED ? "" : `; there is ${known.join(", ")}`;
}
