/**
 * Protection of an upstream: limits of what is in flight, the queue before them, the circuit breaker.
 */
import type { BreakerConfig, UpstreamConfig, UpstreamLimitsConfig } from "../config.ts";
import { type Written, withDefaults } from "../options/types.ts";
import { BREAKER, type UPSTREAM, UPSTREAM_LIMITS } from "../options/upstream.table.ts";
import type { Place } from "../problem.ts";

type WrittenUpstream = Written<typeof UPSTREAM>;

/** `place` is the upstream's own. */
export function checkProtection(
  written: WrittenUpstream,
  place: Place,
): Pick<UpstreamConfig, "limits" | "breaker"> {
  return {
    limits: checkLimits(written.limits, place.key("limits")),
    breaker: checkBreaker(written.breaker),
  };
}

function checkLimits(written: WrittenUpstream["limits"], place: Place): UpstreamLimitsConfig {
  const { connections, perEndpoint, queue, queueTimeout, adaptive } = withDefaults(UPSTREAM_LIMITS, written);
  if (connections > 0 && perEndpoint > connections) {
    place
      .key("perEndpoint")
      .warning(`it is never reached: \`connections\` allows ${connections} for all of them`, "Make it less.");
  }
  const isLimited = connections > 0 || perEndpoint > 0 || adaptive;
  const waiting = written?.queue !== undefined ? "queue" : "queueTimeout";
  if (!isLimited && place.has(waiting)) {
    const hint = "Add `connections`, `perEndpoint` or `adaptive: true`.";
    place.key(waiting).warning("nothing ever waits where nothing is limited", hint);
  }
  return { connections, perEndpoint, queue, queueTimeoutMs: queueTimeout, adaptive };
}

function checkBreaker(written: WrittenUpstream["breaker"]): BreakerConfig | undefined {
  if (written === undefined || written === false) return undefined;
  const { errorRate, latency, window, minRequests, open } = withDefaults(BREAKER, written);
  return { errorRate, latencyMs: latency, windowMs: window, minRequests, openMs: open };
}
