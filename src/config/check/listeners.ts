/**
 * Listeners: names, addresses, and that no address is given twice.
 */
import { type Address, formatAddress } from "../../core/address.ts";
import type { ListenerConfig } from "../config.ts";
import type { Entry } from "../options/containers.ts";
import { LISTENER, LISTENER_LIMITS, LISTENER_TIMEOUTS } from "../options/options.table.ts";
import { type Written, withDefaults } from "../options/types.ts";
import type { Place } from "../problem.ts";
import type { CheckFacts } from "./facts.ts";
import { absoluteAddress, bindKey, isOverlap, isWithin } from "./places.ts";

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
  return entries.map((entry) => {
    const bind = distinct((entry.value.bind ?? []).map((address) => absoluteAddress(address, facts.folder)));
    if (entry.value.bind?.length === 0 && entry.isSound)
      entry.place.key("bind").error("there is no address", 'Write ":8080".');
    for (const address of bind) claim(address, entry, owners);
    return toListener(entry, bind);
  });
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

function toListener({ name, value }: ListenerEntry, bind: readonly Address[]): ListenerConfig {
  const filled = withDefaults(LISTENER, value);
  const limits = withDefaults(LISTENER_LIMITS, value.limits);
  const timeouts = withDefaults(LISTENER_TIMEOUTS, value.timeouts);
  return {
    name,
    bind,
    protocols: ["h1"],
    tls: undefined,
    http2: {
      maxStreams: 128,
      streamWindowBytes: 256 * 1024,
      connectionWindowBytes: 1024 ** 2,
      extendedConnect: false,
    },
    redirectToHttps: undefined,
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
