/**
 * Failures: everything that can go wrong with an exchange, as data.
 *
 * why    one row per code answers, in one place: who is at fault, what the client is told,
 *        whether another attempt may help, and how loudly to log it
 * shape  `fail(code, detail)` → Failure; a Failure is returned or emitted, never thrown
 * never  build a Failure anywhere else, or pick a status code in a phase
 */
// biome-ignore format: a table is read by columns
const ROWS = {
  // code                      side          status retry    level    what it means
  h1_bad_request_line:        ["downstream", 400, "never", "info",  "the request line is not HTTP"],
  h1_bad_target:              ["downstream", 400, "never", "info",  "the request target holds bytes that no target may hold"],
  h1_bad_version:             ["downstream", 505, "never", "info",  "the HTTP version is not 1.0 or 1.1"],
  h1_bad_field:               ["downstream", 400, "never", "info",  "a field line breaks the grammar"],
  h1_bad_line_end:            ["downstream", 400, "never", "info",  "a bare CR or LF where CRLF must stand"],
  h1_length_conflict:         ["downstream", 400, "never", "warn",  "several different Content-Length values"],
  h1_length_and_chunked:      ["downstream", 400, "never", "warn",  "Content-Length together with Transfer-Encoding"],
  h1_coding_unknown:          ["downstream", 501, "never", "info",  "a transfer coding other than chunked"],
  h1_bad_chunk:               ["downstream", 400, "never", "warn",  "the chunked body breaks its grammar"],
  h1_host_missing:            ["downstream", 400, "never", "info",  "HTTP/1.1 without a Host field"],
  h1_host_conflict:           ["downstream", 400, "never", "warn",  "several Host fields, or Host against the target"],
  bad_host:                   ["downstream", 400, "never", "info",  "the Host value is not a host"],
  bad_path:                   ["downstream", 400, "never", "info",  "the path is ambiguous: encoded slash, NUL, or above the root"],
  method_refused:             ["downstream", 405, "never", "info",  "CONNECT, or another method that a proxy here does not serve"],
  expectation_unknown:        ["downstream", 417, "never", "info",  "an Expect other than 100-continue"],
  head_too_large:             ["downstream", 431, "never", "info",  "the head exceeds limits.requestHead or limits.headers"],
  target_too_long:            ["downstream", 414, "never", "info",  "the request line alone exceeds limits.requestHead"],
  body_too_large:             ["downstream", 413, "never", "info",  "the request body exceeds limits.body"],
  head_timeout:               ["downstream", 408, "never", "info",  "the request head did not arrive in timeouts.head"],
  body_timeout:               ["downstream", 408, "never", "info",  "no request body byte came for timeouts.body"],
  send_timeout:               ["downstream", 408, "never", "info",  "the client took no response byte for timeouts.body"],
  downstream_closed:          ["downstream", 499, "never", "info",  "the client left before the exchange was complete"],
  h2_malformed:               ["downstream", 400, "never", "info",  "an HTTP/2 message breaks the rules of RFC 9113 §8"],
  h2_protocol:                ["downstream", 400, "never", "info",  "a client broke HTTP/2: its connection is closed"],
  h2_abuse:                   ["downstream", 400, "never", "warn",  "a client makes HTTP/2 expensive: its connection is closed"],
  tls_handshake:              ["downstream", 400, "never", "info",  "a client's TLS handshake failed or took longer than timeouts.handshake"],
  misdirected:                ["downstream", 421, "never", "info",  "the connection's certificate does not cover this host"],
  client_cert_required:       ["downstream", 403, "never", "info",  "a client certificate is asked for and was not shown or not verified"],
  no_route:                   ["downstream", 404, "never", "debug", "no route matches"],
  not_found:                  ["downstream", 404, "never", "debug", "the file does not exist"],
  file_method_refused:        ["downstream", 405, "never", "debug", "files are read with GET and HEAD"],
  range_unsatisfiable:        ["downstream", 416, "never", "debug", "the range lies outside of the file"],
  precondition_failed:        ["downstream", 412, "never", "debug", "If-Match or If-Unmodified-Since did not hold"],
  connect_refused:            ["upstream",   502, "other", "warn",  "the endpoint refused the connection"],
  connect_timeout:            ["upstream",   504, "other", "warn",  "the connection was not made in timeouts.connect"],
  no_endpoint:                ["upstream",   503, "never", "warn",  "the upstream has no usable endpoint"],
  name_unresolved:            ["upstream",   503, "other", "warn",  "the endpoint's name has no address yet"],
  stale_connection:           ["upstream",   502, "same",  "debug", "a pooled connection was closed before any response byte"],
  upstream_reset:             ["upstream",   502, "other", "warn",  "the endpoint closed before its response head was complete"],
  upstream_cut:               ["upstream",   502, "never", "warn",  "the endpoint closed in the middle of the response body"],
  response_timeout:           ["upstream",   504, "other", "warn",  "no response head in timeouts.response"],
  request_timeout:            ["upstream",   504, "never", "warn",  "the whole exchange exceeded timeouts.request"],
  upstream_idle:              ["upstream",   504, "never", "warn",  "the endpoint sent nothing for timeouts.idle"],
  h1_response_head:           ["upstream",   502, "never", "warn",  "the response head is not HTTP"],
  h1_response_head_too_large: ["upstream",   502, "never", "warn",  "the response head exceeds its limit"],
  h1_response_framing:        ["upstream",   502, "never", "warn",  "the response declares an impossible or ambiguous body"],
  h1_response_chunk:          ["upstream",   502, "never", "warn",  "the chunked response body breaks its grammar"],
  tls_untrusted:              ["upstream",   502, "never", "error", "the endpoint's certificate could not be verified"],
  tls_failed:                 ["upstream",   502, "other", "warn",  "the TLS handshake with the endpoint failed"],
  tls_no_h2:                  ["upstream",   502, "never", "error", "the endpoint does not speak HTTP/2 although `protocol: h2` says so"],
  stream_refused:             ["upstream",   503, "same",  "debug", "the endpoint did not process the stream (REFUSED_STREAM or GOAWAY)"],
  h2_response:                ["upstream",   502, "never", "warn",  "the endpoint broke HTTP/2"],
  upgrade_unasked:            ["upstream",   502, "never", "warn",  "101 to a request that asked for no such upgrade"],
  upgrade_unsupported:        ["upstream",   502, "never", "warn",  "the endpoint speaks HTTP/2 and takes no WebSockets over it (RFC 8441)"],
  too_many_connections:       ["local",      503, "never", "warn",  "limits.connections, or the files a worker may open, reached; the newest is refused"],
  out_of_memory:              ["local",      503, "never", "warn",  "server.memory reached; the newest is refused"],
  queue_full:                 ["local",      503, "never", "info",  "the upstream's limit is reached and its queue is full"],
  queue_timeout:              ["local",      503, "never", "info",  "no place at the upstream came free in limits.queueTimeout"],
  breaker_open:               ["local",      503, "never", "info",  "the upstream's circuit breaker is open"],
  shed:                       ["local",      503, "never", "info",  "turned away by its route's priority: the worker is overloaded, or the upstream's queue is too slow"],
  not_cached:                 ["local",      504, "never", "debug", "the client takes only what is stored (only-if-cached), and nothing stored can answer"],
  draining:                   ["local",      503, "never", "info",  "this process is leaving"],
  internal:                   ["local",      500, "never", "error", "a defect in the proxy"],
} as const satisfies Record<string, readonly [Side, number, Retry, Level, string]>;

/** Who is at fault: the client's side, the server's side, or this process. */
export type Side = "downstream" | "upstream" | "local";
/** Whether a new attempt may help: not at all, on the same endpoint, or only on another one. */
export type Retry = "never" | "same" | "other";
export type Level = "debug" | "info" | "warn" | "error";
export type FailureCode = keyof typeof ROWS;

export interface Failure {
  readonly code: FailureCode;
  readonly side: Side;
  /** Status for the client when no response head has been sent yet. */
  readonly status: number;
  readonly retry: Retry;
  readonly level: Level;
  /** What was seen, for logs; never sent to the client. */
  readonly detail: string;
}

/** Makes the failure for `code`; `detail` says what was seen. */
export function fail(code: FailureCode, detail = ""): Failure {
  const [side, status, retry, level] = ROWS[code];
  return { code, side, status, retry, level, detail };
}

/** All codes with their meaning, for metrics labels and the generated reference. */
export const FAILURE_CODES = Object.keys(ROWS) as readonly FailureCode[];

/** Row number of a code: its place among the counters of `weir_failures_total`. */
export const FAILURE_INDEX: ReadonlyMap<FailureCode, number> = new Map(
  FAILURE_CODES.map((code, index) => [code, index]),
);

/** What a code means, for people. */
export function failureMeaning(code: FailureCode): string {
  return ROWS[code][4];
}

/** What a log says of something thrown, which is a defect of ours: its stack where it has one. */
export function defectText(defect: unknown): string {
  return defect instanceof Error ? (defect.stack ?? defect.message) : String(defect);
}
