/**
 * defineConfig: the configuration as TypeScript, for `weir.config.ts`.
 *
 * why    the package's public export: an editor completes keys, shows these sentences and marks mistakes
 * rule   types and one identity function; it is imported by users' files and must load nothing else
 * note   `options/options.table.ts` must have exactly the keys of these types; it does not compile otherwise
 */

import type { CacheInput, CompressInput, RouteCacheInput } from "./define-cache.ts";
import type { EndpointInput, RetryInput, UpstreamInput } from "./define-upstream.ts";
import type { AddressText, Duration, OneOrMore, Secret, Size, Variable } from "./define-values.ts";

export interface ConfigInput {
  /** The processes: how many, how much memory, whose rights. */
  readonly server?: ServerInput;
  /** Where clients connect, by name. */
  readonly listeners: Readonly<Record<string, ListenerInput>>;
  /** What to do with a request; the most specific match wins, not the order. */
  readonly routes: readonly RouteInput[];
  /** Named sets of endpoints. May be left out when every route says where to go by itself. */
  readonly upstreams?: Readonly<Record<string, UpstreamInput | OneOrMore<EndpointInput>>>;
  /** Named sets of route keys, for `policies` in a route. */
  readonly policies?: Readonly<Record<string, PolicyInput>>;
  /** The cache that routes share. Nothing is kept unless a route says so. */
  readonly cache?: CacheInput;
  /** The admin listener: status, metrics, reload. */
  readonly admin?: AdminInput | "off";
  /** Access log and metrics. */
  readonly observe?: ObserveInput;
}

export interface ServerInput {
  /** Data-plane processes; `auto` is one a core. Default `auto`. */
  readonly workers?: number | "auto" | Variable;
  /** How long old connections may finish on reload, upgrade and stop. Default `30s`. */
  readonly drainTimeout?: Duration;
  /** User to become after binding, when started as root. */
  readonly user?: string;
  /** Ceiling for what a worker holds in buffers; the cache has its own, `cache.memory`. Default `512MiB`. */
  readonly memory?: Size;
  /** Where this machine stands: endpoints with the same `zone` are preferred. */
  readonly zone?: string;
}

export interface ListenerInput {
  /** `:port` is every address of the machine, IPv4 and IPv6. */
  readonly bind: OneOrMore<AddressText>;
  /** What is spoken here. Default `http`. */
  readonly mode?: "http";
  /** HTTP versions. Default: h1 and h2 with `tls`, h1 without; h2 without `tls` means prior knowledge (h2c). */
  readonly protocols?: OneOrMore<"h1" | "h2">;
  /** Certificates and what is asked of clients; plain text when left out. */
  readonly tls?: ListenerTlsInput;
  /** What one HTTP/2 connection may use. */
  readonly http2?: Http2Input;
  /** Answers every request with a redirect to https. */
  readonly redirectToHttps?: boolean | HttpsRedirectInput | Variable;
  /** Peers that must begin a connection with a PROXY protocol header (v1 or v2), and are believed. */
  readonly proxyProtocol?: { readonly from: OneOrMore<string> };
  /** Peers whose `X-Forwarded-*` and `Forwarded` are believed. Default: nobody. */
  readonly trustedProxies?: OneOrMore<string>;
  /** `%2F` and `%5C` in a path: answered with 400, or passed on unchanged. Default `refuse`. */
  readonly encodedSlash?: "refuse" | "pass";
  readonly limits?: ListenerLimitsInput;
  readonly timeouts?: ListenerTimeoutsInput;
}

export interface ListenerTlsInput {
  /** Chosen by the names inside; the first is the default. */
  readonly certificates?: OneOrMore<CertificateInput>;
  /** Certificates that are obtained and renewed by themselves. */
  readonly acme?: AcmeInput;
  /** A name that no certificate covers, or none: the default certificate, or an alert. Default `default`. */
  readonly unknownNames?: "default" | "refuse";
  /** Default `1.2`; `1.3` with the policy `modern`. */
  readonly minVersion?: "1.2" | "1.3" | 1.2 | 1.3;
  /** Mozilla's `modern` or `intermediate`, or suites and groups of your own. Default `intermediate`. */
  readonly policy?: "modern" | "intermediate" | TlsPolicyInput;
  /** Certificates of clients (mutual TLS). */
  readonly clientAuth?: ClientAuthInput;
  /** Strict-Transport-Security on every answer. */
  readonly hsts?: boolean | HstsInput | Variable;
}

/** Two PEM files, relative to the configuration file. */
export interface CertificateInput {
  /** The certificate and those that vouch for it, leaf first. */
  readonly cert: string;
  readonly key: string;
}

export interface AcmeInput {
  /** One certificate is obtained and renewed for each; `*.example.com` needs `dns-01`. */
  readonly names?: OneOrMore<string>;
  /** Names, or `*.example.com` for any with one label more, that get a certificate when a client first asks. */
  readonly onDemand?: OneOrMore<string>;
  /** Where the authority may write to. */
  readonly email?: string;
  /** Who certifies; the next in the list is asked when one fails. Default `letsencrypt`. */
  readonly directory?: OneOrMore<AcmeDirectoryInput>;
  /** How control of a name is proven: on port 80, on port 443, or in the DNS. Default `http-01`. */
  readonly challenge?: "http-01" | "tls-alpn-01" | "dns-01";
  /** How dns-01 sets its TXT record. */
  readonly dns?: AcmeDnsInput;
  /** Folder for account keys and certificates. Default `./weir-acme`, beside the configuration file. */
  readonly storage?: string;
  /** Encrypts the keys in that folder. */
  readonly storageKey?: Secret;
  /** Kind of key for new certificates. Default `ec256`. */
  readonly keyType?: "ec256" | "ec384" | "rsa2048";
  /** Authority that vouches for the directory's own server: a PEM file. Default: the system's. */
  readonly directoryCa?: string;
}

/** A known authority, the URL of a directory, or more to say about one. */
export type AcmeDirectoryInput =
  | "letsencrypt"
  | "letsencrypt-staging"
  | "zerossl"
  | `https://${string}`
  | Variable
  | AcmeDirectoryObjectInput;

export interface AcmeDirectoryObjectInput {
  /** A known authority, or the URL of a directory. */
  readonly url?: string;
  /** In logs and in the storage folder; a known name stands for its URL. */
  readonly name?: string;
  /** Binds to an account made on the authority's web site. */
  readonly eab?: AcmeAccountInput;
}

export interface AcmeAccountInput {
  readonly keyId: string;
  /** base64url. */
  readonly hmacKey: Secret;
}

export interface AcmeDnsInput {
  /** Called as `hook add NAME VALUE` and `hook remove NAME VALUE`; returns when the record is published. */
  readonly hook: OneOrMore<string>;
}

export interface TlsPolicyInput {
  /** Suites of TLS 1.2 by their OpenSSL names, the preferred one first. */
  readonly ciphers?: OneOrMore<string>;
  /** Key exchange groups, the preferred one first: `X25519MLKEM768`, `X25519`, `P-256`, `P-384`, `P-521`. */
  readonly curves?: OneOrMore<string>;
}

export interface ClientAuthInput {
  /** Default `require`. */
  readonly mode?: "off" | "optional" | "require";
  /** Authorities that may have signed the certificate: a PEM file. */
  readonly ca?: string;
  /** Certificates that were revoked: a PEM file. */
  readonly crl?: string;
  /** Tells endpoints who the client is: `Client-Cert` and `X-Client-Cert-*`. Default false. */
  readonly forward?: boolean | Variable;
}

export interface HstsInput {
  /** How long a browser goes to https by itself; 0 makes it forget. Default `17520h`: two years. */
  readonly maxAge?: Duration;
  /** Holds for every name below as well. Default false. */
  readonly includeSubDomains?: boolean | Variable;
  /** Lets browsers ship the name in their lists. Default false. */
  readonly preload?: boolean | Variable;
}

export interface Http2Input {
  /** Requests open at once on one connection. Default 128. */
  readonly maxStreams?: number | Variable;
  /** Body bytes of one request that may be on their way. Default `256KiB`. */
  readonly streamWindow?: Size;
  /** Body bytes of all requests of a connection that may be on their way. Default `1MiB`. */
  readonly connectionWindow?: Size;
  /** WebSockets over HTTP/2 (RFC 8441). Default false. */
  readonly extendedConnect?: boolean | Variable;
}

export interface HttpsRedirectInput {
  /** Default 308. */
  readonly status?: 301 | 302 | 303 | 307 | 308;
  /** Port of the https listener as clients see it. Default 443. */
  readonly port?: number | Variable;
}

export interface ListenerLimitsInput {
  /** Open connections; the newest is refused beyond. Default 20000. */
  readonly connections?: number | Variable;
  /** Bytes of request line and header together. Default `32KiB`. */
  readonly requestHead?: Size;
  /** Header lines in a request. Default 100. */
  readonly headers?: number | Variable;
  /** Bytes of a request body; 0 = no limit. Default `100MiB`. */
  readonly body?: Size;
  /** Requests on one connection before it is closed. Default 10000. */
  readonly requestsPerConnection?: number | Variable;
}

export interface ListenerTimeoutsInput {
  /** For the PROXY protocol header, and for TLS. Default `10s`. */
  readonly handshake?: Duration;
  /** From the first byte of a request to the end of its head. Default `10s`. */
  readonly head?: Duration;
  /** Between two body bytes, read or written. Default `30s`. */
  readonly body?: Duration;
  /** Between two requests of a connection. Default `75s`. */
  readonly idle?: Duration;
}

/** The keys that a route may also take from a policy. */
export interface PolicyInput {
  /** Listener names; every http listener when left out. */
  readonly listener?: OneOrMore<string>;
  /** Higher goes before more specific. Default 0. */
  readonly priority?: number | Variable;
  readonly match?: MatchInput;
  readonly rewrite?: RewriteInput;
  readonly headers?: HeadersInput;
  readonly timeouts?: RouteTimeoutsInput;
  /** When a request is sent again, to another endpoint. */
  readonly retry?: RetryInput;
  /** Who is turned away first when the machine is overloaded. Default `normal`. */
  readonly shed?: "low" | "normal" | "high";
  /** Keeps responses, and answers from them (RFC 9111). */
  readonly cache?: boolean | Variable | RouteCacheInput;
  /** Compresses answers, as clients accept it. */
  readonly compress?: boolean | Variable | CompressInput;
  /** Own HTML pages for error answers, by status (`404`) or class (`5xx`). */
  readonly errorPages?: Readonly<Record<string, string>>;
}

/** Exactly one of `to`, `redirect`, `respond` and `files`. */
export interface RouteInput extends PolicyInput {
  /** In logs, metrics and status. Default: `route-1`, by position. */
  readonly name?: string;
  /** An upstream's name, an address (`http://127.0.0.1:3000`), or a weighted list. */
  readonly to?: string | readonly TargetInput[];
  /** Where to send the client: a path or URL, with `{rest} {path} {query} {host} {1}`. */
  readonly redirect?: string | RedirectInput;
  /** A fixed answer. */
  readonly respond?: RespondInput;
  /** Files of a folder. */
  readonly files?: FilesInput;
  /** Names from `policies`; a later one wins over an earlier one, the route's own keys over all. */
  readonly policies?: OneOrMore<string>;
}

/** `"value"` is equal, `"*"` is present, `"~pattern"` is a regular expression. */
export type Tests = Readonly<Record<string, string | number | boolean>>;

export interface MatchInput {
  /** `app.example.com`, or `*.example.com` for every name below. */
  readonly host?: OneOrMore<string>;
  /** `/x` exactly, `/x/*` it and all below, `~^/v[0-9]+/` a regular expression. */
  readonly path?: string;
  readonly method?: OneOrMore<string>;
  readonly headers?: Tests;
  readonly query?: Tests;
  readonly cookies?: Tests;
  /** Addresses and CIDR blocks. */
  readonly clientIp?: OneOrMore<string>;
  /** The client's verified certificate; `*` is any. */
  readonly clientCert?: "*" | ClientCertInput;
}

export interface ClientCertInput {
  /** Distinguished name as RFC 4514 writes it, such as `CN=alice,O=Example`. */
  readonly subject?: string;
  /** One of its names, such as `DNS:a.example.com` or `email:a@example.com`. */
  readonly san?: string;
  /** SHA-256 of the certificate in hex, with or without colons. */
  readonly fingerprint?: OneOrMore<string>;
}

export interface TargetInput {
  /** An upstream's name, or an address. */
  readonly upstream: string;
  /** Share of the requests, against the other weights. Default 1. */
  readonly weight?: number | Variable;
}

export interface RedirectInput {
  readonly to: string;
  /** Default 308. */
  readonly status?: 301 | 302 | 303 | 307 | 308;
}

export interface RespondInput {
  /** Default 200. */
  readonly status?: number | Variable;
  readonly body?: string;
  /** Default `text/plain; charset=utf-8`. */
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string | number>>;
}

export interface FilesInput {
  /** A folder, relative to the configuration file. */
  readonly root: string;
  /** Files that stand for their folder. Default `[index.html]`. */
  readonly index?: OneOrMore<string>;
}

export interface RewriteInput {
  /** Taken off the front of the path, by whole segments. */
  readonly stripPrefix?: string;
  /** A new path, with `{rest}` of a prefix match or `{1}` of a pattern. */
  readonly path?: string;
  /** A new `Host` for the upstream. */
  readonly host?: string;
}

export interface HeadersInput {
  readonly request?: HeaderEditsInput;
  readonly response?: HeaderEditsInput;
}

export interface HeaderEditsInput {
  /** Replaces every field of the name. */
  readonly set?: Readonly<Record<string, string | number | boolean>>;
  /** Adds one more field, or several. */
  readonly add?: Readonly<Record<string, OneOrMore<string | number | boolean>>>;
  readonly remove?: OneOrMore<string>;
}

export interface RouteTimeoutsInput {
  /** The whole exchange; 0 = none. Default 0. */
  readonly request?: Duration;
  /** To connect to an endpoint. Default `5s`. */
  readonly connect?: Duration;
  /** From the end of the request to the head of the response. Default `60s`. */
  readonly response?: Duration;
  /** Without a byte in either direction. Default `60s`. */
  readonly idle?: Duration;
}

export interface AdminInput {
  /** Default `127.0.0.1:9900`. */
  readonly bind?: AddressText;
  /** Asked of every client; required on any address but loopback and unix sockets. */
  readonly token?: Secret;
}

export interface ObserveInput {
  readonly accessLog?: AccessLogInput | "off";
  /** `/metrics` on the admin listener. Default true. */
  readonly metrics?: boolean | Variable;
}

export interface AccessLogInput {
  /** `json`, `combined`, or a template with `{field}`. Default `json`. */
  readonly format?: string;
  /** `stdout`, `stderr` or a file, relative to the configuration file. Default `stdout`. */
  readonly to?: string;
}

/** Gives the configuration its types; returns it as it is. */
export function defineConfig(input: ConfigInput): ConfigInput {
  return input;
}
