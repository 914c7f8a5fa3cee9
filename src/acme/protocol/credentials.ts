/**
 * Credentials: keys, signing requests and challenge certificates, made by @peculiar/x509 on the runtime's WebCrypto.
 *
 * why    the library is read when the first certificate is ordered: it takes 40 ms, and few processes order
 * rule   every certificate has a key of its own, also when it is renewed
 * spec   RFC 2986 (CSR), RFC 8737 §3 (tls-alpn-01)
 */
import { createHash } from "node:crypto";
import type { AcmeConfig } from "../../config/config.ts";
import { pairId } from "../../tls/certificate.ts";
import type { CertificatePair } from "../../tls/materials.ts";

export type KeyType = AcmeConfig["keyType"];

export interface SigningRequest {
  /** PKCS #8, PEM. */
  readonly key: string;
  /** DER. */
  readonly csr: Buffer;
}

/** id-pe-acmeIdentifier (RFC 8737 §6.1). */
const ACME_IDENTIFIER = "1.3.6.1.5.5.7.1.31";
/** Begins an OCTET STRING of 32 bytes. */
const OCTET_STRING_32 = [0x04, 0x20];
const CHALLENGE_BACKDATED_MS = 3600_000;
const CHALLENGE_LIFE_MS = 7 * 24 * 3600_000;

const ALGORITHMS = {
  ec256: { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" },
  ec384: { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" },
  rsa2048: {
    name: "RSASSA-PKCS1-v1_5",
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
    hash: "SHA-256",
  },
} as const;

/** A new key, and the request for a certificate of this one name. */
export async function signingRequest(name: string, keyType: KeyType): Promise<SigningRequest> {
  const { Pkcs10CertificateRequestGenerator: generator, SubjectAlternativeNameExtension } = await library();
  const keys = await makeKeys(keyType);
  const csr = await generator.create({
    keys,
    signingAlgorithm: ALGORITHMS[keyType],
    extensions: [new SubjectAlternativeNameExtension([{ type: "dns", value: name }])],
  });
  return { key: await keyPem(keys), csr: Buffer.from(csr.rawData) };
}

/** The certificate that a client which offers `acme-tls/1` is shown for this name. */
export async function challengePair(
  name: string,
  keyAuthorization: string,
  nowMs: number,
): Promise<CertificatePair> {
  const { Extension, SubjectAlternativeNameExtension, X509CertificateGenerator } = await library();
  const keys = await makeKeys("ec256");
  const digest = createHash("sha256").update(keyAuthorization).digest();
  const made = await X509CertificateGenerator.createSelfSigned({
    name: "CN=ACME challenge",
    keys,
    signingAlgorithm: ALGORITHMS.ec256,
    notBefore: new Date(nowMs - CHALLENGE_BACKDATED_MS),
    notAfter: new Date(nowMs + CHALLENGE_LIFE_MS),
    extensions: [
      new SubjectAlternativeNameExtension([{ type: "dns", value: name }]),
      new Extension(ACME_IDENTIFIER, true, Buffer.concat([Buffer.from(OCTET_STRING_32), digest])),
    ],
  });
  const cert = made.toString("pem");
  const key = await keyPem(keys);
  return { id: pairId(cert, key), names: [name], keyType: "ec", cert, key };
}

const library = () => import("@peculiar/x509");

async function makeKeys(keyType: KeyType): Promise<CryptoKeyPair> {
  return (await crypto.subtle.generateKey(ALGORITHMS[keyType], true, ["sign", "verify"])) as CryptoKeyPair;
}

async function keyPem({ privateKey }: CryptoKeyPair): Promise<string> {
  const der = Buffer.from(await crypto.subtle.exportKey("pkcs8", privateKey));
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN PRIVATE KEY-----\n${lines.join("\n")}\n-----END PRIVATE KEY-----\n`;
}
