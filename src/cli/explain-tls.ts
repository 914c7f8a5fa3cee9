/**
 * Explain TLS: which certificate a client gets that asks for this server name, and what its handshake may settle.
 *
 * in     the configuration, and the certificate files as they are now; keys are not read
 * note   certificates that ACME has obtained are taken to be there for the names that the configuration lists
 */
import { readFileSync } from "node:fs";
import type { ClientAuthConfig, ListenerConfig, ListenerTlsConfig } from "../config/config.ts";
import type { TlsSession } from "../session/exchange.ts";
import { HTTP_PROTOCOLS } from "../session/http-start.ts";
import { ListenerTls } from "../session/listener-tls.ts";
import { nameRules, TlsContexts } from "../session/tls-contexts.ts";
import { readFacts } from "../tls/certificate.ts";
import type { CertificatePair } from "../tls/materials.ts";
import type { Choice } from "../tls/select.ts";

export interface TlsExplanation {
  /** As the client names it; "" when it names none, as for an IP address (RFC 6066 §3). */
  readonly serverName: string;
  /** Why this certificate, or why none. */
  readonly reason: string;
  readonly isRefused: boolean;
  /** Two when an RSA and an ECDSA one cover the name: the client takes what it can verify. */
  readonly certificates: readonly ShownCertificate[];
  readonly minVersion: "1.2" | "1.3";
  /** ALPN names, the preferred one first. */
  readonly protocols: readonly string[];
  readonly clientAuth: ClientAuthConfig["mode"];
  /** Value of Strict-Transport-Security, "" = none. */
  readonly hsts: string;
}

export interface ShownCertificate {
  readonly source: "file" | "acme";
  /** Path of its file, or name of the authority. */
  readonly origin: string;
  readonly names: readonly string[];
  readonly keyType: string;
  /** ISO 8601; undefined = not known here. */
  readonly notAfter: string | undefined;
}

export interface DryTls {
  readonly explanation: TlsExplanation;
  readonly session: TlsSession;
  readonly notes: readonly string[];
}

/** out  undefined for a listener without TLS */
export function dryTls(listener: ListenerConfig, serverName: string): DryTls | undefined {
  const { tls: config } = listener;
  if (config === undefined) return undefined;
  const notes: string[] = [];
  const known = [...fileCertificates(config, notes), ...acmeCertificates(config)];
  let isWanted = false;
  const tls = new ListenerTls(
    settingsOf(listener, config),
    known.map(pairOf),
    {},
    {
      contexts: new TlsContexts(),
      want: () => {
        isWanted = true;
      },
      report: (text) => notes.push(text),
    },
  );
  const choice = tls.choose(serverName);
  const protocols = alpnOf(listener);
  const { minVersion, clientAuth, hsts } = config;
  if (clientAuth.mode !== "off") notes.push(withoutCertificate(clientAuth.mode));
  return {
    explanation: {
      serverName,
      reason: isWanted ? ON_DEMAND : reasonOf(choice, serverName, known.length),
      // without a single certificate a self-signed one stands in
      isRefused: choice === undefined && (known.length > 0 || config.unknownNames === "refuse"),
      certificates: (choice?.pairs ?? []).flatMap(({ id }) => known.filter((each) => idOf(each) === id)),
      minVersion,
      protocols,
      clientAuth: clientAuth.mode,
      hsts,
    },
    session: {
      serverName,
      version: "TLSv1.3",
      cipher: "",
      client: undefined,
      covers: (host) =>
        serverName === "" || host === serverName || choice === undefined || tls.covers(choice, host),
    },
    notes,
  };
}

const ON_DEMAND = "none covers it: one is obtained when a client first asks, until then the default";

function withoutCertificate(mode: "optional" | "require"): string {
  const need = mode === "require" ? "must" : "may";
  return `clients ${need} show a certificate: explained for one without`;
}

function settingsOf(listener: ListenerConfig, config: ListenerTlsConfig): ListenerTls["settings"] {
  const { minVersion, ciphers, curves, clientAuth } = config;
  const rules = { minVersion, ciphers, curves, clientAuth: clientAuth.mode, ca: undefined, crl: undefined };
  return {
    rules: nameRules(rules),
    refusesUnknown: config.unknownNames === "refuse",
    isPeeked: false,
    protocols: alpnOf(listener),
    onDemand: config.acme?.onDemand ?? [],
  };
}

function alpnOf({ protocols }: ListenerConfig): readonly string[] {
  return HTTP_PROTOCOLS.filter(({ version }) => protocols.includes(version)).map(({ alpn }) => alpn);
}

function reasonOf(choice: Choice | undefined, serverName: string, count: number): string {
  if (count === 0) return "there is none yet: a self-signed one stands in";
  const subject = serverName === "" ? "the client names no server" : "none covers it";
  if (choice === undefined) return `${subject}: refused`;
  if (!choice.names.covers(serverName)) return `${subject}: the default`;
  const isWrittenOut = choice.pairs.some(({ names }) => names.includes(serverName));
  return isWrittenOut ? "it has this name" : "its wildcard covers this name";
}

function fileCertificates(config: ListenerTlsConfig, notes: string[]): ShownCertificate[] {
  return config.certificates.flatMap(({ cert }): ShownCertificate[] => {
    try {
      const facts = readFacts(readFileSync(cert, "latin1"));
      if ("error" in facts) throw new Error(facts.error);
      const { names, keyType, notAfterMs } = facts;
      const notAfter = new Date(notAfterMs).toISOString();
      return [{ source: "file", origin: cert, names, keyType, notAfter }];
    } catch (error) {
      notes.push(`${cert} cannot be read and is left out: ${(error as Error).message}`);
      return [];
    }
  });
}

const KEY_TYPES = { ec256: "EC P-256", ec384: "EC P-384", rsa2048: "RSA 2048" } as const;

function acmeCertificates({ acme }: ListenerTlsConfig): ShownCertificate[] {
  if (acme === undefined) return [];
  return acme.names.map((name) => ({
    source: "acme",
    origin: acme.authorities[0]?.name ?? "",
    names: [name],
    keyType: KEY_TYPES[acme.keyType],
    notAfter: undefined,
  }));
}

const idOf = ({ source, origin, names }: ShownCertificate) => `${source} ${origin} ${names.join(" ")}`;

/** As the selection wants it; nobody signs with it. */
function pairOf(shown: ShownCertificate): CertificatePair {
  const keyType = shown.keyType.startsWith("EC") ? "ec" : "rsa";
  return { id: idOf(shown), names: shown.names, keyType, cert: "", key: "" };
}
