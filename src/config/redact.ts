/**
 * Redact: a Config that may be shown: in `explain`, `status`, logs and dumps.
 *
 * why    a secret is only useful to the part that compares or sends it; every other reader gets this copy
 * out    the same shape; the admin token, the keys of ACME and of sticky cookies, and the values of fields that
 *        carry credentials are replaced
 */
import type { RequestTest } from "../cache/policy.ts";
import type { HeaderEdits } from "../route/match.ts";
import type { AcmeConfig, Config, UpstreamConfig } from "./config.ts";

const HIDDEN = "[hidden]";

/** Names that carry credentials, by use and by habit. */
const CREDENTIAL =
  /^(?:.*authorization|.*cookie|.*token.*|.*secret.*|.*password.*|.*api-?key.*|.*credential.*|.*-key)$/i;

export function redactConfig(config: Config): Config {
  const { admin } = config;
  return {
    ...config,
    admin:
      admin === undefined ? undefined : { ...admin, token: admin.token === undefined ? undefined : HIDDEN },
    listeners: config.listeners.map((listener) => ({
      ...listener,
      tls: listener.tls && { ...listener.tls, acme: listener.tls.acme && redactAcme(listener.tls.acme) },
    })),
    routes: config.routes.map((route) => ({
      ...route,
      match: {
        ...route.match,
        headers: route.match.headers.map((named) =>
          named.test.kind === "equal" && CREDENTIAL.test(named.name)
            ? { ...named, test: { kind: "equal", value: HIDDEN } }
            : named,
        ),
      },
      requestHeaders: redactEdits(route.requestHeaders),
      responseHeaders: redactEdits(route.responseHeaders),
      cache: route.cache && { ...route.cache, bypass: route.cache.bypass.map(redactTest) },
    })),
    upstreams: config.upstreams.map(redactUpstream),
  };
}

function redactAcme(acme: AcmeConfig): AcmeConfig {
  return {
    ...acme,
    storageKey: acme.storageKey === undefined ? undefined : HIDDEN,
    authorities: acme.authorities.map((authority) => ({
      ...authority,
      externalAccount: authority.externalAccount && { ...authority.externalAccount, hmacKey: HIDDEN },
    })),
  };
}

function redactUpstream(upstream: UpstreamConfig): UpstreamConfig {
  const { sticky, health } = upstream;
  return {
    ...upstream,
    sticky: sticky && { ...sticky, secret: sticky.secret === undefined ? undefined : HIDDEN },
    health: {
      ...health,
      active: health.active && { ...health.active, headers: health.active.headers.map(redactField) },
    },
  };
}

function redactEdits(edits: HeaderEdits): HeaderEdits {
  return { ...edits, set: edits.set.map(redactField), add: edits.add.map(redactField) };
}

function redactTest(test: RequestTest): RequestTest {
  return test.value !== undefined && CREDENTIAL.test(test.name) ? { ...test, value: HIDDEN } : test;
}

function redactField(field: readonly [name: string, value: string]): readonly [string, string] {
  return CREDENTIAL.test(field[0]) ? [field[0], HIDDEN] : field;
}
