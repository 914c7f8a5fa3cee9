/**
 * Asker: makes one check of an endpoint, of whatever type, at the address that it answers at.
 *
 * rule   a name with several addresses is fit while one of them is: the one that passed last is asked first, and when it
 *        fails all others at once. A check then takes two time-outs at the most
 * rule   a check is secured and introduced as the traffic is: by the upstream's `tls`, and behind a PROXY header that
 *        speaks for nobody (LOCAL). Another `port` is another service: it gets no header, and TLS only where the check's
 *        type says so (`https`, `tls`; `grpc`, where the upstream has it)
 */
import { isIP } from "node:net";
import type {
  ActiveHealthConfig,
  EndpointConfig,
  UpstreamConfig,
  UpstreamTlsConfig,
} from "../config/config.ts";
import { type Address, formatAddress } from "../core/address.ts";
import { AgentTalk } from "./agent-check.ts";
import { runCommand } from "./command-check.ts";
import {
  type CheckAddress,
  type CheckLink,
  type CheckTls,
  type ConversationLimits,
  converse,
  type Talk,
} from "./conversation.ts";
import { GrpcTalk } from "./grpc-check.ts";
import { HttpTalk } from "./http-check.ts";
import { type CheckOutcome, failed } from "./outcome.ts";
import { TcpTalk } from "./tcp-check.ts";

/** What is checked and how. */
export interface CheckPlan {
  readonly upstream: UpstreamConfig;
  readonly endpoint: EndpointConfig;
  readonly active: ActiveHealthConfig;
}

export interface AskerOptions {
  /** Addresses of a name, as far as they are known. */
  readonly addressesOf: (host: string) => readonly string[];
  /** What an upstream's connections are secured with; undefined = as this machine does. Throws when a file is no use. */
  readonly contextOf: (tls: UpstreamTlsConfig | undefined) => CheckTls["context"];
}

/** Of one name: more than anybody has, and a bound. */
const MAX_ADDRESSES = 8;
const OVER_TLS: ReadonlySet<ActiveHealthConfig["type"]> = new Set(["https", "tls"]);
/** PROXY protocol §2.1 and §2.2: a connection of the proxy's own. */
const LOCAL_HEADERS = {
  v1: Buffer.from("PROXY UNKNOWN\r\n", "latin1"),
  v2: Buffer.from("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", "latin1"),
} as const;
const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443 };

export class Asker {
  readonly #options: AskerOptions;
  /** Address that passed last. */
  readonly #proven = new WeakMap<CheckPlan, string>();

  constructor(options: AskerOptions) {
    this.#options = options;
  }

  async ask(plan: CheckPlan, signal: AbortSignal): Promise<CheckOutcome> {
    const limits = { timeoutMs: plan.active.timeoutMs, signal };
    if (plan.active.type === "command") {
      const { command } = plan.active;
      return runCommand({ command, environment: environmentOf(plan) }, limits);
    }
    const tls = this.#tlsOf(plan);
    if (tls instanceof Error) return failed("check_tls", tls.message);
    const { address } = plan.endpoint;
    if (address.kind === "unix") return this.#askAt(plan, { unix: address.path }, tls, limits);
    const port = plan.active.port ?? address.port;
    const ips = this.#addressesOf(plan, address.host);
    if (ips.length === 0) return failed("check_connect", `${address.host} has no address yet`);
    return this.#askAny(plan, ips, (ip) => this.#askAt(plan, { ip, port }, tls, limits));
  }

  #addressesOf(plan: CheckPlan, host: string): readonly string[] {
    if (isIP(host) !== 0) return [host];
    const known = this.#options.addressesOf(host).slice(0, MAX_ADDRESSES);
    const proven = this.#proven.get(plan);
    if (proven === undefined || !known.includes(proven)) return known;
    return [proven, ...known.filter((ip) => ip !== proven)];
  }

  async #askAny(
    plan: CheckPlan,
    [first = "", ...others]: readonly string[],
    askAt: (ip: string) => Promise<CheckOutcome>,
  ): Promise<CheckOutcome> {
    const outcome = await askAt(first);
    if (outcome.isSuccess) this.#proven.set(plan, first);
    // an agent that has answered has answered for its endpoint
    if (outcome.isSuccess || outcome.agent !== undefined || others.length === 0) return outcome;
    const outcomes = await Promise.all(others.map(askAt));
    const index = outcomes.findIndex(({ isSuccess }) => isSuccess);
    const found = outcomes[index];
    if (found === undefined) return outcome;
    this.#proven.set(plan, others[index] as string);
    return found;
  }

  #askAt(
    plan: CheckPlan,
    address: CheckAddress,
    tls: CheckTls | undefined,
    limits: ConversationLimits,
  ): Promise<CheckOutcome> {
    const { proxyProtocol } = plan.upstream;
    const isOwnPort = plan.active.port === undefined;
    const link: CheckLink = {
      address,
      tls,
      protocols: plan.active.type === "grpc" ? ["h2"] : protocolsOf(plan),
      preface: proxyProtocol === "off" || !isOwnPort ? undefined : LOCAL_HEADERS[proxyProtocol],
    };
    return converse(link, talkOf(plan, tls !== undefined), limits);
  }

  #tlsOf({ upstream, endpoint, active }: CheckPlan): CheckTls | Error | undefined {
    const { tls } = upstream;
    const isOverTls = OVER_TLS.has(active.type) || (active.type === "grpc" && tls !== undefined);
    if (!isOverTls) return undefined;
    try {
      const context = this.#options.contextOf(tls);
      const names = [
        tls?.serverName,
        endpoint.serverName,
        hostOf(endpoint.address),
        active.host?.replace(/:\d+$/, ""),
      ];
      const serverName = names.find((name) => name !== undefined && name !== "" && isIP(name) === 0) ?? "";
      return { context, serverName, verify: tls?.verify ?? true };
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }
}

/** A server that speaks HTTP/2 alone is still there: a handshake must not fail for want of a common protocol. */
function protocolsOf({ active, upstream: { protocol } }: CheckPlan): CheckLink["protocols"] {
  return active.type === "tls" && protocol !== "h1" ? ["h2", "http/1.1"] : ["http/1.1"];
}

function talkOf({ active, endpoint, upstream }: CheckPlan, isSecured: boolean): Talk {
  const scheme = isSecured ? "https" : "http";
  switch (active.type) {
    case "http":
    case "https":
      return new HttpTalk(active, active.host ?? authorityOf(endpoint.address, active.port, scheme));
    case "grpc": {
      const authority = active.host ?? authorityOf(endpoint.address, active.port, scheme);
      return new GrpcTalk({ service: active.service, authority, scheme, timeoutMs: active.timeoutMs });
    }
    case "agent":
      return new AgentTalk(active.send);
    case "tcp":
    case "tls":
      return new TcpTalk(active.type === "tcp" ? active : { send: undefined, body: undefined });
    default:
      throw new TypeError(`upstream ${upstream.name}: a check of type ${active.type} opens no connection`);
  }
}

function hostOf(address: Address): string {
  return address.kind === "unix" ? "" : address.host;
}

/** Host to name (RFC 9112 §3.2): without the port that the scheme means anyway. */
function authorityOf(address: Address, port: number | undefined, scheme: string): string {
  if (address.kind === "unix") return "localhost";
  const asked = { ...address, port: port ?? address.port };
  const text = formatAddress(asked);
  return asked.port === DEFAULT_PORTS[scheme] ? text.slice(0, text.lastIndexOf(":")) : text;
}

function environmentOf({ upstream, endpoint }: CheckPlan): Readonly<Record<string, string>> {
  const names = { WEIR_UPSTREAM: upstream.name, WEIR_ENDPOINT: endpoint.name };
  const { address } = endpoint;
  if (address.kind === "unix") return { ...names, WEIR_ENDPOINT_SOCKET: address.path };
  return { ...names, WEIR_ENDPOINT_HOST: address.host, WEIR_ENDPOINT_PORT: String(address.port) };
}
