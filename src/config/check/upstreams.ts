/**
 * Upstreams: the named ones, and those that routes make by naming an address.
 *
 * rule   a word without dot or colon is a name; when it names nothing it is a mistake, never a DNS name
 */
import { formatAddress } from "../../core/address.ts";
import type { EndpointConfig, UpstreamConfig } from "../config.ts";
import { judgeEndpoint, localHint } from "../options/addresses.ts";
import type { Entry } from "../options/containers.ts";
import { ENDPOINT, POOL, UPSTREAM } from "../options/options.table.ts";
import { type Written, withDefaults } from "../options/types.ts";
import { type Place, quote } from "../problem.ts";
import { didYouMean, nearest } from "../suggest.ts";
import type { CheckFacts } from "./facts.ts";
import { absoluteAddress } from "./places.ts";
import { PLAIN_UPSTREAM } from "./resilience.ts";
import { checkUpstreamTls, type PlacedEndpoint } from "./upstream-tls.ts";

type UpstreamEntry = Entry<Written<typeof UPSTREAM>>;

export class UpstreamTable {
  readonly #facts: CheckFacts;
  readonly #upstreams = new Map<string, UpstreamConfig>();
  /** Named in the file, sound or not: a route that names an unsound one is not wrong as well. */
  readonly #names: ReadonlySet<string>;
  /** `upstreams` is there but cannot be read: then nobody knows which names there are. */
  readonly #isUnreadable: boolean;

  constructor(entries: readonly UpstreamEntry[] | undefined, root: Place, facts: CheckFacts) {
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
    const { value, place, isSound } = entry;
    const seen = new Map<string, Place>();
    const endpoints = (value.endpoints ?? []).flatMap(({ value: written, place: at }) => {
      const { address: named, weight, backup } = withDefaults(ENDPOINT, written);
      if (named === undefined) return [];
      const address = absoluteAddress(named.address, this.#facts.folder);
      const endpoint: EndpointConfig = {
        name: formatAddress(address),
        address,
        weight,
        backup,
        priority: 0,
        zone: "",
      };
      const twin = seen.get(endpoint.name);
      seen.set(endpoint.name, at);
      if (twin !== undefined) {
        at.error(
          `${endpoint.name} is in this upstream already (${twin.where})`,
          "Use `weight` to send it more.",
        );
      }
      return [{ endpoint, scheme: named.scheme, place: at }];
    });
    if (value.endpoints?.length === 0 && isSound)
      place.error("the upstream has no endpoint", 'Add one, such as "127.0.0.1:3000".');
    return this.#fill(entry, endpoints);
  }

  #fill(
    { name, value, place }: Pick<UpstreamEntry, "name" | "value" | "place">,
    endpoints: readonly PlacedEndpoint[],
  ): UpstreamConfig {
    const { balance, proxyProtocol } = withDefaults(UPSTREAM, value);
    const pool = withDefaults(POOL, value.pool);
    return {
      name,
      endpoints: endpoints.map(({ endpoint }) => endpoint),
      ...PLAIN_UPSTREAM,
      balance,
      pool: { idle: pool.idle, idleTimeoutMs: pool.idleTimeout, maxAgeMs: pool.maxAge },
      proxyProtocol,
      ...checkUpstreamTls(value, place, endpoints, this.#facts),
    };
  }
}
