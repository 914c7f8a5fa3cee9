/**
 * Trouble: what a person has to mend at an endpoint is said in the program's log, also where there is no access log.
 *
 * why    a certificate that does not verify stays so until somebody acts, and every request meets it again
 * cost   one line a minute for each endpoint, however many requests fail
 */
import { type Failure, type FailureCode, failureMeaning } from "../core/failure.ts";
import { clock } from "../transport/clock.ts";
import type { Endpoint, Planned } from "./plan.ts";

const TOLD: ReadonlySet<FailureCode> = new Set(["tls_untrusted", "tls_failed", "tls_no_h2"]);
const QUIET_MS = 60_000;

const toldAtMs = new WeakMap<Endpoint, number>();

/** Tells a failed attempt, if it is one to be told and its endpoint was not told of within the last minute. */
export function tellTrouble({ plan }: Planned, { code, detail }: Failure): void {
  const { endpoint } = plan;
  if (endpoint === undefined || !TOLD.has(code)) return;
  const lastMs = toldAtMs.get(endpoint) ?? Number.NEGATIVE_INFINITY;
  if (clock.nowMs - lastMs < QUIET_MS) return;
  toldAtMs.set(endpoint, clock.nowMs);
  const seen = detail === "" ? "" : `: ${detail}`;
  const name = `upstream ${plan.upstream?.name ?? ""}, endpoint ${endpoint.name}`;
  plan.services.report(`${name}: ${code}: ${failureMeaning(code)}${seen}`);
}
