/**
 * Upstream gates: the gates of protected upstreams, kept by name over reloads: places, queues, breakers, limits found.
 *
 * shape  `of` gives a version that is being compiled the gate that there is, or a new one; `commit` brings the rules of
 *        the version into force, `abandon` forgets gates that were new
 */
import type { UpstreamConfig } from "../config/config.ts";
import { isProtected } from "../config/protected.ts";
import { type SlotMap, seriesKey, sharedKey } from "../observe/series.ts";
import { slotFor } from "../pipeline/compile.ts";
import type { UpstreamGroup } from "../pipeline/plan.ts";
import { type GateServices, UpstreamGate } from "../pipeline/upstream-gate.ts";

export class UpstreamGates {
  readonly #services: GateServices;
  readonly #gates = new Map<string, UpstreamGate>();
  #prepared = new Map<string, UpstreamGate>();

  constructor(services: GateServices) {
    this.#services = services;
  }

  of(upstream: UpstreamConfig, slots: SlotMap): UpstreamGate {
    const { name } = upstream;
    const known = this.#gates.get(name) ?? this.#prepared.get(name);
    if (known !== undefined) return known;
    const slot = slotFor(slots, seriesKey("upstream", name), sharedKey("upstream"));
    const gate = new UpstreamGate(slot, this.#services);
    this.#prepared.set(name, gate);
    return gate;
  }

  commit(upstreams: readonly UpstreamConfig[], groups: ReadonlyMap<string, UpstreamGroup>): void {
    const inForce = new Set<string>();
    for (const upstream of upstreams.filter(isProtected)) {
      const { name } = upstream;
      const gate = this.#gates.get(name) ?? this.#prepared.get(name);
      const group = groups.get(name);
      if (gate === undefined || group === undefined) continue;
      inForce.add(name);
      this.#gates.set(name, gate);
      gate.configure(upstream, group);
    }
    this.#prepared.clear();
    for (const [name, gate] of [...this.#gates]) {
      if (inForce.has(name)) continue;
      gate.retire();
      this.#gates.delete(name);
    }
  }

  abandon(): void {
    this.#prepared.clear();
  }

  /** Judges waits; every SHED_TICK_MS. */
  tick(): void {
    for (const gate of this.#gates.values()) gate.tick();
  }
}
