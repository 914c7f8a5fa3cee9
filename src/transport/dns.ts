/**
 * DNS: which IP addresses has a name now, and for how long may we believe it?
 *
 * why    the runtime's own cache is 30 s whatever the record says, and its system lookup loses entries of
 *        the hosts file; records are asked for directly, with their TTL
 * rule   hosts file, then DNS (A and AAAA), then the system's lookup, which knows mDNS and the like
 * out    addresses, IPv4 first, and their TTL; or a sentence. IPv6 answers are left out on a machine that
 *        has no IPv6 address but loopback's, as getaddrinfo does with AI_ADDRCONFIG
 * never  waits longer than LOOKUP_TIMEOUT_MS
 * spec   RFC 1035 §3.2.1 (TTL), RFC 6761 §6.3 (localhost), RFC 3493 §6.1 (AI_ADDRCONFIG)
 */
import { promises as dns } from "node:dns";
import { readFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { parseIp } from "../core/address.ts";

export interface NameAnswer {
  readonly kind: "answer";
  readonly addresses: readonly string[];
  readonly ttlMs: number;
  /** One of the two families could not be asked: there may be more addresses. */
  readonly isPartial?: boolean;
}
/** SRV records. spec  RFC 2782 */
export interface ServiceAnswer {
  readonly kind: "answer";
  readonly services: readonly {
    readonly target: string;
    readonly port: number;
    readonly priority: number;
    readonly weight: number;
  }[];
}
export interface NameFailure {
  readonly kind: "failure";
  readonly text: string;
}

export interface NameLookupOptions {
  readonly hostsFile?: string;
  /** Name servers as `ip:port` instead of the system's. */
  readonly servers?: readonly string[];
}

/** As resolv.conf(5): a timeout a try; two tries a server. */
const TRY_TIMEOUT_MS = 2000;
const TRIES = 2;
const LOOKUP_TIMEOUT_MS = 10_000;
/** The system does not tell a TTL: nginx and the runtime's cache use 30 s or so where none is known. */
const SYSTEM_TTL_MS = 30_000;
/** A hosts file changes when a container's network does; reading it is cheap. */
const HOSTS_TTL_MS = 5000;
/** Addresses used of one name: beyond that a name is a mistake, or an attack on our memory. */
const MAX_ADDRESSES = 256;

interface Record {
  readonly address: string;
  readonly ttl: number;
}

export class NameLookup {
  readonly #resolver: dns.Resolver;
  readonly #hostsFile: string;

  constructor(options: NameLookupOptions = {}) {
    this.#resolver = new dns.Resolver({ timeout: TRY_TIMEOUT_MS, tries: TRIES });
    if (options.servers !== undefined) this.#resolver.setServers([...options.servers]);
    this.#hostsFile = options.hostsFile ?? "/etc/hosts";
  }

  /** Looks a host name up; an IP literal is its own answer. */
  async lookup(host: string): Promise<NameAnswer | NameFailure> {
    if (parseIp(host) !== undefined) return answer([host], Number.POSITIVE_INFINITY);
    return await inTime(this.#ask(host));
  }

  /** Looks the SRV records of a service up. The runtime does not tell their TTL. */
  async services(name: string): Promise<ServiceAnswer | NameFailure> {
    return await inTime(this.#askServices(name));
  }

  async #askServices(name: string): Promise<ServiceAnswer | NameFailure> {
    try {
      const records = await this.#resolver.resolveSrv(name);
      const services = records.map(({ name: target, port, priority, weight }) => {
        return { target, port, priority, weight };
      });
      return { kind: "answer", services };
    } catch (error) {
      return { kind: "failure", text: failureText(error) };
    }
  }

  async #ask(host: string): Promise<NameAnswer | NameFailure> {
    const name = host.toLowerCase().replace(/\.$/, "");
    const known = await this.#askHostsFile(name);
    if (known.length > 0) return answer(known, HOSTS_TTL_MS);
    if (name === "localhost" || name.endsWith(".localhost"))
      return answer(["127.0.0.1", "::1"], HOSTS_TTL_MS);
    const { records, isPartial } = await this.#askServers(name);
    return records.length > 0 ? { ...fromRecords(records), isPartial } : askSystem(name);
  }

  async #askHostsFile(name: string): Promise<readonly string[]> {
    try {
      return addressesInHosts(await readFile(this.#hostsFile, "utf8"), name);
    } catch {
      return []; // no such file: containers may have none
    }
  }

  async #askServers(name: string): Promise<{ records: readonly Record[]; isPartial: boolean }> {
    const answers = await Promise.allSettled([
      this.#resolver.resolve4(name, { ttl: true }),
      hasIpv6() ? this.#resolver.resolve6(name, { ttl: true }) : [],
    ]);
    const records = answers.flatMap((settled) => (settled.status === "fulfilled" ? settled.value : []));
    return {
      records,
      isPartial: answers.some((settled) => settled.status === "rejected" && !isNone(settled)),
    };
  }
}

function answer(addresses: readonly string[], ttlMs: number): NameAnswer {
  const unique = [...new Set(addresses)].slice(0, MAX_ADDRESSES);
  const isV4 = (address: string) => !address.includes(":");
  const ordered = [...unique.filter(isV4), ...unique.filter((address) => !isV4(address))];
  return { kind: "answer", addresses: ordered, ttlMs };
}

function fromRecords(records: readonly Record[]): NameAnswer {
  const ttlSeconds = Math.min(...records.map((record) => record.ttl));
  return answer(
    records.map((record) => record.address),
    ttlSeconds * 1000,
  );
}

async function askSystem(name: string): Promise<NameAnswer | NameFailure> {
  try {
    const found = await dns.lookup(name, { all: true });
    const usable = found.filter((entry) => entry.family === 4 || hasIpv6());
    if (usable.length === 0)
      return { kind: "failure", text: "the name has no address that can be used here" };
    return answer(
      usable.map((entry) => entry.address),
      SYSTEM_TTL_MS,
    );
  } catch (error) {
    return { kind: "failure", text: failureText(error) };
  }
}

async function inTime<T>(asked: Promise<T>): Promise<T | NameFailure> {
  const { promise: deadline, resolve } = Promise.withResolvers<NameFailure>();
  const text = `no answer within ${LOOKUP_TIMEOUT_MS / 1000} s`;
  const timer = setTimeout(() => resolve({ kind: "failure", text }), LOOKUP_TIMEOUT_MS);
  try {
    return await Promise.race([asked, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

/** The server has answered: there is none. */
function isNone({ reason }: PromiseRejectedResult): boolean {
  const { code } = reason as NodeJS.ErrnoException;
  return code === "ENODATA" || code === "ENOTFOUND" || code === "DNS_ENODATA" || code === "DNS_ENOTFOUND";
}

function failureText(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOTFOUND" ? "no such name" : (code ?? String(error));
}

/** Addresses of a name in the text of a hosts file. spec  hosts(5) */
export function addressesInHosts(text: string, name: string): readonly string[] {
  const found: string[] = [];
  for (const line of text.split("\n")) {
    const [address = "", ...names] = line.replace(/#.*/, "").trim().split(/\s+/);
    const isMatch = names.some((written) => written.toLowerCase() === name);
    if (isMatch && parseIp(address) !== undefined) found.push(address);
  }
  return found;
}

function hasIpv6(): boolean {
  return Object.values(networkInterfaces()).some((entries) =>
    entries?.some((entry) => entry.family === "IPv6" && !entry.internal && !/^fe[89ab]/i.test(entry.address)),
  );
}
