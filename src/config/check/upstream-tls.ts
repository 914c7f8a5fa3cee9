/**
 * TLS of an upstream: whether it is used, as `tls`, `protocol` and the schemes of the addresses say together.
 *
 * rule   never plain text where any of them asks for TLS; what contradicts itself is refused
 */
import type { EndpointConfig, UpstreamConfig, UpstreamTlsConfig } from "../config.ts";
import { type EndpointAddress, isHostName } from "../options/addresses.ts";
import { type Written, withDefaults } from "../options/types.ts";
import { type UPSTREAM, UPSTREAM_TLS } from "../options/upstream.table.ts";
import { type Place, quote } from "../problem.ts";
import type { CheckFacts } from "./facts.ts";
import { checkOptionalFile } from "./files.ts";

type WrittenUpstream = Written<typeof UPSTREAM>;
type WrittenTls = Written<typeof UPSTREAM_TLS>;

export interface PlacedEndpoint {
  readonly endpoint: EndpointConfig;
  readonly scheme: EndpointAddress["scheme"];
  readonly place: Place;
}

/** `place` is the upstream's own. */
export function checkUpstreamTls(
  written: WrittenUpstream,
  place: Place,
  endpoints: readonly PlacedEndpoint[],
  facts: CheckFacts,
): Pick<UpstreamConfig, "protocol" | "tls"> {
  const protocol = written.protocol ?? "h1";
  const secure = endpoints.find(({ scheme }) => scheme === "https");
  const plain = endpoints.find(({ scheme }) => scheme === "http");
  const isAsked = isMapping(written.tls) || protocol === "h2" || secure !== undefined;
  refuseContradictions({ written, protocol, secure, plain, isAsked }, place);
  if (!isAsked) return { protocol, tls: undefined };
  const tls = toTls(isMapping(written.tls) ? written.tls : {}, place.key("tls"), facts);
  if (tls.verify && tls.serverName === undefined) refuseNameless(endpoints);
  return { protocol, tls };
}

const isMapping = (tls: WrittenUpstream["tls"]): tls is WrittenTls => tls !== undefined && tls !== false;

interface Wishes {
  readonly written: WrittenUpstream;
  readonly protocol: UpstreamConfig["protocol"];
  readonly secure: PlacedEndpoint | undefined;
  readonly plain: PlacedEndpoint | undefined;
  readonly isAsked: boolean;
}

function refuseContradictions({ written, protocol, secure, plain, isAsked }: Wishes, place: Place): void {
  if (protocol === "h2c" && isAsked) {
    const why = isMapping(written.tls) ? "`tls` is given" : "an address is `https://`";
    place.key("protocol").error(`h2c is HTTP/2 without TLS, and ${why}`, "Write `protocol: h2`.");
  } else if (protocol === "auto" && !isAsked) {
    place
      .key("protocol")
      .error("`auto` asks by ALPN, which is a part of TLS", "Add `tls: true`, or write h1 or h2c.");
  } else if (written.tls === false && isAsked) {
    const why = protocol === "h2" ? "`protocol: h2` is over TLS" : `${secure?.endpoint.name} is \`https://\``;
    place.key("tls").error(`${why}`, protocol === "h2" ? "Remove `tls`, or write h2c." : "Remove `tls`.");
  } else if (plain !== undefined && isAsked) refusePlain(plain, secure, protocol);
}

function refusePlain(
  plain: PlacedEndpoint,
  secure: PlacedEndpoint | undefined,
  protocol: UpstreamConfig["protocol"],
): void {
  const { place, endpoint } = plain;
  if (secure !== undefined) {
    place.error(
      `http:// stands beside https:// in one upstream (${secure.place.where})`,
      "Use one scheme for all, or two upstreams.",
    );
  } else if (protocol === "h2") {
    place.error(
      "http:// is plain text, and `protocol: h2` is over TLS",
      `Write https://${endpoint.name}, or \`protocol: h2c\`.`,
    );
  } else {
    place.error("http:// is plain text, and the upstream has `tls`", `Write https://${endpoint.name}.`);
  }
}

function toTls(written: WrittenTls, place: Place, facts: CheckFacts): UpstreamTlsConfig {
  const { ca, serverName, cert, key, verify } = withDefaults(UPSTREAM_TLS, written);
  if (cert !== undefined && !place.has("key"))
    place.key("cert").error("the certificate has no `key`", "Add it.");
  if (key !== undefined && !place.has("cert")) place.key("key").error("the key has no `cert`", "Add it.");
  if (serverName !== undefined && !isHostName(serverName)) {
    place.key("serverName").error(`${quote(serverName)} is not a host name`, "Write api.internal.");
  }
  if (!verify) {
    place
      .key("verify")
      .warning(
        "certificates of endpoints are not verified",
        "Whoever is in between can read and change all.",
      );
  }
  return {
    ca: checkOptionalFile(ca, place.key("ca"), facts),
    serverName,
    cert: checkOptionalFile(cert, place.key("cert"), facts),
    key: checkOptionalFile(key, place.key("key"), facts),
    verify,
  };
}

/** A socket's path is in no certificate. */
function refuseNameless(endpoints: readonly PlacedEndpoint[]): void {
  for (const { endpoint, place } of endpoints) {
    if (endpoint.address.kind === "unix")
      place.error("a socket has no name to verify", "Add `tls: { serverName: api.internal }`.");
  }
}
