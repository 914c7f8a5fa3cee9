/**
 * Retry: when a request is sent again.
 */
import type { RetryConfig, RouteConfig } from "../config.ts";
import { type Written, withDefaults } from "../options/types.ts";
import { BACKOFF, RETRY } from "../options/upstream.table.ts";
import type { Place } from "../problem.ts";

/** `place` is the route's own: parts may come from its policies. */
export function checkRetry(
  written: Written<typeof RETRY> | undefined,
  place: Place,
  timeouts: RouteConfig["timeouts"],
): RetryConfig {
  const config = toRetry(written);
  const backoff = withDefaults(BACKOFF, written?.backoff);
  const at = place.key("retry");
  if (backoff.base > backoff.max) {
    at.key("backoff").error("`base` is longer than `max`", "Make `max` the longer of the two.");
  }
  warnOfSlips(written, config, at, timeouts);
  return config;
}

/** What holds for a route of which nothing is said, and for keys left out. */
export function toRetry(written: Written<typeof RETRY> | undefined): RetryConfig {
  const { attempts, on, methods, perTry, budget, buffer, hedge } = withDefaults(RETRY, written);
  const backoff = withDefaults(BACKOFF, written?.backoff);
  const reasons = [...new Set(on)];
  const hedgeAfterMs = hedge?.after ?? 0;
  // until there is a connection not a byte of the body is asked for: nothing has to be kept
  const needsBody = (attempts > 1 && reasons.some((reason) => reason !== "connect")) || hedgeAfterMs > 0;
  return {
    attempts,
    on: reasons,
    methods: [...new Set(methods)],
    perTryMs: perTry,
    budget,
    backoffMs: backoff.base,
    maxBackoffMs: backoff.max,
    bufferBytes: needsBody ? buffer : 0,
    hedgeAfterMs,
  };
}

function warnOfSlips(
  written: Written<typeof RETRY> | undefined,
  { on, perTryMs, hedgeAfterMs, attempts }: RetryConfig,
  place: Place,
  { requestMs, responseMs }: RouteConfig["timeouts"],
): void {
  if (perTryMs > 0 && requestMs > 0 && perTryMs >= requestMs) {
    const hint = "Make it shorter than `timeouts.request`.";
    place.key("perTry").warning("a try may take as long as the whole request: there is time for one", hint);
  }
  if (perTryMs > 0 && attempts > 1 && !on.includes("timeout")) {
    const hint = "Add `timeout` to `on`.";
    place.key("perTry").warning("a try that runs out of time is not repeated", hint);
  }
  if (hedgeAfterMs >= (perTryMs || responseMs) && hedgeAfterMs > 0) {
    place.key("hedge").warning("the first try is over by then", "Make `after` shorter than a try may take.");
  }
  if (attempts === 1 && written?.on !== undefined) {
    place.key("on").warning("with `attempts: 1` nothing is repeated", "Write 2 or more, or remove `on`.");
  }
}
