/**
 * DNS: the addresses of a name, or what SRV records name, as endpoints.
 *
 * why    a name listed in `endpoints` is one endpoint with many addresses; here each address has its own health, its
 *        own share and its own numbers
 * rule   an answer of which a part is missing is none: the servers that the missing part names are not gone
 * spec   RFC 2782 (SRV): lower priority first, weight 0 = hardly any, the target `.` = no service
 */
import type { EndpointConfig } from "../config/config.ts";
import { formatAddress } from "../core/address.ts";
import type { NameAnswer, NameFailure, ServiceAnswer } from "../transport/dns.ts";
import { type Found, failure, plainEndpoint, type Source } from "./source.ts";

export interface Names {
  lookup(host: string): Promise<NameAnswer | NameFailure>;
  services(name: string): Promise<ServiceAnswer | NameFailure>;
}

export class AddressSource implements Source {
  readonly name: string;
  readonly #names: Names;
  readonly #host: string;
  readonly #port: number;

  constructor(names: Names, { host, port }: { readonly host: string; readonly port: number }) {
    this.name = `DNS ${host}`;
    this.#names = names;
    this.#host = host;
    this.#port = port;
  }

  async ask(): Promise<Found> {
    const got = await this.#names.lookup(this.#host);
    if (got.kind === "failure") return got;
    if (got.isPartial)
      return failure("only IPv4 or only IPv6 addresses were answered, and the others failed");
    const endpoints = got.addresses.map((ip): EndpointConfig => {
      const name = formatAddress({ kind: "tcp", host: ip, port: this.#port });
      return { ...plainEndpoint(name, ip, this.#port), serverName: this.#host };
    });
    return { kind: "list", endpoints, ttlMs: got.ttlMs };
  }
}

/** Endpoints keep the name of their target: the resolver follows its addresses, and TLS verifies it. */
export class ServiceSource implements Source {
  readonly name: string;
  readonly #names: Names;
  readonly #service: string;

  constructor(names: Names, service: string) {
    this.name = `DNS SRV ${service}`;
    this.#names = names;
    this.#service = service;
  }

  async ask(): Promise<Found> {
    const got = await this.#names.services(this.#service);
    if (got.kind === "failure") return got;
    return { kind: "list", endpoints: endpointsOf(got) };
  }
}

/** Weights of EndpointConfig go up to this; those of SRV records to 65,535. */
const MAX_WEIGHT = 1000;
/** Priorities of EndpointConfig go up to this, and those of SRV records to 65,535: only their order counts. */
const MAX_TIERS = 101;

function endpointsOf({ services }: ServiceAnswer): EndpointConfig[] {
  const offered = services.filter(({ target }) => target !== "" && target !== ".");
  const tiers = [...new Set(offered.map(({ priority }) => priority))].sort((a, b) => a - b);
  const heaviest = Math.max(1, ...offered.map(({ weight }) => weight));
  const scale = heaviest > MAX_WEIGHT ? MAX_WEIGHT / heaviest : 1;
  const endpoints = new Map<string, EndpointConfig>();
  for (const { target, port, priority, weight } of offered) {
    const host = target.toLowerCase().replace(/\.$/, "");
    const name = formatAddress({ kind: "tcp", host, port });
    // 0 to us is "nobody"; to RFC 2782 "a very small chance", and equal shares where all have it
    const share = Math.max(1, Math.round(weight * scale));
    const tier = Math.min(tiers.indexOf(priority), MAX_TIERS - 1);
    if (!endpoints.has(name))
      endpoints.set(name, { ...plainEndpoint(name, host, port), weight: share, priority: tier });
  }
  return [...endpoints.values()];
}
