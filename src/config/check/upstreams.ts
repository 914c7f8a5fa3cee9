/**
 * Upstreams: the named ones, and those that routes make by naming an address.
 *
 * rule   a word without dot or colon is a name; when it names nothing it is a mistake, never a DNS name
 */
import { formatAddress } from "../../core/address.ts";
import type { EndpointConfig, ServerConfig, UpstreamConfig } from "../config.ts";
import { judgeEndpoint, localHint } from "../options/addresses.ts";
import type { Entry } from "../options/containers.ts";
import { type Written, withDefaults } from "../options/types.ts";
import { POOL, UPSTREAM } from "../options/upstream.table.ts";
import { type Place, quote } from "../problem.ts";
import { didYouMean, nearest } from "../suggest.ts";
import { checkEndpoints, refuseIdle } from "./endpoints.ts";
import type { CheckFacts } from "./facts.ts";
import { absoluteAddress } from "./places.ts";
import { checkResilience, type WrittenUpstream } from "./resilience.ts";
import type { PlacedEndpoint } from "./upstream-tls.ts";

type UpstreamEntry = Entry<Written<typeof UPSTREAM>>;

export class UpstreamTable {
  readonly #facts: CheckFacts;
  readonly #upstreams = new Map<string, UpstreamConfig>();
  /** Named in the file, sound or not: a route that names an unsound one is not wrong as well. */
  readonly #names: ReadonlySet<string>;
  /** `upstreams` is there but cannot be read: then nobody knows which names there are. */
  readonly #isUnreadable: boolean;
  /** Where this machine stands; undefined = not a word about it. */
  readonly #zone: string | undefined;
  #isZoneMissed = false;
  /** Sticky cookies, and the upstream that each is of. */
  readonly #cookies = new Map<string, string>();

  constructor(
    entries: readonly UpstreamEntry[] | undefined,
    root: Place,
    facts: CheckFacts,
    server: ServerConfig,
  ) {
    this.#zone = root.key("server").has("zone") ? server.zone : undefined;
    const place = root.key("upstreams");
    this.#facts = facts;
    this.#names = new Set(place.names());
    this.#isUnreadable = entries === undefined && root.has("upstreams");
    if (entries !== undefined && this.#names.size === 0) {
      place.error("there is no upstream", 'Add one, such as `app: "127.0.0.1:3000"`, or remove the key.');
    }
    for (const entry of entries ?? []) this.#upstreams.set(entry.name, this.#toUpstream(entry));
  }

  all(): readonly UpstreamConfig[] {
    return [...this.#upstreams.values()];
  }

  /** Name of the upstream that `written` means; an address makes one, shared by all who write it. */
  resolve(written: string, place: Place): string | undefined {
    if (this.#names.has(written)) return written;
    const isAddress =
      /[.:]/.test(written) && (written.includes(":") || nearest(written, this.#names) === undefined);
    if (!isAddress) {
      if (!this.#isUnreadable) {
        place.error(`there is no upstream ${quote(written)}`, this.#hintFor(written));
      }
      return undefined;
    }
    const judged = judgeEndpoint(written);
    if (!("value" in judged)) {
      place.error(judged.wrong, judged.hint);
      return undefined;
    }
    const { scheme } = judged.value;
    const address = absoluteAddress(judged.value.address, this.#facts.folder);
    const plainName = formatAddress(address);
    const name = scheme === "https" ? `https://${plainName}` : plainName;
    if (!this.#upstreams.has(name)) {
      const endpoint: EndpointConfig = {
        name: plainName,
        address,
        weight: 1,
        backup: false,
        priority: 0,
        zone: "",
      };
      this.#upstreams.set(name, this.#fill({ name, value: {}, place }, [{ endpoint, scheme, place }]));
    }
    return name;
  }

  #hintFor(written: string): string {
    if (/^\d{1,5}$/.test(written)) return localHint(written);
    const names = [...this.#names];
    if (names.length > 0) return didYouMean(written, names);
    return "Add it under `upstreams`, or write an address such as 127.0.0.1:3000.";
  }

  #toUpstream(entry: UpstreamEntry): UpstreamConfig {
    const { value, place } = entry;
    const endpoints = checkEndpoints(value.endpoints, this.#facts);
    if (!place.has("discovery")) refuseUnserved(entry, endpoints);
    const upstream = this.#fill(entry, endpoints);
    this.#warnOfZones(endpoints, place);
    this.#warnOfCookie(upstream, place.key("sticky"));
    return upstream;
  }

  /** A zone that meets none is mostly a slip; traffic then goes everywhere. */
  #warnOfZones(endpoints: readonly PlacedEndpoint[], place: Place): void {
    const placed = endpoints.find(({ endpoint }) => endpoint.zone !== "");
    if (placed === undefined) return;
    if (this.#zone === undefined) {
      if (!this.#isZoneMissed) {
        const hint = `Add \`server: { zone: ${placed.endpoint.zone} }\`.`;
        placed.place.key("zone").warning("zones have no effect: nobody said where this machine stands", hint);
      }
      this.#isZoneMissed = true;
      return;
    }
    const zones = [...new Set(endpoints.map(({ endpoint }) => endpoint.zone))].filter((zone) => zone !== "");
    if (this.#zone === "" || zones.includes(this.#zone) || place.has("discovery")) return;
    place.warning(`no endpoint stands in the zone ${quote(this.#zone)}`, didYouMean(this.#zone, zones));
  }

  /** Two upstreams that a client meets under one host would take each other's cookie for their own. */
  #warnOfCookie({ name, sticky }: UpstreamConfig, place: Place): void {
    if (sticky === undefined) return;
    const other = this.#cookies.get(sticky.cookie);
    this.#cookies.set(sticky.cookie, other ?? name);
    if (other === undefined) return;
    place.warning(
      `the cookie \`${sticky.cookie}\` is that of the upstream \`${other}\` as well`,
      "Give each its own `cookie`, unless no host leads to both.",
    );
  }

  #fill(entry: WrittenUpstream, endpoints: readonly PlacedEndpoint[]): UpstreamConfig {
    const { proxyProtocol } = withDefaults(UPSTREAM, entry.value);
    const pool = withDefaults(POOL, entry.value.pool);
    return {
      name: entry.name,
      endpoints: endpoints.map(({ endpoint }) => endpoint),
      pool: { idle: pool.idle, idleTimeoutMs: pool.idleTimeout, maxAgeMs: pool.maxAge },
      proxyProtocol,
      ...checkResilience(entry, endpoints, this.#facts),
    };
  }
}

/** Without discovery, who is listed has to do the work. */
function refuseUnserved(
  { value, place, isSound }: UpstreamEntry,
  endpoints: readonly PlacedEndpoint[],
): void {
  if (value.endpoints === undefined) {
    if (place.has("endpoints")) return;
    place.error("there is neither `endpoints` nor `discovery`", 'Add `endpoints: [ "127.0.0.1:3000" ]`.');
  } else if (!isSound) return;
  else if (value.endpoints.length > 0) refuseIdle(endpoints, place);
  else place.error("the upstream has no endpoint", 'Add one, such as "127.0.0.1:3000".');
}
