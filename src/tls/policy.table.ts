/**
 * TLS policies: which cipher suites and key exchange groups are offered, and which a configuration may name.
 *
 * why    names that the runtime does not know fail at listen time with a library's code; here they fail with a hint
 * rule   TLS 1.3 suites cannot be chosen and are always on; the order is the server's preference
 * spec   Mozilla server-side TLS guidelines 5.7 (`modern`, `intermediate`), without the DHE suites that
 *        BoringSSL does not have; RFC 9325 for what counts as weak; draft-ietf-tls-ecdhe-mlkem for X25519MLKEM768
 */

export interface CipherSuite {
  /** As OpenSSL calls it. */
  readonly name: string;
  /** As the IANA registry calls it. */
  readonly iana: string;
  /** Why nobody should need it; "" = sound. */
  readonly weakness: string;
}

const NO_FORWARD_SECRECY = "a stolen key opens recorded traffic (RFC 9325 §4.1)";
const CBC = "CBC suites have a history of padding attacks (RFC 9325 §4.2)";

/** TLS 1.2 suites that the runtime knows. */
export const CIPHER_SUITES: readonly CipherSuite[] = [
  { name: "ECDHE-ECDSA-AES128-GCM-SHA256", iana: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",       weakness: "" },
  { name: "ECDHE-RSA-AES128-GCM-SHA256",   iana: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",         weakness: "" },
  { name: "ECDHE-ECDSA-AES256-GCM-SHA384", iana: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",       weakness: "" },
  { name: "ECDHE-RSA-AES256-GCM-SHA384",   iana: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",         weakness: "" },
  { name: "ECDHE-ECDSA-CHACHA20-POLY1305", iana: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", weakness: "" },
  { name: "ECDHE-RSA-CHACHA20-POLY1305",   iana: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",   weakness: "" },
  { name: "ECDHE-ECDSA-AES128-SHA256",     iana: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",       weakness: CBC },
  { name: "ECDHE-RSA-AES128-SHA256",       iana: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",         weakness: CBC },
  { name: "ECDHE-ECDSA-AES128-SHA",        iana: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",          weakness: CBC },
  { name: "ECDHE-RSA-AES128-SHA",          iana: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",            weakness: CBC },
  { name: "ECDHE-ECDSA-AES256-SHA",        iana: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",          weakness: CBC },
  { name: "ECDHE-RSA-AES256-SHA",          iana: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",            weakness: CBC },
  { name: "AES128-GCM-SHA256",             iana: "TLS_RSA_WITH_AES_128_GCM_SHA256",               weakness: NO_FORWARD_SECRECY },
  { name: "AES256-GCM-SHA384",             iana: "TLS_RSA_WITH_AES_256_GCM_SHA384",               weakness: NO_FORWARD_SECRECY },
  { name: "AES128-SHA",                    iana: "TLS_RSA_WITH_AES_128_CBC_SHA",                  weakness: NO_FORWARD_SECRECY },
  { name: "AES256-SHA",                    iana: "TLS_RSA_WITH_AES_256_CBC_SHA",                  weakness: NO_FORWARD_SECRECY },
];

export interface Curve {
  readonly name: string;
  /** Other names for the same group. */
  readonly aliases: readonly string[];
}

/** Key exchange groups that the runtime knows. */
export const CURVES: readonly Curve[] = [
  { name: "X25519MLKEM768", aliases: [] },
  { name: "X25519",         aliases: ["curve25519"] },
  { name: "P-256",          aliases: ["prime256v1", "secp256r1"] },
  { name: "P-384",          aliases: ["secp384r1"] },
  { name: "P-521",          aliases: ["secp521r1"] },
];

export interface TlsPolicy {
  readonly minVersion: "1.2" | "1.3";
  readonly ciphers: readonly string[];
  readonly curves: readonly string[];
}

const SOUND = CIPHER_SUITES.filter(({ weakness }) => weakness === "").map(({ name }) => name);
const GROUPS = ["X25519MLKEM768", "X25519", "P-256", "P-384"];

/** `modern` has no TLS 1.2; its suites stand there because the runtime takes no empty list. */
export const POLICIES: Readonly<Record<"modern" | "intermediate", TlsPolicy>> = {
  modern:       { minVersion: "1.3", ciphers: SOUND, curves: GROUPS },
  intermediate: { minVersion: "1.2", ciphers: SOUND, curves: GROUPS },
};
