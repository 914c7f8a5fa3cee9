/**
 * Listener: what all connections accepted for one listener share in this worker.
 *
 * why    a reload changes limits, time-outs and routes under open connections: they look here, and an
 *        exchange takes what it needs when it begins
 */
import type { CidrSet } from "../core/address.ts";
import type { SocketBudget } from "../transport/socket-budget.ts";
import type { BufferBudget } from "../transport/wire.ts";
import type { Wheel } from "../transport/timers.ts";
import type { DownstreamEvents } from "./exchange.ts";

export interface ListenerLimits {
  readonly connections: number;
  readonly requestHeadBytes: number;
  readonly headers: number;
  /** 0 = no limit. */
  readonly bodyBytes: number;
  /** 0 = no limit. */
  readonly requestsPerConnection: number;
}

export interface ListenerTimeouts {
  /** For the PROXY protocol header. */
  readonly handshakeMs: number;
  readonly headMs: number;
  readonly bodyMs: number;
  readonly idleMs: number;
}

/** The worker's things that every session needs. */
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

export interface Listener {
  readonly name: string;
  limits: ListenerLimits;
  timeouts: ListenerTimeouts;
  trustedProxies: CidrSet;
  proxyProtocolFrom: CidrSet;
  /** First slot of this listener's block in the counter row. */
  slot: number;
  /** What the pipeline keeps of its own for this listener: routes in force. Sessions only carry it. */
  site: unknown;
  /** True once the listener is gone from the configuration. */
  isLeaving: boolean;
}
