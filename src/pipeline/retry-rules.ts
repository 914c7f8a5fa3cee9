/**
 * Retry rules: what a route says about sending a request again, compiled.
 *
 * rule   what has not reached an endpoint costs none anything, so that a repeat of it takes nothing from the budget; the
 *        budget bounds what endpoints may have to do twice: repeats after a reset, a time-out or a status, and hedges
 */
import type { RetryConfig } from "../config/config.ts";
import { RetryBudget } from "../limit/budget.ts";

export interface RetryRules {
  /** The first try included. */
  readonly attempts: number;
  readonly onConnect: boolean;
  readonly onReset: boolean;
  readonly onTimeout: boolean;
  /** undefined = none. */
  readonly statuses: ReadonlySet<number> | undefined;
  /** Those that may be repeated once something was sent. */
  readonly methods: ReadonlySet<string>;
  readonly backoffMs: number;
  readonly maxBackoffMs: number;
  readonly bufferBytes: number;
  /** 0 = never. */
  readonly hedgeAfterMs: number;
  /** By upstream; undefined when nothing is repeated that an endpoint may have begun. */
  readonly budgets: ReadonlyMap<string, RetryBudget> | undefined;
}

/** Repeats in each second, in each worker, that a quiet upstream may have in any case. Envoy: 3 at once; Finagle: 10. */
const FLOOR_PER_SEC = 3;

export function newBudget(_upstream: string, share: number): RetryBudget {
  return new RetryBudget({ share, floorPerSec: FLOOR_PER_SEC });
}

/** `budgetOf` gives the budget of an upstream that is live already, or a new one. */
export function compileRetry(
  config: RetryConfig,
  upstreams: readonly string[],
  budgetOf: (upstream: string, share: number) => RetryBudget,
): RetryRules {
  const { attempts, on, methods, backoffMs, maxBackoffMs, bufferBytes, budget, hedgeAfterMs } = config;
  const statuses = on.filter((reason) => typeof reason === "number");
  const isRepeating = attempts > 1 && on.some((reason) => reason !== "connect");
  const isBudgeted = budget > 0 && (isRepeating || hedgeAfterMs > 0);
  return {
    attempts,
    onConnect: on.includes("connect"),
    onReset: on.includes("reset"),
    onTimeout: on.includes("timeout"),
    statuses: statuses.length === 0 ? undefined : new Set(statuses),
    methods: new Set(methods),
    backoffMs,
    maxBackoffMs,
    bufferBytes,
    hedgeAfterMs,
    budgets: isBudgeted ? new Map(upstreams.map((name) => [name, budgetOf(name, budget)])) : undefined,
  };
}
