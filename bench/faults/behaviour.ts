/**
 * Behaviour: how an endpoint of the fault campaign answers, set through its control port.
 */
export type Manner =
  | "well"
  /** Nobody listens: connections are refused, those that are open are closed. */
  | "refuse"
  /** A whole head, half the body, then RST. */
  | "reset"
  | "500"
  /** Content-Length says more than is sent; then the connection ends. */
  | "claims-more"
  /** Content-Length says less than is sent; the connection stays open. */
  | "claims-less";

export interface Behaviour {
  readonly manner: Manner;
  readonly serviceMs: number;
  /** The same for health checks. */
  readonly checkMs: number;
  /** Requests worked on at once, the others wait in turn; 0 = all. */
  readonly slots: number;
  /** Time that the first request for a key takes more; 0 = a warm cache. */
  readonly missMs: number;
  /** Misses worked on at once: what stands behind the cache is small. */
  readonly missSlots: number;
}

export const WELL: Behaviour = {
  manner: "well",
  serviceMs: 4,
  checkMs: 4,
  slots: 0,
  missMs: 0,
  missSlots: 0,
};

export interface OriginReport {
  /** Requests begun, without health checks: [tenth of a second since the epoch, count]. */
  readonly begun: readonly (readonly [tenth: number, count: number])[];
  /** Most requests that were inside at once. */
  readonly mostInside: number;
}
