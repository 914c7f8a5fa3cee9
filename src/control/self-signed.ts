/**
 * Self-signed: certificates that stand in where a listener has none yet.
 *
 * why    before ACME has got its first certificate a listener must still speak TLS: connections are refused by
 *        clients that check, and served to those that do not, instead of hanging
 * note   the library is loaded when the first one is made: it takes 50 ms that most starts can do without
 */
import { createPrivateKey } from "node:crypto";
import type { Config, ListenerTlsConfig } from "../config/config.ts";
import { readCertificate } from "../tls/certificate.ts";
import type { Offer } from "./materials.ts";

const ORIGIN = "made at start";
/** Long enough for an authority that is away for a while; nobody should grow used to it. */
const LIFE_MS = 90 * 86_400_000;
const CLOCK_SKEW_MS = 3_600_000;
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

export class StandIns {
  /** By names, so that a reload changes nothing. */
  readonly #made = new Map<string, Promise<Offer>>();

  /** For each listener whose files hold no certificate. */
  async of(config: Config, nowMs: number): Promise<Readonly<Record<string, Offer>>> {
    const bare = config.listeners.filter(({ tls }) => tls !== undefined && tls.certificates.length === 0);
    const made = bare.map(async ({ name, tls }): Promise<[string, Offer]> => {
      const names = namesOf(tls as ListenerTlsConfig);
      const key = names.join(" ");
      const known = this.#made.get(key) ?? makeSelfSigned(names, nowMs);
      this.#made.set(key, known);
      return [name, await known];
    });
    return Object.fromEntries(await Promise.all(made));
  }
}

function namesOf({ acme }: ListenerTlsConfig): readonly string[] {
  return acme === undefined || acme.names.length === 0 ? ["localhost"] : acme.names;
}

async function makeSelfSigned(names: readonly string[], nowMs: number): Promise<Offer> {
  const { SubjectAlternativeNameExtension, X509CertificateGenerator } = await import("@peculiar/x509");
  const keys = (await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"])) as CryptoKeyPair;
  const made = await X509CertificateGenerator.createSelfSigned({
    name: "CN=Weir self-signed",
    keys,
    signingAlgorithm: ALGORITHM,
    notBefore: new Date(nowMs - CLOCK_SKEW_MS),
    notAfter: new Date(nowMs + LIFE_MS),
    extensions: [
      new SubjectAlternativeNameExtension(names.map((value) => ({ type: "dns" as const, value }))),
    ],
  });
  const der = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey));
  const secret = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  const key = String(secret.export({ type: "pkcs8", format: "pem" }));
  const certificate = readCertificate(made.toString("pem"), key);
  if ("error" in certificate) throw new Error(`a self-signed certificate is not right: ${certificate.error}`);
  return {
    source: "self-signed",
    origin: ORIGIN,
    names,
    certificate,
    lastError: undefined,
    renewsAtMs: undefined,
  };
}
