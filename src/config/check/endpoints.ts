/**
 * Endpoints of an upstream as they are listed: each once, and at least one that takes requests.
 */
import { formatAddress } from "../../core/address.ts";
import type { EndpointConfig } from "../config.ts";
import { type Written, withDefaults } from "../options/types.ts";
import { ENDPOINT, type UPSTREAM } from "../options/upstream.table.ts";
import type { Place } from "../problem.ts";
import type { CheckFacts } from "./facts.ts";
import { absoluteAddress } from "./places.ts";
import type { PlacedEndpoint } from "./upstream-tls.ts";

type WrittenEndpoints = Written<typeof UPSTREAM>["endpoints"];

export function checkEndpoints(written: WrittenEndpoints, facts: CheckFacts): readonly PlacedEndpoint[] {
  const seen = new Map<string, Place>();
  return (written ?? []).flatMap(({ value, place }) => {
    const { address: named, weight, backup, priority, zone } = withDefaults(ENDPOINT, value);
    if (named === undefined) return [];
    const address = absoluteAddress(named.address, facts.folder);
    const name = formatAddress(address);
    const endpoint: EndpointConfig = { name, address, weight, backup, priority, zone: zone ?? "" };
    const twin = seen.get(name);
    seen.set(name, place);
    if (twin !== undefined) {
      place.error(`${name} is in this upstream already (${twin.where})`, "Use `weight` to send it more.");
    }
    return [{ endpoint, scheme: named.scheme, place }];
  });
}

/** Weights and backups that leave nobody to do the work. */
export function refuseIdle(endpoints: readonly PlacedEndpoint[], place: Place): void {
  const hasWeight = ({ endpoint }: PlacedEndpoint) => endpoint.weight > 0;
  const main = endpoints.filter(({ endpoint }) => !endpoint.backup);
  if (!endpoints.some(hasWeight)) {
    place.error("every weight is 0, so no endpoint would be used", "Give one of them a weight.");
  } else if (main.length === 0) {
    place.warning("every endpoint is a backup", "Remove `backup` from those that do the work.");
  } else if (!main.some(hasWeight)) {
    const hint = "Give one of the others a weight.";
    place.warning("every other weight is 0, so only backup endpoints are used", hint);
  }
}
