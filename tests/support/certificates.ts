/**
 * Certificates for tests: an authority of the test's own that issues whatever a case needs.
 *
 * use    `const ca = await testAuthority(); const { cert, key } = await ca.issue({ names: ["a.test"] });`
 * cost   a millisecond for an EC pair, a hundred for an RSA one: issue RSA only where the type matters
 */
import "reflect-metadata";
import { createPrivateKey } from "node:crypto";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
  X509CrlGenerator,
  X509CrlReason,
} from "@peculiar/x509";
import { parseIp } from "../../src/core/address.ts";

export interface IssueOptions {
  /** DNS names and IP addresses, the first one is the common name too; `a.test` unless told. */
  readonly names?: readonly string[];
  /** `ec` (P-256) unless told. */
  readonly keyType?: "ec" | "ec384" | "rsa";
  readonly rsaBits?: number;
  /** From today; negative has expired. 30 unless told. */
  readonly days?: number;
  /** A client certificate; otherwise one for a server. */
  readonly client?: boolean;
  readonly subject?: string;
  /** False: only the common name tells the name. */
  readonly hasAlternativeNames?: boolean;
  readonly hash?: "SHA-1" | "SHA-256";
  /** Somebody else's key, as an authority gets it in a request: `key` is then of no use. */
  readonly publicKey?: CryptoKey;
}

export interface Issued {
  /** PEM: the leaf, then the intermediate if there is one. */
  readonly cert: string;
  /** PKCS #8, PEM. */
  readonly key: string;
  /** Hexadecimal. */
  readonly serial: string;
}

export interface TestAuthority {
  /** Its own certificate, to be trusted. */
  readonly caPem: string;
  issue(options?: IssueOptions): Promise<Issued>;
  /** An authority under this one: what it issues carries its certificate. */
  intermediate(name?: string): Promise<TestAuthority>;
  /** A revocation list (RFC 5280 §5), PEM. */
  revoke(...issued: readonly Issued[]): Promise<string>;
}

const DAY_MS = 86_400_000;
const CA_DAYS = 3650;
const SIGNING = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
let serials = 0x1000;

/** Who signs: an authority, or nobody but itself. */
interface Signer {
  readonly name: string;
  readonly keys: CryptoKeyPair;
  /** Certificates to send along, PEM. */
  readonly chain: string;
}

export async function testAuthority(name = "Weir Test Authority"): Promise<TestAuthority> {
  const keys = await newKeys({});
  const subject = `CN=${name}`;
  const ca = await signAuthority({ name: subject, keys, chain: "" }, subject, keys);
  return authorityOf({ name: subject, keys, chain: "" }, ca);
}

function authorityOf(signer: Signer, caPem: string): TestAuthority {
  return {
    caPem,
    issue: (options = {}) => issue(signer, options),
    async intermediate(name = "Weir Test Intermediate") {
      const keys = await newKeys({});
      const subject = `CN=${name}`;
      const pem = await signAuthority(signer, subject, keys);
      return authorityOf({ name: subject, keys, chain: pem + signer.chain }, pem);
    },
    revoke: (...issued) => revoke(signer, issued),
  };
}

async function issue(signer: Signer, options: IssueOptions): Promise<Issued> {
  const { names = ["a.test"], days = 30, hash = "SHA-256" } = options;
  const keys = await newKeys(options);
  const serial = (serials++).toString(16);
  const signed = await X509CertificateGenerator.create({
    serialNumber: serial,
    subject: options.subject ?? `CN=${names[0] ?? "nobody"}`,
    issuer: signer.name,
    notBefore: new Date(Date.now() - DAY_MS + Math.min(0, days) * DAY_MS),
    notAfter: new Date(Date.now() + days * DAY_MS),
    publicKey: options.publicKey ?? keys.publicKey,
    signingKey: signer.keys.privateKey,
    signingAlgorithm: { ...SIGNING, hash },
    extensions: await leafExtensions(signer, keys, options),
  });
  return { cert: `${signed.toString("pem")}\n${signer.chain}`, key: await keyPem(keys), serial };
}

async function leafExtensions(
  signer: Signer,
  keys: CryptoKeyPair,
  { names = ["a.test"], client = false, hasAlternativeNames = true }: IssueOptions,
): Promise<Extension[]> {
  const usage = client ? ExtendedKeyUsage.clientAuth : ExtendedKeyUsage.serverAuth;
  const found: Extension[] = [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension([usage]),
    await SubjectKeyIdentifierExtension.create(keys.publicKey),
    await AuthorityKeyIdentifierExtension.create(signer.keys.publicKey),
  ];
  const alternatives = names.map((value) => ({
    type: parseIp(value) ? ("ip" as const) : ("dns" as const),
    value,
  }));
  if (hasAlternativeNames && names.length > 0) found.push(new SubjectAlternativeNameExtension(alternatives));
  return found;
}

async function signAuthority(signer: Signer, subject: string, keys: CryptoKeyPair): Promise<string> {
  const signed = await X509CertificateGenerator.create({
    serialNumber: (serials++).toString(16),
    subject,
    issuer: signer.name,
    notBefore: new Date(Date.now() - DAY_MS),
    notAfter: new Date(Date.now() + CA_DAYS * DAY_MS),
    publicKey: keys.publicKey,
    signingKey: signer.keys.privateKey,
    signingAlgorithm: SIGNING,
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return `${signed.toString("pem")}\n`;
}

async function revoke(signer: Signer, issued: readonly Issued[]): Promise<string> {
  const list = await X509CrlGenerator.create({
    issuer: signer.name,
    thisUpdate: new Date(Date.now() - DAY_MS),
    nextUpdate: new Date(Date.now() + DAY_MS),
    entries: issued.map(({ serial }) => ({
      serialNumber: serial,
      revocationDate: new Date(Date.now() - DAY_MS),
      reason: X509CrlReason.keyCompromise,
    })),
    signingKey: signer.keys.privateKey,
    signingAlgorithm: SIGNING,
  });
  // the library says "CRL", which OpenSSL does not read (RFC 7468 §7)
  return `${list.toString("pem").replaceAll(" CRL---", " X509 CRL---")}\n`;
}

async function newKeys({ keyType = "ec", rsaBits = 2048 }: IssueOptions): Promise<CryptoKeyPair> {
  const algorithm =
    keyType === "rsa"
      ? {
          name: "RSASSA-PKCS1-v1_5",
          modulusLength: rsaBits,
          publicExponent: new Uint8Array([1, 0, 1]),
          hash: "SHA-256",
        }
      : { name: "ECDSA", namedCurve: keyType === "ec384" ? "P-384" : "P-256" };
  return (await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as CryptoKeyPair;
}

async function keyPem(keys: CryptoKeyPair): Promise<string> {
  const der = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey));
  return String(
    createPrivateKey({ key: der, format: "der", type: "pkcs8" }).export({ type: "pkcs8", format: "pem" }),
  );
}
