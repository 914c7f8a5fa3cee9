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
  config: RetryConfig,
  place: Place,
  { requestMs, responseMs }: RouteConfig["timeouts"],
): void {
  const { on, perTryMs, hedgeAfterMs, attempts } = config;
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
  warnOfBody(written, config, place);
  if (attempts === 1 && written?.on !== undefined) {
    place.key("on").warning("with `attempts: 1` nothing is repeated", "Write 2 or more, or remove `on`.");
  }
}

const WITH_BODY = ["POST", "PUT", "PATCH"];

/** Settings about what was sent, where nothing is repeated that was sent. */
function warnOfBody(
  written: Written<typeof RETRY> | undefined,
  { on, hedgeAfterMs }: RetryConfig,
  place: Place,
): void {
  const isBeforeSending = hedgeAfterMs === 0 && on.every((reason) => reason === "connect");
  const key = written?.methods === undefined ? "buffer" : "methods";
  if (isBeforeSending && written?.[key] !== undefined) {
    const hint = "Name another reason in `on`, such as reset, or remove it.";
    place.key(key).warning("it has no effect: with `connect` alone nothing was sent before a repeat", hint);
  }
  const bodied = written?.methods?.find((method) => WITH_BODY.includes(method));
  if (!isBeforeSending && written?.buffer === 0 && bodied !== undefined) {
    const hint = "Give `buffer` a size, such as 64KiB.";
    place.key("buffer").warning(`a ${bodied} with a body is never repeated: nothing of it is kept`, hint);
  }
}
