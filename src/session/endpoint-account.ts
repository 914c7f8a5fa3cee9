/**
 * Endpoint account: what every connection to an endpoint reports, whatever it speaks.
 */
import type { Failure } from "../core/failure.ts";
import type { Exchange } from "./exchange.ts";
import type { PoolServices } from "./services.ts";

export interface EndpointAccount {
  readonly services: PoolServices;
  readonly addressCount: number;
  /** An attempt to connect has ended, one way or the other. */
  dialled(): void;
  /** A socket's descriptor is free again. */
  socketGone(): void;
  /** A connection is there, `startedAtMs` being when it was first dialled. */
  connected(startedAtMs: number): void;
  responded(exchange: Exchange): void;
  /** An exchange is through with its connection: complete, or else called off. */
  finished(isComplete?: boolean): void;
  failed(exchange: Exchange, failure: Failure, wasConnecting: boolean): void;
}

/** Who hears how attempts at an endpoint go. Every attempt ends by `finished` or by `failed`, once. */
export interface EndpointWatcher {
  /** The final response head is there: `exchange` says its status, and since when. */
  responded(exchange: Exchange): void;
  /** The response is complete, or the exchange was called off, which says nothing about the endpoint. */
  finished(isComplete: boolean): void;
  failed(exchange: Exchange, failure: Failure, wasConnecting: boolean): void;
}
