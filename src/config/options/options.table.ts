/**
 * Options: every key of the configuration, with its type, default, bounds and one sentence.
 *
 * why    the check, the JSON Schema and the printed reference are made from these rows; nothing is said twice
 * rule   a section has exactly the keys of its type in `define.ts`: `satisfies` proves it; upstreams and retries
 *        are in `upstream.table.ts`, caching and compression in `cache.table.ts`
 */
import type * as Input from "../define.ts";
import { certifiableName } from "./acme.ts";
import { bindAddress, cidr, hostPattern } from "./addresses.ts";
import { CACHE, COMPRESS, routeCache } from "./cache.table.ts";
import { list, map, object, offOr, placed, shortFor, strictList, trueOr, wordOr } from "./containers.ts";
import { errorPages, fieldListMap, fieldMap, fieldName, method, pathTest, slashPath, tests, testValue } from "./messages.ts";
import { zoneName } from "./resilience.ts";
import { choice, duration, flag, integer, name, ownName, size, text, workerCount } from "./scalars.ts";
import { secret } from "./secret.ts";
import { cipherSuite, curve, fingerprint, tlsVersion } from "./tls.ts";
import { defaulted, optional, type RowsFor, required } from "./types.ts";
import { DAY, HOUR, KIB, MIB, MS, SECOND, TIB } from "./units.ts";
import { RETRY, UPSTREAM } from "./upstream.table.ts";

/** Only told to clients: no timer runs so long. */
const DECADE = 3650 * DAY;

const file = text("a file", undefined, { type: "string" });

export const SERVER = {
  workers:      defaulted(workerCount, "auto", "Data-plane processes; `auto` is one a core"),
  drainTimeout: defaulted(duration({ min: MS, max: DAY, zero: "at once" }), "30s", "How long old connections may finish on reload, upgrade and stop"),
  user:         optional(text("a user name", undefined, { type: "string" }), "User to become after binding, when started as root"),
  memory:       defaulted(size({ min: 16 * MIB, max: TIB }), "512MiB", "Ceiling for what a worker holds in buffers; the cache has its own, `cache.memory`"),
  zone:         optional(zoneName, "Where this machine stands: endpoints with the same `zone` are preferred"),
} satisfies RowsFor<Input.ServerInput>;

export const LISTENER_LIMITS = {
  connections:           defaulted(integer(1, 1_000_000), 20_000, "Open connections; the newest is refused beyond"),
  requestHead:           defaulted(size({ min: KIB, max: MIB }), "32KiB", "Bytes of request line and header together"),
  headers:               defaulted(integer(1, 1000), 100, "Header lines in a request"),
  body:                  defaulted(size({ min: 1, max: TIB, zero: "no limit" }), "100MiB", "Bytes of a request body"),
  requestsPerConnection: defaulted(integer(1, 1_000_000_000), 10_000, "Requests on one connection before it is closed"),
} satisfies RowsFor<Input.ListenerLimitsInput>;

export const LISTENER_TIMEOUTS = {
  handshake: defaulted(duration({ min: MS, max: HOUR }), "10s", "For the PROXY protocol header, and for TLS"),
  head:      defaulted(duration({ min: MS, max: HOUR }), "10s", "From the first byte of a request to the end of its head"),
  body:      defaulted(duration({ min: MS, max: DAY }), "30s", "Between two body bytes, read from or taken by the client"),
  idle:      defaulted(duration({ min: MS, max: DAY }), "75s", "Between two requests of a connection"),
} satisfies RowsFor<Input.ListenerTimeoutsInput>;

const PROXY_PROTOCOL = {
  from: required(list(cidr, "list of address blocks"), "Peers that must begin a connection with a PROXY protocol header, and are believed"),
} satisfies RowsFor<NonNullable<Input.ListenerInput["proxyProtocol"]>>;

export const CERTIFICATE = {
  cert: required(file, "The certificate and those that vouch for it, leaf first: a PEM file"),
  key:  required(file, "Its private key: a PEM file"),
} satisfies RowsFor<Input.CertificateInput>;

export const TLS_POLICY = {
  ciphers: optional(list(cipherSuite, "list of cipher suites"), "Suites of TLS 1.2, the preferred one first; those of TLS 1.3 are always on"),
  curves:  optional(list(curve, "list of key exchange groups"), "Key exchange groups, the preferred one first"),
} satisfies RowsFor<Input.TlsPolicyInput>;

export const CLIENT_AUTH = {
  mode:    defaulted(choice("off", "optional", "require"), "require", "Whether a client must show a certificate"),
  ca:      optional(file, "Authorities that may have signed it: a PEM file"),
  crl:     optional(file, "Certificates that were revoked: a PEM file"),
  forward: defaulted(flag, false, "Tells endpoints who the client is: `Client-Cert` (RFC 9440) and `X-Client-Cert-*`"),
} satisfies RowsFor<Input.ClientAuthInput>;

export const HSTS = {
  maxAge:            defaulted(duration({ min: SECOND, max: DECADE, zero: "clients forget it" }), "17520h", "How long a browser goes to https by itself"),
  includeSubDomains: defaulted(flag, false, "Holds for every name below as well"),
  preload:           defaulted(flag, false, "Lets browsers ship the name in their lists"),
} satisfies RowsFor<Input.HstsInput>;

export const ACME_ACCOUNT = {
  keyId:   required(text("a key identifier"), "Identifier of the account's key, as the authority shows it"),
  hmacKey: required(secret, "The key itself, base64url"),
} satisfies RowsFor<Input.AcmeAccountInput>;

export const ACME_DIRECTORY = {
  url:  optional(text("`letsencrypt`, `letsencrypt-staging`, `zerossl` or a URL", undefined, { type: "string" }), "Where the authority's directory is (RFC 8555 §7.1.1)"),
  name: optional(ownName, "In logs and in the storage folder; a known name stands for its URL"),
  eab:  optional(object(ACME_ACCOUNT), "Binds to an account made on the authority's web site (RFC 8555 §7.3.4)"),
} satisfies RowsFor<Input.AcmeDirectoryObjectInput>;

export const ACME_DNS = {
  hook: required(list(text("a word", undefined, { type: "string" }), "program with its arguments"), "Called as `hook add NAME VALUE` and `hook remove NAME VALUE`; returns when the record is published"),
} satisfies RowsFor<Input.AcmeDnsInput>;

export const ACME = {
  names:       optional(placed(list(placed(certifiableName), "name or list of names")), "One certificate is obtained and renewed for each"),
  onDemand:    optional(placed(list(placed(certifiableName), "name or list of names")), "Names, or `*.example.com` for any with one label more, that get a certificate when a client first asks for them"),
  email:       optional(text("a mail address", undefined, { type: "string" }), "Where the authority may write to"),
  directory:   defaulted(placed(list(placed(shortFor(ACME_DIRECTORY, "url", "`letsencrypt`, `letsencrypt-staging`, `zerossl`, a URL or a mapping")), "authority or list of authorities")), "letsencrypt", "Who certifies; the next in the list is asked when one fails"),
  challenge:   defaulted(choice("http-01", "tls-alpn-01", "dns-01"), "http-01", "How control of a name is proven: on port 80, on port 443, or in the DNS"),
  dns:         optional(object(ACME_DNS), "How dns-01 sets its TXT record"),
  storage:     defaulted(text("a folder", undefined, { type: "string" }), "./weir-acme", "Folder for account keys and certificates"),
  storageKey:  optional(secret, "Encrypts the keys in that folder"),
  keyType:     defaulted(choice("ec256", "ec384", "rsa2048"), "ec256", "Kind of key for new certificates"),
  directoryCa: optional(file, "Authority that vouches for the directory's own server: a PEM file; the system's when left out"),
} satisfies RowsFor<Input.AcmeInput>;

export const LISTENER_TLS = {
  certificates: optional(placed(list(placed(object(CERTIFICATE)), "certificate or list of certificates")), "Chosen by the names inside; the first is the default. Files are watched and swapped without dropping a connection"),
  acme:         optional(object(ACME), "Certificates that are obtained and renewed by themselves (RFC 8555)"),
  unknownNames: defaulted(choice("default", "refuse"), "default", "A server name that no certificate covers, or none at all: the default certificate, or an alert"),
  minVersion:   optional(tlsVersion, "Oldest version of TLS; `1.2` when left out, `1.3` with the policy `modern`"),
  policy:       defaulted(wordOr(["modern", "intermediate"], object(TLS_POLICY)), "intermediate", "Mozilla's `modern` or `intermediate` (server-side TLS 5.7), or suites and groups of your own"),
  clientAuth:   optional(object(CLIENT_AUTH), "Certificates of clients (mutual TLS)"),
  hsts:         optional(trueOr(object(HSTS)), "Strict-Transport-Security on every answer (RFC 6797)"),
} satisfies RowsFor<Input.ListenerTlsInput>;

export const HTTP2 = {
  maxStreams:       defaulted(integer(1, 10_000), 128, "Requests open at once on one connection"),
  streamWindow:     defaulted(size({ min: 16 * KIB, max: 16 * MIB }), "256KiB", "Body bytes of one request that may be on their way"),
  connectionWindow: defaulted(size({ min: 64 * KIB, max: 64 * MIB }), "1MiB", "Body bytes of all requests of a connection that may be on their way"),
  extendedConnect:  defaulted(flag, false, "WebSockets over HTTP/2 (RFC 8441)"),
} satisfies RowsFor<Input.Http2Input>;

export const HTTPS_REDIRECT = {
  status: defaulted(integer(301, 308), 308, "301, 302, 303, 307 or 308"),
  port:   defaulted(integer(1, 65_535), 443, "Port of the https listener as clients see it; 443 stays unsaid"),
} satisfies RowsFor<Input.HttpsRedirectInput>;

export const LISTENER = {
  bind:           required(list(bindAddress, "address or list of addresses"), "Where to listen: host:port, :port, [v6]:port or unix:/path"),
  mode:           defaulted(choice("http"), "http", "What is spoken here"),
  protocols:      optional(list(choice("h1", "h2"), "list of HTTP versions"), "HTTP versions that a client may speak: h1 and h2 with `tls`, h1 without; h2 without `tls` means prior knowledge (h2c)"),
  tls:            optional(object(LISTENER_TLS), "Certificates and what is asked of clients; plain text when left out"),
  http2:          optional(object(HTTP2), "What one HTTP/2 connection may use"),
  redirectToHttps: optional(trueOr(object(HTTPS_REDIRECT)), "Answers every request with a redirect to https"),
  proxyProtocol:  optional(object(PROXY_PROTOCOL), "Accepts PROXY protocol v1 and v2, from these peers only"),
  trustedProxies: defaulted(list(cidr, "list of address blocks"), [], "Peers whose X-Forwarded-* and Forwarded are believed"),
  encodedSlash:   defaulted(choice("refuse", "pass"), "refuse", "`%2F` and `%5C` in a path: answered with 400, or passed on unchanged"),
  limits:         optional(object(LISTENER_LIMITS), "How much a client may ask for"),
  timeouts:       optional(object(LISTENER_TIMEOUTS), "How long a client may take"),
} satisfies RowsFor<Input.ListenerInput>;

export const CLIENT_CERT = {
  subject:     optional(testValue, "Distinguished name as RFC 4514 writes it, such as `CN=alice,O=Example`: `value` equal, `*` present, `~pattern`"),
  san:         optional(testValue, "One of its names, such as `DNS:a.example.com` or `email:a@example.com`, tested likewise"),
  fingerprint: optional(list(fingerprint, "fingerprint or list of fingerprints"), "SHA-256 of the certificate in hex, with or without colons"),
} satisfies RowsFor<Input.ClientCertInput>;

const MATCH = {
  host:     optional(list(hostPattern, "host or list of hosts"), "Hosts; `*.example.com` is every name below"),
  path:     optional(pathTest, "`/x` exactly, `/x/*` it and all below, `~^/v[0-9]+/` a regular expression"),
  method:   optional(list(method, "method or list of methods"), "Methods, in upper case"),
  headers:  optional(tests("field"), "Header fields: `value` equal, `*` present, `~pattern`"),
  query:    optional(tests("parameter"), "Query parameters, tested like headers"),
  cookies:  optional(tests("parameter"), "Cookies, tested like headers"),
  clientIp: optional(list(cidr, "list of address blocks"), "Addresses the client may have"),
  clientCert: optional(wordOr(["*"], object(CLIENT_CERT)), "The client's verified certificate; `*` is any"),
} satisfies RowsFor<Input.MatchInput>;

export const REWRITE = {
  stripPrefix: optional(slashPath, "Taken off the front of the path, by whole segments"),
  path:        optional(slashPath, "A new path, with `{rest}` of a prefix match or `{1}` of a pattern"),
  host:        optional(text("a host", undefined, { type: "string" }), "A new `Host` for the upstream"),
} satisfies RowsFor<Input.RewriteInput>;

export const HEADER_EDITS = {
  set:    optional(fieldMap, "Replaces every field of the name"),
  add:    optional(fieldListMap, "Adds one more field, or several"),
  remove: optional(list(fieldName, "list of field names"), "Removes every field of the name"),
} satisfies RowsFor<Input.HeaderEditsInput>;

export const HEADERS = {
  request:  optional(object(HEADER_EDITS), "Edits of what the upstream receives"),
  response: optional(object(HEADER_EDITS), "Edits of what the client receives"),
} satisfies RowsFor<Input.HeadersInput>;

export const ROUTE_TIMEOUTS = {
  request:  defaulted(duration({ min: MS, max: DAY, zero: "none" }), "0", "The whole exchange"),
  connect:  defaulted(duration({ min: MS, max: HOUR }), "5s", "To connect to an endpoint"),
  response: defaulted(duration({ min: MS, max: DAY }), "60s", "From the end of the request to the head of the response"),
  idle:     defaulted(duration({ min: MS, max: DAY }), "60s", "Without a byte in either direction"),
} satisfies RowsFor<Input.RouteTimeoutsInput>;

export const POLICY = {
  listener:   optional(list(placed(name), "name or list of names"), "Listeners; every http listener when left out"),
  priority:   optional(integer(-1_000_000, 1_000_000), "Higher goes before more specific; 0 when left out"),
  match:      optional(object(MATCH), "Which requests; every request when left out"),
  rewrite:    optional(object(REWRITE), "Changes of path and host on the way to the upstream"),
  headers:    optional(object(HEADERS), "Changes of header fields"),
  timeouts:   optional(object(ROUTE_TIMEOUTS), "How long the upstream may take"),
  retry:      optional(object(RETRY), "When a request is sent again, to another endpoint"),
  shed:       optional(choice("low", "normal", "high"), "Who is turned away first when the machine is overloaded; `normal` when left out"),
  cache:      optional(routeCache, "Keeps responses, and answers from them (RFC 9111)"),
  compress:   optional(trueOr(object(COMPRESS)), "Compresses answers, as clients accept it"),
  errorPages: optional(errorPages, "Own HTML pages by status (`404`) or class (`5xx`); files relative to the configuration"),
} satisfies RowsFor<Input.PolicyInput>;

export const TARGET = {
  upstream: required(name, "An upstream's name, or an address"),
  weight:   defaulted(integer(0, 1_000_000), 1, "Share of the requests, against the other weights"),
} satisfies RowsFor<Input.TargetInput>;

export const REDIRECT = {
  to:     required(text("a path or URL", undefined, { type: "string" }), "A path or URL, with `{rest} {path} {query} {host} {1}`"),
  status: defaulted(integer(301, 308), 308, "301, 302, 303, 307 or 308"),
} satisfies RowsFor<Input.RedirectInput>;

export const RESPOND = {
  status:      defaulted(integer(200, 599), 200, "Status of the answer"),
  body:        defaulted(text("a text"), "", "Body of the answer"),
  contentType: defaulted(text("a media type", undefined, { type: "string" }), "text/plain; charset=utf-8", "Its media type"),
  headers:     optional(fieldMap, "More header fields of the answer"),
} satisfies RowsFor<Input.RespondInput>;

export const FILES = {
  root:  required(text("a folder", undefined, { type: "string" }), "A folder, relative to the configuration file"),
  index: defaulted(list(text("a file name", undefined, { type: "string" }), "list of file names"), ["index.html"], "Files that stand for their folder"),
} satisfies RowsFor<Input.FilesInput>;

export const ROUTE = {
  name:       optional(ownName, "In logs, metrics and status; `route-1` by position when left out"),
  ...POLICY,
  to:         optional(list(placed(shortFor(TARGET, "upstream", "name, address or `{ upstream, weight }`")), "upstream or weighted list"), "An upstream's name, an address such as `http://127.0.0.1:3000`, or a weighted list"),
  redirect:   optional(shortFor(REDIRECT, "to", "path or URL, or a mapping"), "Where to send the client instead"),
  respond:    optional(object(RESPOND), "A fixed answer"),
  files:      optional(object(FILES), "Files of a folder"),
  policies:   optional(list(placed(name), "name or list of names"), "Names from `policies`: a later one wins over an earlier one, the route's own keys over all"),
} satisfies RowsFor<Input.RouteInput>;

export const ADMIN = {
  bind:  defaulted(bindAddress, "127.0.0.1:9900", "Where the admin listener listens"),
  token: optional(secret, "Asked of every client; required on any address but loopback and unix sockets"),
} satisfies RowsFor<Input.AdminInput>;

export const ACCESS_LOG = {
  format: defaulted(text("a log format", undefined, { type: "string" }), "json", "`json`, `combined`, or a template with `{field}`"),
  to:     defaulted(text("a file", undefined, { type: "string" }), "stdout", "`stdout`, `stderr` or a file, relative to the configuration file"),
} satisfies RowsFor<Input.AccessLogInput>;

export const OBSERVE = {
  accessLog: defaulted(offOr(object(ACCESS_LOG)), "off", "One line for each request"),
  metrics:   defaulted(flag, true, "`/metrics` on the admin listener"),
} satisfies RowsFor<Input.ObserveInput>;

export const ROOT = {
  server:    optional(object(SERVER), "The processes: how many, how much memory, whose rights"),
  listeners: required(map(object(LISTENER), "mapping of names to listeners"), "Where clients connect, by name"),
  routes:    required(strictList(placed(object(ROUTE)), "a list of routes"), "What to do with a request; the most specific match wins, not the order"),
  upstreams: optional(map(shortFor(UPSTREAM, "endpoints", "endpoints, or a mapping"), "mapping of names to upstreams"), "Named sets of endpoints"),
  policies:  optional(map(object(POLICY), "mapping of names to policies"), "Named sets of route keys, for `policies` in a route"),
  cache:     optional(object(CACHE), "The cache that routes share: how much memory, which disk"),
  admin:     optional(offOr(object(ADMIN)), "The admin listener: status, metrics, reload"),
  observe:   optional(object(OBSERVE), "Access log and metrics"),
} satisfies RowsFor<Input.ConfigInput>;
