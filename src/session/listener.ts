/**
 * Listener: what all connections accepted for one listener share in this worker.
 *
 * why    a reload changes limits, time-outs and routes under open connections: they look here, and an
 *        exchange takes what it needs when it begins
 */
import type { Http2Config } from "../config/config.ts";
import type { CidrSet } from "../core/address.ts";
import type { ListenerTls } from "./listener-tls.ts";

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
  /** For PROXY protocol header and TLS handshake together. */
  readonly handshakeMs: number;
  readonly headMs: number;
  readonly bodyMs: number;
  readonly idleMs: number;
}

export interface Listener {
  readonly name: string;
  limits: ListenerLimits;
  timeouts: ListenerTimeouts;
  trustedProxies: CidrSet;
  proxyProtocolFrom: CidrSet;
  /** HTTP versions that a client may speak. */
  protocols: readonly ("h1" | "h2")[];
  http2: Http2Config;
  /** undefined = plain text. */
  tls: ListenerTls | undefined;
  /** First slot of this listener's block in the counter row. */
  slot: number;
  /** What the pipeline keeps of its own for this listener: routes in force. Sessions only carry it. */
  site: unknown;
  /** True once the listener is gone from the configuration. */
  isLeaving: boolean;
}
