/**
 * Listeners: names, addresses, and that no address is given twice.
 */
import { type Address, formatAddress } from "../../core/address.ts";
import type { Http2Config, ListenerConfig } from "../config.ts";
import type { Entry } from "../options/containers.ts";
import {
  HTTP2,
  HTTPS_REDIRECT,
  LISTENER,
  LISTENER_LIMITS,
  LISTENER_TIMEOUTS,
} from "../options/options.table.ts";
import { type Written, withDefaults } from "../options/types.ts";
import type { Place } from "../problem.ts";
import { formatSize } from "../quantity.ts";
import { checkReach } from "./acme.ts";
import type { CheckFacts } from "./facts.ts";
import { checkListenerTls } from "./listener-tls.ts";
import { absoluteAddress, bindKey, isOverlap, isWithin } from "./places.ts";
import { isRedirectStatus } from "./redirect-status.ts";

/** What an https URL without a port means. */
const HTTPS_PORT = 443;

type ListenerEntry = Entry<Written<typeof LISTENER>>;

export function checkListeners(
  entries: readonly ListenerEntry[] | undefined,
  place: Place,
  facts: CheckFacts,
): readonly ListenerConfig[] {
  if (entries === undefined) return [];
  if (place.names().length === 0) {
    place.error("there is no listener", 'Add one, such as `web: { bind: ":8080" }`.');
  }
  const owners: Owner[] = [];
  const listeners = entries.map((entry) => {
    const bind = distinct((entry.value.bind ?? []).map((address) => absoluteAddress(address, facts.folder)));
    if (entry.value.bind?.length === 0 && entry.isSound)
      entry.place.key("bind").error("there is no address", 'Write ":8080".');
    for (const address of bind) claim(address, entry, owners);
    return toListener(entry, bind, facts);
  });
  checkReach(listeners, place);
  for (const entry of entries) checkRedirectPort(entry, listeners);
  return listeners;
}

/** The same address twice in one listener is one: `:80` and `[::]:80`; `:80` holds `127.0.0.1:80` as well. */
function distinct(bind: readonly Address[]): readonly Address[] {
  const kept = new Map<string | symbol, Address>();
  for (const address of bind) {
    const key = bindKey(address) ?? Symbol("port 0");
    const isWider = address.kind === "tcp" && address.host.includes(":");
    if (!kept.has(key) || isWider) kept.set(key, address);
  }
  const all = [...kept.values()];
  return all.filter((address) => !all.some((wide) => wide !== address && isHeldBy(address, wide)));
}

const isHeldBy = (narrow: Address, wide: Address) => bindKey(narrow) !== undefined && isWithin(narrow, wide);

interface Owner {
  readonly address: Address;
  readonly entry: ListenerEntry;
}

function claim(address: Address, entry: ListenerEntry, owners: Owner[]): void {
  const taken = owners.find((owner) => isOverlap(owner.address, address));
  if (taken === undefined) {
    owners.push({ address, entry });
    return;
  }
  const { name, place } = taken.entry;
  const isSame = bindKey(taken.address) === bindKey(address);
  const by = isSame ? "" : ` as part of ${formatAddress(taken.address)}`;
  const message = `${formatAddress(address)} is bound by \`${name}\` already${by} (${place.where})`;
  entry.place
    .key("bind")
    .error(message, "Give each listener its own port, or addresses that do not overlap.");
}

function toListener(entry: ListenerEntry, bind: readonly Address[], facts: CheckFacts): ListenerConfig {
  const { name, value, place } = entry;
  const filled = withDefaults(LISTENER, value);
  const limits = withDefaults(LISTENER_LIMITS, value.limits);
  const timeouts = withDefaults(LISTENER_TIMEOUTS, value.timeouts);
  const protocols = checkProtocols(entry);
  return {
    name,
    bind,
    protocols,
    tls: checkListenerTls(value.tls, place.key("tls"), facts),
    http2: checkHttp2(value.http2, place.key("http2"), protocols),
    redirectToHttps: checkRedirect(value, place.key("redirectToHttps")),
    proxyProtocolFrom: filled.proxyProtocol?.from ?? [],
    trustedProxies: filled.trustedProxies,
    encodedSlash: filled.encodedSlash,
    limits: {
      connections: limits.connections,
      requestHeadBytes: limits.requestHead,
      headers: limits.headers,
      bodyBytes: limits.body,
      requestsPerConnection: limits.requestsPerConnection,
    },
    timeouts: {
      handshakeMs: timeouts.handshake,
      headMs: timeouts.head,
      bodyMs: timeouts.body,
      idleMs: timeouts.idle,
    },
  };
}

/** With the port left out and https elsewhere, clients would be sent to nobody; a written port is meant. */
function checkRedirectPort({ value, place }: ListenerEntry, listeners: readonly ListenerConfig[]): void {
  const { redirectToHttps: written, tls } = value;
  if (written === undefined || written === false || written.port !== undefined || tls !== undefined) return;
  const secure = listeners.filter(({ tls }) => tls !== undefined).flatMap(({ bind }) => bind);
  const ports = secure.flatMap((address) =>
    address.kind === "tcp" && address.port !== 0 ? [address.port] : [],
  );
  const [port] = ports;
  if (port === undefined || ports.includes(HTTPS_PORT)) return;
  place
    .key("redirectToHttps")
    .warning(
      `clients are sent to port ${HTTPS_PORT}, and the listener with TLS is on port ${port}`,
      `Write { port: ${port} }, or { port: ${HTTPS_PORT} } if something forwards that port.`,
    );
}

type WrittenListener = Written<typeof LISTENER>;

function checkProtocols({ value: written, place, isSound }: ListenerEntry): ListenerConfig["protocols"] {
  const fallback = place.has("tls") ? (["h1", "h2"] as const) : (["h1"] as const);
  if (written.protocols === undefined) return fallback;
  if (written.protocols.length === 0 && isSound) {
    place.key("protocols").error("no protocol is left to speak", "Write [h1, h2], or remove the key.");
  }
  return [...new Set(written.protocols)];
}

function checkHttp2(
  written: WrittenListener["http2"],
  place: Place,
  protocols: ListenerConfig["protocols"],
): Http2Config {
  const { maxStreams, streamWindow, connectionWindow, extendedConnect } = withDefaults(HTTP2, written);
  if (written !== undefined && !protocols.includes("h2")) {
    place.warning("this listener speaks no HTTP/2", "Add h2 to `protocols`, or remove this.");
  }
  if (connectionWindow < streamWindow) {
    const at = place.key(place.has("connectionWindow") ? "connectionWindow" : "streamWindow");
    at.error(
      `the connection's window of ${formatSize(connectionWindow)} is smaller than that of one request, ${formatSize(streamWindow)}`,
      "Make `connectionWindow` at least as large as `streamWindow`.",
    );
  }
  return {
    maxStreams,
    streamWindowBytes: streamWindow,
    connectionWindowBytes: connectionWindow,
    extendedConnect,
  };
}

function checkRedirect(written: WrittenListener, place: Place): ListenerConfig["redirectToHttps"] {
  const { redirectToHttps, tls } = written;
  if (redirectToHttps === undefined || redirectToHttps === false) return undefined;
  const { status, port } = withDefaults(HTTPS_REDIRECT, redirectToHttps);
  if (!isRedirectStatus(status, place.key("status"))) return undefined;
  if (tls !== undefined) {
    place.error(
      "this listener has `tls`: its clients speak https already",
      "Put it on the listener for plain http.",
    );
  }
  return { status, port };
}
