/**
 * Certificate: what a PEM chain and its key say, and whether they can serve.
 *
 * why    files, ACME and `weir check` judge a pair by the same rules, before any worker gets it
 * in     texts of the two PEM files
 * out    the pair as workers take it (leaf first, chain in order) with what people want to know of it; or why
 *        it cannot serve. What is doubtful but serves is a flaw.
 * cost   0.1 ms for an EC pair with one intermediate: callers keep what has not changed
 * spec   RFC 5280 §4.1.2.5, §4.2.1.6, RFC 7468, RFC 6125 §6.4.4
 */
import { createHash, createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import type { CertificatePair } from "./materials.ts";

export interface CertificateFacts {
  /** Lower-case DNS names and IP addresses. */
  readonly names: readonly string[];
  /** As people write it: `EC P-256`, `RSA 2048`. */
  readonly keyType: string;
  /** Common name of the issuer, or its organisation. */
  readonly issuer: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Serves, but should be looked at; what time alone makes of it is told by `ageFlaw`. */
  readonly flaws: readonly Flaw[];
}

/** What is wrong, and what to do. */
export interface Flaw {
  readonly message: string;
  readonly hint: string;
}

export interface ReadCertificate {
  readonly pair: CertificatePair;
  readonly facts: CertificateFacts;
}

export interface UnreadCertificate {
  /** Which of the two texts is to blame. */
  readonly part: "cert" | "key";
  readonly error: string;
  readonly hint: string;
  /** True when both are well formed but do not belong together, as between two steps of a replacement. */
  readonly isMismatch: boolean;
}

/** What `weir check` calls soon. */
export const EXPIRES_SOON_MS = 14 * 86_400_000;
const PAIR_ID_DIGITS = 32;
/** More is no chain that a client would take. */
const MAX_CHAIN = 10;
const MIN_RSA_BITS = 2048;
const CERTIFICATE = /-----BEGIN (?:X509 )?CERTIFICATE-----[^-]*-----END (?:X509 )?CERTIFICATE-----/g;
const PRIVATE_KEY = /-----BEGIN ([A-Z ]*)PRIVATE KEY-----[^-]*(?:-[^-]+)*-----END \1PRIVATE KEY-----/;
const CURVES: Readonly<Record<string, string>> = {
  prime256v1: "P-256",
  secp384r1: "P-384",
  secp521r1: "P-521",
};

/** Reads a chain and its key. */
export function readCertificate(cert: string, key: string): ReadCertificate | UnreadCertificate {
  const chain = readChain(cert);
  if ("error" in chain) return chain;
  const secret = readKey(key);
  if ("error" in secret) return secret;
  const leaf = chain.find((entry) => entry.checkPrivateKey(secret.key));
  if (leaf === undefined) return mismatch();
  const keyType = keyTypeOf(secret.key);
  if (keyType === undefined)
    return badKey("the key is neither EC nor RSA", "Clients take no other: make an EC (P-256) key.");
  const ordered = inOrder(leaf, chain);
  const text = ordered.map((entry) => `${entry.toString().trim()}\n`).join("");
  const pem = `${secret.pem.trim()}\n`;
  const facts = factsOf(leaf, chain, ordered);
  const { names } = facts;
  return { pair: { id: pairId(text, pem), names, keyType, cert: text, key: pem }, facts };
}

/** What a chain says by itself, when its key cannot be read. */
export function readFacts(cert: string): CertificateFacts | UnreadCertificate {
  const chain = readChain(cert);
  if ("error" in chain) return chain;
  const leaf = chain[0] as X509Certificate;
  return factsOf(leaf, chain, inOrder(leaf, chain));
}

function factsOf(
  leaf: X509Certificate,
  chain: readonly X509Certificate[],
  ordered: readonly X509Certificate[],
): CertificateFacts {
  const { names, isCommonName } = namesOf(leaf);
  return {
    names,
    keyType: keyTypeText(leaf.publicKey),
    issuer: issuerOf(leaf),
    notBeforeMs: Date.parse(leaf.validFrom),
    notAfterMs: Date.parse(leaf.validTo),
    flaws: flawsOf(leaf, chain, ordered, isCommonName),
  };
}

/** The same chain and key have the same id, wherever they come from. */
export function pairId(cert: string, key: string): string {
  return createHash("sha256").update(cert).update("\0").update(key).digest("hex").slice(0, PAIR_ID_DIGITS);
}

/** What the time makes of a certificate: not valid yet, expired, or about to expire. */
export function ageFlaw(facts: CertificateFacts, nowMs: number, soonMs = EXPIRES_SOON_MS): Flaw | undefined {
  const { notBeforeMs, notAfterMs } = facts;
  if (nowMs < notBeforeMs) {
    return {
      message: `the certificate is not valid before ${timeText(notBeforeMs)}`,
      hint: "Clients refuse it until then: look at the clock of this machine and of the issuer.",
    };
  }
  if (nowMs >= notAfterMs) {
    return {
      message: `the certificate expired on ${timeText(notAfterMs)}`,
      hint: "Clients refuse it: renew it.",
    };
  }
  const days = Math.floor((notAfterMs - nowMs) / 86_400_000);
  if (notAfterMs - nowMs >= soonMs) return undefined;
  const left = days === 0 ? "within a day" : `in ${days} ${days === 1 ? "day" : "days"}`;
  return { message: `the certificate expires ${left}, on ${timeText(notAfterMs)}`, hint: "Renew it." };
}

/** Whether a text holds certificates, as a file of authorities must. out  what is wrong with it, or undefined */
export function whyNoAuthorities(pem: string): Flaw | undefined {
  const found = readCertificates(pem, Number.POSITIVE_INFINITY);
  return "error" in found ? { message: found.error, hint: found.hint } : undefined;
}

function readChain(text: string): X509Certificate[] | UnreadCertificate {
  const chain = readCertificates(text, MAX_CHAIN);
  return "error" in chain ? { part: "cert", ...chain, isMismatch: false } : chain;
}

function readCertificates(text: string, max: number): X509Certificate[] | { error: string; hint: string } {
  const blocks = text.match(CERTIFICATE) ?? [];
  if (blocks.length === 0) {
    const hint = PRIVATE_KEY.test(text)
      ? "It holds a private key: are `cert` and `key` the wrong way round?"
      : "It must have -----BEGIN CERTIFICATE----- in it.";
    return { error: "there is no PEM certificate in it", hint };
  }
  if (blocks.length > max) {
    return {
      error: `there are ${blocks.length} certificates in it`,
      hint: `A chain has ${max} at the most.`,
    };
  }
  const found: X509Certificate[] = [];
  for (const [index, block] of blocks.entries()) {
    try {
      found.push(new X509Certificate(block));
    } catch {
      return {
        error: `certificate ${index + 1} in it is damaged`,
        hint: "Copy it again from where it was issued.",
      };
    }
  }
  return found;
}

function readKey(text: string): { readonly key: KeyObject; readonly pem: string } | UnreadCertificate {
  const block = PRIVATE_KEY.exec(text);
  if (block === null) {
    const hint = /BEGIN CERTIFICATE-/.test(text)
      ? "It holds a certificate: are `cert` and `key` the wrong way round?"
      : "It must have -----BEGIN PRIVATE KEY----- (or EC or RSA PRIVATE KEY) in it.";
    return badKey("there is no PEM private key in it", hint);
  }
  const pem = block[0];
  if (block[1] === "ENCRYPTED " || pem.includes("Proc-Type: 4,ENCRYPTED")) {
    return badKey(
      "the key has a passphrase",
      "Take it off: openssl pkey -in KEY -out PLAIN, and restrict who may read it.",
    );
  }
  try {
    return { key: createPrivateKey(pem), pem };
  } catch {
    return badKey("the key is damaged", "Copy it again from where it was made.");
  }
}

function badKey(error: string, hint: string): UnreadCertificate {
  return { part: "key", error, hint, isMismatch: false };
}

function mismatch(): UnreadCertificate {
  return {
    part: "key",
    error: "the key does not belong to the certificate",
    hint: "Name the key that the certificate was asked for with.",
    isMismatch: true,
  };
}

function keyTypeOf(key: KeyObject): "ec" | "rsa" | undefined {
  const type = key.asymmetricKeyType;
  return type === "ec" || type === "rsa" ? type : undefined;
}

function keyTypeText({ asymmetricKeyType, asymmetricKeyDetails: details }: KeyObject): string {
  if (asymmetricKeyType === "rsa") return `RSA ${details?.modulusLength ?? ""}`.trim();
  const curve = details?.namedCurve ?? "";
  return `EC ${CURVES[curve] ?? curve}`.trim();
}

/** The leaf, then each certificate that issued the one before it. What has no place in the chain comes last. */
function inOrder(leaf: X509Certificate, chain: readonly X509Certificate[]): X509Certificate[] {
  const ordered = [leaf];
  const rest = new Set(chain);
  rest.delete(leaf);
  for (let last = leaf; ; ) {
    const next = [...rest].find((entry) => last.checkIssued(entry));
    if (next === undefined) return [...ordered, ...rest];
    ordered.push(next);
    rest.delete(next);
    last = next;
  }
}

function namesOf(leaf: X509Certificate): { names: readonly string[]; isCommonName: boolean } {
  const names = new Set<string>();
  for (const part of (leaf.subjectAltName ?? "").split(", ")) {
    const name = /^(?:DNS|IP Address):(.+)$/.exec(part)?.[1];
    if (name !== undefined) names.add(name.toLowerCase());
  }
  if (names.size > 0) return { names: [...names], isCommonName: false };
  const common = attributeOf(leaf.subject, "CN");
  return { names: common === undefined ? [] : [common.toLowerCase()], isCommonName: true };
}

/** One attribute of a distinguished name, which the runtime prints one a line. */
function attributeOf(name: string | undefined, attribute: string): string | undefined {
  const lines = (name ?? "").split("\n");
  return lines.find((line) => line.startsWith(`${attribute}=`))?.slice(attribute.length + 1);
}

function issuerOf({ issuer }: X509Certificate): string {
  return attributeOf(issuer, "CN") ?? attributeOf(issuer, "O") ?? (issuer ?? "").replaceAll("\n", ", ");
}

function flawsOf(
  leaf: X509Certificate,
  chain: readonly X509Certificate[],
  ordered: readonly X509Certificate[],
  isCommonName: boolean,
): Flaw[] {
  const found: Flaw[] = [];
  const add = (isSo: boolean, message: string, hint: string) => {
    if (isSo) found.push({ message, hint });
  };
  add(
    isCommonName,
    "the certificate has no subject alternative name",
    "Clients no longer look at the common name: have it issued anew.",
  );
  const { asymmetricKeyType, asymmetricKeyDetails } = leaf.publicKey;
  const bits = asymmetricKeyType === "rsa" ? (asymmetricKeyDetails?.modulusLength ?? 0) : MIN_RSA_BITS;
  add(bits < MIN_RSA_BITS, `the RSA key has ${bits} bits`, `Use ${MIN_RSA_BITS} bits or more, or an EC key.`);
  add(
    ordered.some((entry) => isWeaklySigned(entry)),
    "a certificate in the chain is signed with SHA-1 or MD5",
    "Clients refuse such signatures: have it issued anew.",
  );
  add(
    ordered.some((entry, index) => entry !== chain[index]),
    "the chain is not in order",
    "Weir sends it in order; put the certificate first, then each issuer.",
  );
  add(
    ordered.some((entry, index) => index > 0 && !(ordered[index - 1] as X509Certificate).checkIssued(entry)),
    "the chain has a certificate in it that issued none of the others",
    "Take it out: clients get it for nothing.",
  );
  return found;
}

/** A root signs itself, and nobody looks at that signature. */
function isWeaklySigned(certificate: X509Certificate): boolean {
  const isRoot = certificate.checkIssued(certificate);
  return !isRoot && /sha1|md5/i.test(certificate.signatureAlgorithm ?? "");
}

function timeText(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
