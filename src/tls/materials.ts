/**
 * Materials: certificates, keys and what goes with them, as control hands them to workers.
 *
 * why    keys are readable by the user that started Weir, not by workers, which have given their rights away:
 *        control reads them and sends what each listener needs
 * rule   plain data that JSON carries; the same id is the same pair, so that a worker makes nothing twice
 */

/** One certificate with its key, as PEM. */
export interface CertificatePair {
  /** Digest of chain and key. */
  readonly id: string;
  /** Lower-case DNS names, `*.example.com` included, and IP addresses. */
  readonly names: readonly string[];
  readonly keyType: "ec" | "rsa";
  /** Leaf first. */
  readonly cert: string;
  readonly key: string;
}

/** Answers to ACME challenges that are under way. */
export interface Challenges {
  /** http-01: key authorisation by token (RFC 8555 §8.3). */
  readonly http: Readonly<Record<string, string>>;
  /** tls-alpn-01: the certificate to show by server name (RFC 8737). */
  readonly alpn: Readonly<Record<string, CertificatePair>>;
}

export interface Materials {
  /** By listener name; the first is the default. */
  readonly certificates: Readonly<Record<string, readonly CertificatePair[]>>;
  /** Texts of other PEM files that the configuration names (CA, CRL, client certificates), by path. */
  readonly files: Readonly<Record<string, string>>;
  readonly challenges: Challenges;
}

export const NO_MATERIALS: Materials = { certificates: {}, files: {}, challenges: { http: {}, alpn: {} } };
