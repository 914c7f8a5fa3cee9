/**
 * Source: somebody who knows the endpoints of one upstream, and is asked again and again.
 *
 * rule   an answer is a whole list or a failure; half of a list would take endpoints away that are well
 * rule   `ask` is never called while an earlier call of it is open, and bounds its own time
 */
import type { EndpointConfig } from "../config/config.ts";

export type Found =
  | {
      readonly kind: "list";
      readonly endpoints: readonly EndpointConfig[];
      /** How long it holds; left out: as long as the configuration says. */
      readonly ttlMs?: number;
      /** What was left out of the list, and why; for the log. */
      readonly notes?: readonly string[];
    }
  /** Nothing has changed since the answer before. */
  | { readonly kind: "same" }
  | { readonly kind: "failure"; readonly text: string };

export interface Source {
  /** For people: what is asked, such as `file /etc/weir/app.yaml`. */
  readonly name: string;
  /** Never asked less often than this, whatever the configuration says; undefined = no such bound. */
  readonly maxIntervalMs?: number;
  ask(): Promise<Found>;
  /** Calls `onHint` when asking again would be worth it. out  ends that */
  watch?(onHint: () => void): () => void;
}

/** Endpoints taken of one upstream: the policies are measured up to so many, and beyond it is mostly a mistake. */
export const MAX_FOUND = 1000;
/** Of an answer, in bytes: far beyond MAX_FOUND endpoints. */
export const MAX_ANSWER_BYTES = 1024 * 1024;
/** For one question to a program: beyond it the last list serves better than waiting. */
export const ANSWER_TIMEOUT_MS = 5000;

export const failure = (text: string): Found => ({ kind: "failure", text });

/** An endpoint of which only the address is known. */
export function plainEndpoint(name: string, host: string, port: number): EndpointConfig {
  return { name, address: { kind: "tcp", host, port }, weight: 1, backup: false, priority: 0, zone: "" };
}
