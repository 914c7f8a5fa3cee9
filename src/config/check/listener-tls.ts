/**
 * TLS of a listener: certificates, what is offered, and what is asked of clients.
 */
import { CIPHER_SUITES, POLICIES, type TlsPolicy } from "../../tls/policy.table.ts";
import type { ClientAuthConfig, ListenerTlsConfig } from "../config.ts";
import { CERTIFICATE, CLIENT_AUTH, HSTS, LISTENER_TLS } from "../options/options.table.ts";
import { type Written, withDefaults } from "../options/types.ts";
import type { Place } from "../problem.ts";
import { checkAcme } from "./acme.ts";
import type { CheckFacts } from "./facts.ts";
import { checkOptionalFile } from "./files.ts";

type WrittenTls = Written<typeof LISTENER_TLS>;

export function checkListenerTls(
  written: WrittenTls | undefined,
  place: Place,
  facts: CheckFacts,
): ListenerTlsConfig | undefined {
  if (written === undefined) return undefined;
  const { unknownNames } = withDefaults(LISTENER_TLS, written);
  const { minVersion, ciphers, curves } = checkPolicy(written, place);
  return {
    certificates: checkCertificates(written.certificates, place, facts),
    acme: checkAcme(written.acme, place.key("acme"), facts),
    unknownNames,
    minVersion,
    ciphers: ciphers.join(":"),
    curves: curves.join(":"),
    clientAuth: checkClientAuth(written.clientAuth, place.key("clientAuth"), facts),
    hsts: checkHsts(written.hsts, place.key("hsts")),
  };
}

const CERTIFICATE_HINT = "Add `certificates: [ { cert: app.crt, key: app.key } ]`, or `acme`.";

function checkCertificates(
  written: WrittenTls["certificates"],
  place: Place,
  facts: CheckFacts,
): ListenerTlsConfig["certificates"] {
  if (!place.has("certificates") && !place.has("acme")) {
    place.error("TLS needs a certificate", CERTIFICATE_HINT);
  }
  if (written?.isSound === true && written.value.length === 0 && !place.has("acme")) {
    written.place.error("there is no certificate in the list", CERTIFICATE_HINT);
  }
  return (written?.value ?? []).flatMap(({ value, place: at }) => {
    const { cert, key } = withDefaults(CERTIFICATE, value);
    const certPath = checkOptionalFile(cert, at.key("cert"), facts);
    const keyPath = checkOptionalFile(key, at.key("key"), facts);
    return certPath === undefined || keyPath === undefined ? [] : [{ cert: certPath, key: keyPath }];
  });
}

function checkPolicy(written: WrittenTls, place: Place): TlsPolicy {
  const { policy, minVersion } = withDefaults(LISTENER_TLS, written);
  if (policy === "modern" || policy === "intermediate") {
    const chosen = POLICIES[policy];
    if (policy === "modern" && minVersion === "1.2") {
      place
        .key("minVersion")
        .error("the policy `modern` has no TLS 1.2", "Remove `minVersion`, or use `intermediate`.");
    }
    return { ...chosen, minVersion: minVersion ?? chosen.minVersion };
  }
  const at = place.key("policy");
  if (!at.has("ciphers") && !at.has("curves")) {
    at.error("the policy says nothing", "Give it `ciphers` or `curves`, or write `intermediate`.");
  }
  const { ciphers = [], curves = [] } = policy;
  judgeCiphers(ciphers, at, minVersion);
  const { intermediate } = POLICIES;
  return {
    minVersion: minVersion ?? intermediate.minVersion,
    ciphers: ciphers.length > 0 ? [...new Set(ciphers)] : intermediate.ciphers,
    curves: curves.length > 0 ? [...new Set(curves)] : intermediate.curves,
  };
}

function judgeCiphers(ciphers: readonly string[], policy: Place, minVersion: string | undefined): void {
  if (minVersion === "1.3" && ciphers.length > 0) {
    policy.key("ciphers").warning("these are suites of TLS 1.2, which is off", "They change nothing.");
  }
  for (const { name, weakness } of CIPHER_SUITES) {
    if (weakness === "" || !ciphers.includes(name)) continue;
    policy.key("ciphers").warning(`${name} is weak: ${weakness}`, "Remove it if no client needs it.");
  }
}

function checkClientAuth(
  written: WrittenTls["clientAuth"],
  place: Place,
  facts: CheckFacts,
): ClientAuthConfig {
  if (written === undefined) return { mode: "off", ca: undefined, crl: undefined, forward: false };
  const { mode, ca, crl, forward } = withDefaults(CLIENT_AUTH, written);
  if (mode !== "off" && !place.has("ca")) {
    place.error("there is no `ca` to verify clients against", "Add `ca: clients.pem`, or write `mode: off`.");
  } else if (crl !== undefined && !place.has("ca")) {
    place.key("crl").error("a revocation list needs the authority that made it", "Add `ca`.");
  }
  return {
    mode,
    ca: checkOptionalFile(ca, place.key("ca"), facts),
    crl: checkOptionalFile(crl, place.key("crl"), facts),
    forward,
  };
}

/** Lists that browsers ship take a name from one year on, subdomains included (hstspreload.org). */
const PRELOAD_SECONDS = 31_536_000;

function checkHsts(written: WrittenTls["hsts"], place: Place): string {
  if (written === undefined || written === false) return "";
  const { maxAge, includeSubDomains, preload } = withDefaults(HSTS, written);
  const seconds = Math.floor(maxAge / 1000);
  if (preload && (seconds < PRELOAD_SECONDS || !includeSubDomains)) {
    place
      .key("preload")
      .error("preloading needs `includeSubDomains` and a year", "Add them, or remove `preload`.");
  }
  return `max-age=${seconds}${includeSubDomains ? "; includeSubDomains" : ""}${preload ? "; preload" : ""}`;
}
