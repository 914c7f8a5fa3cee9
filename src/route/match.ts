/**
 * Match: what a route asks of a request and what it changes, as plain checked data.
 *
 * why    stated here, on the floor of the deciders; `config/` produces it, `table.ts`, `rewrite.ts` and
 *        `edits.ts` compile it
 */

/** One value test: equal to `value`, merely present, or matching a pattern (RegExp source). */
export type ValueTest =
  | { readonly kind: "equal"; readonly value: string }
  | { readonly kind: "present" }
  | { readonly kind: "pattern"; readonly source: string };

export type PathTest =
  | { readonly kind: "exact"; readonly path: string }
  /** `/x/*`: `path` is `/x`, matches `/x` and `/x/…`; `/*` has the path "". */
  | { readonly kind: "prefix"; readonly path: string }
  | { readonly kind: "pattern"; readonly source: string };

export interface NamedTest {
  /** Lower case for headers, as written for query and cookies. */
  readonly name: string;
  readonly test: ValueTest;
}

/** What a client's verified certificate must hold. A client without one passes none of them. */
export interface ClientCertTest {
  /** Distinguished name as RFC 4514 writes it, such as `CN=alice,O=Example`. */
  readonly subject: ValueTest | undefined;
  /** Passed by some alternative name, written `DNS:a.example.com`, `URI:spiffe://…`, `email:…`, `IP:…`. */
  readonly san: ValueTest | undefined;
  /** SHA-256 in lower-case hex without colons; empty = any. */
  readonly fingerprints: readonly string[];
}

export interface RouteMatch {
  /** Lower case; `*.example.com` is a wildcard for one or more labels; empty = any host. */
  readonly hosts: readonly string[];
  /** undefined = any path. */
  readonly path: PathTest | undefined;
  /** Empty = any method. */
  readonly methods: readonly string[];
  readonly headers: readonly NamedTest[];
  readonly query: readonly NamedTest[];
  readonly cookies: readonly NamedTest[];
  /** CIDR blocks; empty = any client. */
  readonly clientIp: readonly string[];
  /** undefined = any client; without a single test in it any client with a certificate. */
  readonly clientCert: ClientCertTest | undefined;
}

export interface HeaderEdits {
  readonly set: readonly (readonly [name: string, value: string])[];
  readonly add: readonly (readonly [name: string, value: string])[];
  /** Lower case. */
  readonly remove: readonly string[];
}

export interface RewriteConfig {
  readonly stripPrefix: string | undefined;
  /** Template with `{rest}` (what a prefix match left over, without leading slash) and `{1}`… of a pattern. */
  readonly path: string | undefined;
  readonly host: string | undefined;
}
