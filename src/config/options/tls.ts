/**
 * Option types of TLS: versions, cipher suites, key exchange groups.
 */
import { CIPHER_SUITES, CURVES } from "../../tls/policy.table.ts";
import { describe, type Place, quote } from "../problem.ts";
import { didYouMean } from "../suggest.ts";
import { text } from "./scalars.ts";
import type { Type } from "./types.ts";

export type TlsVersion = "1.2" | "1.3";

/** Also without quotes: YAML reads 1.2 as a number. */
export const tlsVersion: Type<TlsVersion> = {
  name: '`"1.2"` or `"1.3"`',
  schema: { enum: ["1.2", "1.3", 1.2, 1.3] },
  read(value, place) {
    const isScalar = typeof value === "string" || typeof value === "number";
    const written = isScalar ? String(value).replace(/^TLS ?v?(?=\d)/i, "") : "";
    if (written === "1.2" || written === "1.3") return written;
    const isOld = /^(?:1|1\.[01]|SSL.*)$/i.test(written);
    const message = isOld ? `TLS ${written} is not offered` : `${describe(value)} is no version of TLS`;
    place.error(isOld ? `${message} (RFC 8996)` : message, 'Write "1.2" or "1.3".');
    return undefined;
  },
};

const CIPHER_NAMES = CIPHER_SUITES.map(({ name }) => name);

/** Of TLS 1.2. */
export const cipherSuite: Type<string> = text("a cipher suite", isCipherSuite, {
  type: "string",
  anyOf: [{ enum: CIPHER_NAMES }, { pattern: "\\$\\{" }],
});

function isCipherSuite(written: string, place: Place): boolean {
  if (CIPHER_NAMES.includes(written)) return true;
  const upper = written.toUpperCase();
  const meant = CIPHER_SUITES.find(({ name, iana }) => name === upper || iana === upper);
  if (meant !== undefined) place.error(`${quote(written)} is not known here`, `Write ${meant.name}.`);
  else if (/^TLS_(?:AES|CHACHA20)_/.test(upper))
    place.error("suites of TLS 1.3 cannot be chosen: all three are on", "Remove it.");
  else if (/[: ]/.test(written))
    place.error(`${quote(written)} is no cipher suite`, "Write one to an entry: [ first, second ].");
  else place.error(`${quote(written)} is not known here`, didYouMean(upper, CIPHER_NAMES));
  return false;
}

const CURVE_NAMES = CURVES.map(({ name }) => name);

export const curve: Type<string> = text("a key exchange group", isCurve, {
  type: "string",
  anyOf: [{ enum: CURVE_NAMES }, { pattern: "\\$\\{" }],
});

function isCurve(written: string, place: Place): boolean {
  if (CURVE_NAMES.includes(written)) return true;
  const lower = written.toLowerCase();
  const meant = CURVES.find(({ name, aliases }) => name.toLowerCase() === lower || aliases.includes(lower));
  const hint = meant === undefined ? didYouMean(written, CURVE_NAMES) : `Write ${meant.name}.`;
  place.error(`${quote(written)} is not known here`, hint);
  return false;
}

/** SHA-256, as `openssl x509 -fingerprint -sha256` prints it or without colons. out  lower case, no colons */
export const fingerprint: Type<string> = {
  name: "SHA-256 in hex",
  schema: { type: "string" },
  read(value, place) {
    const digits = typeof value === "string" ? value.replaceAll(":", "").toLowerCase() : "";
    if (/^[0-9a-f]{64}$/.test(digits)) return digits;
    const isSha1 = /^[0-9a-f]{40}$/.test(digits);
    place.error(
      `${describe(value)} is no SHA-256 fingerprint`,
      isSha1
        ? "This is a SHA-1: use `openssl x509 -fingerprint -sha256`."
        : "Write 64 hex digits, with or without colons.",
    );
    return undefined;
  },
};
