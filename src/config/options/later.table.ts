/**
 * Keys and values that belong to later releases: known, but refused as "not supported yet".
 *
 * why    accepting them silently would promise what is not done; calling them unknown would be untrue
 * shape  a rule is a key path with `*` for a name and `[]` for a list position
 */
export const LATER_KEYS: Readonly<Record<string, string>> = {
  "cluster":                        "Shared limits, purges, certificates and versions between machines",
  "observe.tracing":                "Spans sent to an OTLP collector",

  "routes[].rateLimit":             "Requests allowed for a client in a time",
  "routes[].auth":                  "Who may pass: JWT, basic, client certificate",

  "policies.*.rateLimit":           "Requests allowed for a client in a time",
  "policies.*.auth":                "Who may pass: JWT, basic, client certificate",

  "upstreams.*.discovery.kubernetes": "Endpoints from Kubernetes",
};

export const LATER_VALUES: Readonly<Record<string, readonly string[]>> = {
  "listeners.*.mode":               ["tcp", "udp", "tls-passthrough"],
  "listeners.*.protocols[]":        ["h3"],
};
