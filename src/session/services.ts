/**
 * Services: the worker's things that sessions on either side need.
 */
import { FAILURE_INDEX, type FailureCode } from "../core/failure.ts";
import { WORKER } from "../observe/metrics.table.ts";
import type { SocketBudget } from "../transport/socket-budget.ts";
import type { Wheel } from "../transport/timers.ts";
import type { BufferBudget } from "../transport/wire.ts";
import type { DownstreamEvents, UpstreamEvents } from "./exchange.ts";

/** For sessions with clients. */
export interface SessionServices {
  readonly wheel: Wheel;
  readonly budget: BufferBudget;
  readonly sockets: SocketBudget;
  readonly events: DownstreamEvents;
  /** This worker's counter row in the zone. */
  readonly counters: Float64Array;
  /** First slot of the worker block in it. */
  workerSlot: number;
  /** True once this worker is leaving: connections end after their current exchange. */
  isDraining: boolean;
}

/** Counts a connection or a request that ended for a reason, where no exchange tells of it. */
export function countReason(services: SessionServices, code: FailureCode): void {
  const at = services.workerSlot + WORKER.at.failures + (FAILURE_INDEX.get(code) as number);
  services.counters[at] = (services.counters[at] as number) + 1;
}

/** For sessions with endpoints. */
export interface PoolServices {
  readonly wheel: Wheel;
  readonly budget: BufferBudget;
  readonly events: UpstreamEvents;
  /** Descriptors of this worker. */
  readonly sockets: SocketBudget;
  readonly counters: Float64Array;
  /** A handler of a session threw: its connection is closed. */
  readonly onDefect?: (defect: unknown) => void;
}
