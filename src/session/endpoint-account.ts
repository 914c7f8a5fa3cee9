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
  /** An exchange is through with its connection: complete, or called off. */
  finished(): void;
  failed(exchange: Exchange, failure: Failure, wasConnecting: boolean): void;
}
