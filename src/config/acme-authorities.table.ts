/**
 * Certificate authorities that a word stands for.
 *
 * spec   RFC 8555 §7.1.1 (directory); the addresses are those that each authority publishes
 */
export interface KnownAuthority {
  /** URL of its directory. */
  readonly directory: string;
  /** It only serves accounts that were made on its web site (RFC 8555 §7.3.4). */
  readonly needsAccount: boolean;
}

export const KNOWN_AUTHORITIES: Readonly<Record<string, KnownAuthority>> = {
  "letsencrypt":         { directory: "https://acme-v02.api.letsencrypt.org/directory",         needsAccount: false },
  "letsencrypt-staging": { directory: "https://acme-staging-v02.api.letsencrypt.org/directory", needsAccount: false },
  "zerossl":             { directory: "https://acme.zerossl.com/v2/DV90",                       needsAccount: true },
};
