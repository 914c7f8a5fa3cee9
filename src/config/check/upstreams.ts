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

type UpstreamEntry = Entry<Written<typeof UPSTREAM>>;

export class UpstreamTable {
  readonly #folder: string;
  readonly #upstreams = new Map<string, UpstreamConfig>();
  /** Named in the file, sound or not: a route that names an unsound one is not wrong as well. */
  readonly #names: ReadonlySet<string>;
  /** `upstreams` is there but cannot be read: then nobody knows which names there are. */
  readonly #isUnreadable: boolean;

  constructor(entries: readonly UpstreamEntry[] | undefined, root: Place, facts: CheckFacts) {
    const place = root.key("upstreams");
    this.#folder = facts.folder;
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
    const address = absoluteAddress(judged.value, this.#folder);
    const name = formatAddress(address);
    if (!this.#upstreams.has(name)) {
      const endpoint: EndpointConfig = { name, address, weight: 1, backup: false };
      this.#upstreams.set(name, this.#fill(name, [endpoint], {}));
    }
    return name;
  }

  #hintFor(written: string): string {
    if (/^\d{1,5}$/.test(written)) return localHint(written);
    const names = [...this.#names];
    if (names.length > 0) return didYouMean(written, names);
    return "Add it under `upstreams`, or write an address such as 127.0.0.1:3000.";
  }

  #toUpstream({ name, value, place, isSound }: UpstreamEntry): UpstreamConfig {
    const seen = new Map<string, Place>();
    const endpoints = (value.endpoints ?? []).flatMap(({ value: written, place: at }) => {
      const { address, weight, backup } = withDefaults(ENDPOINT, written);
      if (address === undefined) return [];
      const absolute = absoluteAddress(address, this.#folder);
      const endpoint: EndpointConfig = { name: formatAddress(absolute), address: absolute, weight, backup };
      const twin = seen.get(endpoint.name);
      seen.set(endpoint.name, at);
      if (twin !== undefined) {
        at.error(
          `${endpoint.name} is in this upstream already (${twin.where})`,
          "Use `weight` to send it more.",
        );
      }
      return [endpoint];
    });
    if (value.endpoints?.length === 0 && isSound)
      place.error("the upstream has no endpoint", 'Add one, such as "127.0.0.1:3000".');
    return this.#fill(name, endpoints, value);
  }

  #fill(name: string, endpoints: readonly EndpointConfig[], value: Written<typeof UPSTREAM>): UpstreamConfig {
    const { balance, proxyProtocol } = withDefaults(UPSTREAM, value);
    const pool = withDefaults(POOL, value.pool);
    return {
      name,
      endpoints,
      balance,
      pool: { idle: pool.idle, idleTimeoutMs: pool.idleTimeout, maxAgeMs: pool.maxAge },
      proxyProtocol,
      protocol: "h1",
      tls: undefined,
    };
  }
}
