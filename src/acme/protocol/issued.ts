/**
 * Issued: is this the certificate that was ordered? Asked before it is used or stored, and when it is read back.
 *
 * in     a chain in PEM, its key, and the one name it is for
 * out    what is known of it; throws Trouble when anything is wrong
 * rule   the chain is not checked up to a root: clients do that, and a private authority's root is not ours to know
 * spec   RFC 8555 §7.4.2, RFC 9773 §4.1 (the certificate's identifier)
 */
import { createHash, X509Certificate } from "node:crypto";
import { type ReadCertificate, readCertificate } from "../../tls/certificate.ts";
import { Trouble } from "../trouble.ts";

export interface Issued extends ReadCertificate {
  /** What renewal information is asked by (RFC 9773 §4.1), "" when the certificate names no issuer key. */
  readonly renewalId: string;
  /** A number in [0, 1) of this certificate's own: its jitter is the same after a restart. */
  readonly chance: number;
}

/** The clocks of authorities and ours may differ by so much. */
const CLOCK_SKEW_MS = 3600_000;

/** Reads and checks. `nowMs` undefined: its dates are not judged, as of one that was stored long ago. */
export function readIssued(name: string, cert: string, key: string, nowMs: number | undefined): Issued {
  const read = readCertificate(cert, key);
  if ("error" in read) throw new Trouble("certificate", read.error);
  const { names, notBeforeMs, notAfterMs } = read.facts;
  if (!names.includes(name)) {
    throw new Trouble("certificate", `it is for ${names.join(", ") || "no name"}, not for ${name}`);
  }
  if (nowMs !== undefined) checkDates(notBeforeMs, notAfterMs, nowMs);
  const { raw, serialNumber } = new X509Certificate(read.pair.cert);
  const digest = createHash("sha256").update(raw).digest();
  return { ...read, renewalId: renewalIdOf(raw, serialNumber), chance: digest.readUInt32BE(0) / 2 ** 32 };
}

function checkDates(notBeforeMs: number, notAfterMs: number, nowMs: number): void {
  if (notBeforeMs > nowMs + CLOCK_SKEW_MS) {
    throw new Trouble(
      "certificate",
      `not valid before ${timeText(notBeforeMs)}: is the clock of this machine right?`,
    );
  }
  if (notAfterMs <= nowMs) {
    throw new Trouble(
      "certificate",
      `expired since ${timeText(notAfterMs)}: is the clock of this machine right?`,
    );
  }
}

const timeText = (ms: number) => new Date(ms).toISOString();

/** base64url(key id of the issuer) "." base64url(serial), both as in the DER (RFC 9773 §4.1). */
function renewalIdOf(der: Buffer, serialNumber: string): string {
  const keyId = issuerKeyId(der);
  if (keyId === undefined) return "";
  const hex = serialNumber.length % 2 === 0 ? serialNumber : `0${serialNumber}`;
  // DER integers are signed: a leading 1 bit needs a zero byte in front
  const serial = Buffer.from(Number.parseInt(hex.slice(0, 2), 16) > 0x7f ? `00${hex}` : hex, "hex");
  return `${keyId.toString("base64url")}.${serial.toString("base64url")}`;
}

/** OID 2.5.29.35, authority key identifier (RFC 5280 §4.2.1.1). */
const AUTHORITY_KEY_ID = Buffer.from([0x06, 0x03, 0x55, 0x1d, 0x23]);
const DER_SEQUENCE = 0x30;
const DER_OCTETS = 0x04;
const DER_CONTEXT_0 = 0x80;
/** Lengths up to here take one byte. */
const MAX_SHORT_LENGTH = 0x7f;

/**
 * The key identifier, found by its OID: `OID, OCTET STRING { SEQUENCE { [0] keyIdentifier …`. All three are shorter
 * than 128 bytes where the extension holds a key id alone, as public authorities write it; another one has no
 * renewal information.
 */
function issuerKeyId(der: Buffer): Buffer | undefined {
  const at = der.indexOf(AUTHORITY_KEY_ID);
  if (at === -1) return undefined;
  const octets = at + AUTHORITY_KEY_ID.length;
  const isShape =
    der[octets] === DER_OCTETS && der[octets + 2] === DER_SEQUENCE && der[octets + 4] === DER_CONTEXT_0;
  const length = der[octets + 5] ?? 0;
  if (!isShape || length === 0 || length > MAX_SHORT_LENGTH) return undefined;
  return der.subarray(octets + 6, octets + 6 + length);
}
