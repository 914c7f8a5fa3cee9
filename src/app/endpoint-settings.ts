/**
 * Endpoint settings: what the pool of an endpoint is told of its upstream's configuration and certificates.
 *
 * why    a TLS context is made once for each set of texts: pools see by its identity whether anything has changed, and
 *        keep their connections when nothing has
 * fails  with a text for people, before a version is put in force: an upstream whose authority cannot be read is never
 *        used with the system's authorities instead
 */
import { isIP } from "node:net";
import type { EndpointConfig, UpstreamConfig, UpstreamTlsConfig } from "../config/config.ts";
import { writeProxyHeader } from "../protocol/proxy-line.ts";
import type { Exchange } from "../session/exchange.ts";
import type { PoolSettings } from "../session/upstream-pool.ts";
import { makeTlsContext, type TlsContext } from "../transport/dial-tls.ts";

/** Texts of PEM files by path. */
export type PemFiles = Readonly<Record<string, string>>;

export class EndpointSettings {
  #files: PemFiles = {};
  #contexts: ReadonlyMap<string, TlsContext> = new Map();

  /** Makes what these upstreams need, beside what is in force. Throws when a file is missing or cannot be used. */
  prepare(upstreams: readonly UpstreamConfig[], files: PemFiles): PreparedSettings {
    const contexts = new Map<string, TlsContext>();
    for (const { name, tls } of upstreams) {
      if (tls === undefined) continue;
      const key = keyOf(tls, files);
      const known = contexts.get(key) ?? this.#contexts.get(key);
      contexts.set(key, known ?? makeFor(name, tls, files));
    }
    return new PreparedSettings(contexts, files);
  }

  commit(prepared: PreparedSettings): void {
    this.#contexts = prepared.contexts;
    this.#files = prepared.files;
  }

  /** What is in force. */
  get current(): PreparedSettings {
    return new PreparedSettings(this.#contexts, this.#files);
  }
}

export class PreparedSettings {
  readonly contexts: ReadonlyMap<string, TlsContext>;
  readonly files: PemFiles;

  constructor(contexts: ReadonlyMap<string, TlsContext>, files: PemFiles) {
    this.contexts = contexts;
    this.files = files;
  }

  of(upstream: UpstreamConfig, { address, serverName }: EndpointConfig): PoolSettings {
    const { proxyProtocol: version, protocol, pool, tls } = upstream;
    const ownName = address.kind === "tcp" && isIP(address.host) === 0 ? address.host : "";
    const context = tls === undefined ? undefined : this.contexts.get(keyOf(tls, this.files));
    const settings = {
      ...pool,
      protocol,
      tls:
        tls === undefined || context === undefined
          ? undefined
          : { context, serverName: tls.serverName ?? serverName ?? ownName, verify: tls.verify },
      proxyHeader: undefined,
    };
    if (tls !== undefined && context === undefined)
      throw new Error(`upstream ${upstream.name}: no TLS context`);
    if (version === "off") return settings;
    // a PROXY header speaks for one client: its connection must not carry another's requests
    return { ...settings, idle: 0, proxyHeader: (exchange) => proxyHeaderOf(version, exchange) };
  }
}

function keyOf({ ca, cert, key }: UpstreamTlsConfig, files: PemFiles): string {
  return JSON.stringify([ca, cert, key].map((path) => (path === undefined ? null : (files[path] ?? path))));
}

function makeFor(name: string, { ca, cert, key }: UpstreamTlsConfig, files: PemFiles): TlsContext {
  const textOf = (path: string | undefined) => {
    if (path === undefined) return undefined;
    const text = files[path];
    if (text === undefined) throw new Error(`upstream ${name}: ${path} has not been read`);
    return text;
  };
  const texts = { ca: textOf(ca), cert: textOf(cert), key: textOf(key) };
  try {
    return makeTlsContext(texts);
  } catch (error) {
    const paths = [ca, cert, key].filter((path) => path !== undefined).join(", ");
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`upstream ${name}: cannot use ${paths}: ${reason}`);
  }
}

function proxyHeaderOf(version: "v1" | "v2", { downstream, clientIp }: Exchange): Buffer {
  const { localIp } = downstream;
  // a client that a trusted proxy named may be of the other family; a header holds addresses of one
  const isOneFamily = localIp.includes(":") === clientIp.includes(":");
  return writeProxyHeader(version, {
    sourceIp: clientIp,
    sourcePort: downstream.clientPort,
    destinationIp: isOneFamily ? localIp : clientIp.includes(":") ? "::" : "0.0.0.0",
    destinationPort: downstream.localPort,
  });
}
