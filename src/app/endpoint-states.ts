/**
 * Endpoint states: the board of endpoints as the admin API, the metrics and the log tell of it, and what a person sets.
 *
 * rule   a wish that changes nothing but the weight leaves the note of an earlier one in place
 */
import type { EndpointChangeEvent, EndpointStatus, EndpointWish } from "../admin/status.ts";
import type { EndpointConfig } from "../config/config.ts";
import type { EndpointBoard, EndpointEvent, EndpointStanding } from "../control/endpoint-board.ts";
import { type Reason, reasonText } from "../health/board.table.ts";
import { ENDPOINT_STATES } from "../health/endpoint-state.table.ts";
import { type ExtraMetric, endpointMetrics } from "../observe/registry.ts";
import type { Log } from "./log.ts";

export type StandingStatus = Pick<
  EndpointStatus,
  "state" | "reason" | "why" | "since" | "ejectedUntil" | "operator" | "weight" | "isWeightSet" | "warmth"
>;

/** in  `standing`: undefined for an endpoint without a place on the board, which is always up */
export function standingStatus(
  standing: EndpointStanding | undefined,
  { weight }: EndpointConfig,
): StandingStatus {
  if (standing === undefined) return { ...NEVER_CHANGED, weight };
  return {
    state: standing.state,
    reason: standing.reason,
    why: whyText(standing.reason, standing.detail),
    since: isoTime(standing.sinceMs),
    ejectedUntil: isoTime(standing.ejectedUntilMs),
    operator: standing.operator,
    weight: Math.round(standing.weight * 1000) / 1000,
    isWeightSet: standing.isWeightSet,
    warmth: Math.round(standing.warmth * 1000) / 1000,
  };
}

const NEVER_CHANGED = {
  state: "up",
  reason: "none",
  why: "",
  since: undefined,
  ejectedUntil: undefined,
  operator: "up",
  isWeightSet: false,
  warmth: 1,
} as const;

export function eventRow({
  atMs,
  upstream,
  endpoint,
  from,
  to,
  reason,
  detail,
}: EndpointEvent): EndpointChangeEvent {
  return {
    at: new Date(atMs).toISOString(),
    upstream,
    endpoint,
    from,
    to,
    reason,
    why: whyText(reason, detail),
  };
}

/** Does what a person wants. out  false when nothing can be set there */
export function setEndpoint(
  board: EndpointBoard,
  name: { readonly upstream: string; readonly endpoint: string },
  wish: EndpointWish,
  log: Log,
): boolean {
  const { upstream, endpoint } = name;
  const { state, weight, note } = wish;
  const before = board.state(upstream, endpoint);
  const isNoteKept = note === undefined && state === undefined && before?.reason === "operator";
  const detail = isNoteKept ? before.detail : (note ?? "");
  const isSet = board.set(upstream, endpoint, {
    ...(state === undefined ? {} : { operator: state }),
    ...(weight === undefined ? {} : { weight }),
    reason: "operator",
    detail,
  });
  if (isSet && weight !== undefined) {
    const now = board.state(upstream, endpoint)?.weight;
    const which = weight === "configured" ? "its configured weight again," : "weight";
    log("info", "health", `${upstream} ${endpoint} has ${which} ${now}: ${whyText("operator", note ?? "")}`);
  }
  return isSet;
}

/** Metrics of all endpoints that have a state of their own. */
export function standingMetrics(standings: readonly EndpointStanding[]): ExtraMetric[] {
  return endpointMetrics(
    standings.map((standing) => ({ ...standing, weight: standing.weight * standing.warmth })),
    ENDPOINT_STATES,
  );
}

const whyText = (reason: Reason, detail: string) =>
  [reasonText(reason), detail].filter((text) => text !== "").join(": ");

const isoTime = (ms: number) => (ms === 0 ? undefined : new Date(ms).toISOString());
