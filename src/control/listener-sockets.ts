/**
 * Listener sockets: every address of the configuration, bound and held by control.
 *
 * why    control keeps the sockets and workers accept on them: a worker's death, a reload and an upgrade
 *        take no connection out of a queue
 * shape  a TCP address has one socket for each worker slot (`descriptors[slot]`), a unix socket one for all.
 *        When workers become fewer, the surplus sockets stay, because closing one would reset what waits in
 *        it: the remaining workers accept on them in turn
 * rule   `plan` opens what is missing and changes nothing else; then `commit` or `abandon`. Unchanged
 *        addresses keep their sockets. More sockets for an address in use are opened when nothing can fail any
 *        more (`extend`): connections go to them at once, and closing them again would reset these
 * fails  problems with the listener's name, all of them at once
 */
import type { ListenerConfig, Problem } from "../config/config.ts";
import { errorWithoutLine } from "../config/problem.ts";
import { type Address, formatAddress, parseIp } from "../core/address.ts";
import { closeDescriptor } from "../transport/descriptors.ts";
import type { NameAnswer, NameFailure } from "../transport/dns.ts";
import {
  type BindFailure,
  findOccupant,
  openListenSocket,
  removeUnixSocket,
  SPREADS_CONNECTIONS,
} from "../transport/listen-sockets.ts";

/** One address as bound. */
export interface BoundAddress {
  /** The address, or for port 0 its place in the configuration: what makes it the same one after a reload. */
  readonly key: string;
  readonly listener: string;
  /** With the port really bound. */
  readonly address: Address;
  readonly descriptors: readonly number[];
}

/** One descriptor that a worker is to accept on. */
export interface ListenSpec {
  readonly id: string;
  readonly listener: string;
  readonly descriptor: number;
  /** Which worker: this number modulo their count; undefined = all of them. */
  readonly share: number | undefined;
}

export interface SocketPlan {
  readonly bound: readonly BoundAddress[];
  readonly opened: readonly number[];
  readonly problems: readonly Problem[];
}

export type NameToAddresses = (host: string) => Promise<NameAnswer | NameFailure>;

interface Wanted {
  readonly key: string;
  readonly listener: string;
  readonly address: Address;
}

export class ListenerSockets {
  readonly #lookup: NameToAddresses;
  #bound: readonly BoundAddress[];

  /** `adopted` comes from the generation before an upgrade. */
  constructor(lookup: NameToAddresses, adopted: readonly BoundAddress[] = []) {
    this.#lookup = lookup;
    this.#bound = adopted;
  }

  get bound(): readonly BoundAddress[] {
    return this.#bound;
  }

  /** Opens the sockets that these listeners need beyond those held; none when there are problems. */
  async plan(listeners: readonly ListenerConfig[], workers: number, file: string): Promise<SocketPlan> {
    const opened: number[] = [];
    const problems: Problem[] = [];
    const bound: BoundAddress[] = [];
    for (const wanted of await this.#wanted(listeners, file, problems)) {
      const made = this.#bind(wanted, workers, opened);
      if ("kind" in made) problems.push(problemOf(wanted.listener, file, made));
      else bound.push(made);
    }
    const plan = { bound, opened, problems };
    if (problems.length > 0) this.abandon(plan);
    return plan;
  }

  /**
   * Opens the sockets that more workers need on addresses held before.
   * out  the plan with them; where the system refuses, workers share what there is
   */
  extend(plan: SocketPlan, workers: number): SocketPlan {
    const opened = [...plan.opened];
    const bound = plan.bound.map((entry) => {
      const descriptors = [...entry.descriptors];
      const wanted = isShared(entry.address) ? 1 : workers;
      while (descriptors.length < wanted) {
        const made = openListenSocket(entry.address, true);
        if (made.kind === "failure") break;
        opened.push(made.descriptor);
        descriptors.push(made.descriptor);
      }
      return { ...entry, descriptors };
    });
    return { ...plan, bound, opened };
  }

  /** Takes the plan over. out  what to call when no worker accepts on the removed addresses any more */
  commit(plan: SocketPlan): () => void {
    const kept = new Set(plan.bound.flatMap((entry) => entry.descriptors));
    const before = this.#bound;
    this.#bound = plan.bound;
    return () => {
      const surplus = before.flatMap((entry) => entry.descriptors).filter((open) => !kept.has(open));
      const paths = new Set(plan.bound.map((entry) => formatAddress(entry.address)));
      this.#close(
        surplus,
        before.filter((entry) => !paths.has(formatAddress(entry.address))),
      );
    };
  }

  abandon(plan: SocketPlan): void {
    const held = new Set(this.#bound.map((entry) => formatAddress(entry.address)));
    this.#close(
      plan.opened,
      plan.bound.filter((entry) => !held.has(formatAddress(entry.address))),
    );
  }

  /** Closes everything. `isHandedOver`: another process goes on with the sockets, so unix paths stay. */
  close(isHandedOver: boolean): void {
    const descriptors = this.#bound.flatMap((entry) => entry.descriptors);
    this.#close(descriptors, isHandedOver ? [] : this.#bound);
    this.#bound = [];
  }

  #close(descriptors: readonly number[], removed: readonly BoundAddress[]): void {
    for (const descriptor of descriptors) closeDescriptor(descriptor);
    for (const { address } of removed) if (address.kind === "unix") removeUnixSocket(address.path);
  }

  async #wanted(listeners: readonly ListenerConfig[], file: string, problems: Problem[]): Promise<Wanted[]> {
    const wanted = new Map<string, Wanted>();
    const written = listeners.flatMap(({ name, bind }) =>
      bind.map((address, index) => ({ listener: name, address, index })),
    );
    for (const { listener, address, index } of written) {
      const found = await this.#resolve(address);
      if ("kind" in found) {
        problems.push(problemOf(listener, file, found));
        continue;
      }
      for (const one of found) {
        const isAnyPort = one.kind === "tcp" && one.port === 0;
        const key = isAnyPort ? `${listener}[${index}] ${formatAddress(one)}` : formatAddress(one);
        wanted.set(key, { key, listener, address: one });
      }
    }
    return [...wanted.values()];
  }

  /** A name such as `localhost` stands for all of its addresses. */
  async #resolve(address: Address): Promise<readonly Address[] | BindFailure> {
    if (address.kind === "unix" || parseIp(address.host) !== undefined) return [address];
    const found = await this.#lookup(address.host);
    if (found.kind === "answer") return found.addresses.map((host) => ({ ...address, host }));
    const text = `cannot bind ${formatAddress(address)}: ${found.text}`;
    return { kind: "failure", code: "ENOTFOUND", text, hint: "Write an IP address of this machine." };
  }

  #bind(wanted: Wanted, workers: number, opened: number[]): BoundAddress | BindFailure {
    const held = this.#held(wanted);
    const isGrouped = !isShared(wanted.address);
    if (held !== undefined) return { ...wanted, address: held.address, descriptors: held.descriptors };
    const occupant = isGrouped ? this.#findOccupant(wanted.address) : undefined;
    if (occupant !== undefined) return occupant;
    const descriptors: number[] = [];
    let address = wanted.address;
    while (descriptors.length < (isGrouped ? workers : 1)) {
      const made = openListenSocket(address, isGrouped);
      if (made.kind === "failure") return made;
      opened.push(made.descriptor);
      descriptors.push(made.descriptor);
      if (address.kind === "tcp") address = { ...address, port: made.port };
    }
    return { ...wanted, address, descriptors };
  }

  /** The same place in the configuration, or the same address: port 0 may since have been written out. */
  #held({ key, address }: Wanted): BoundAddress | undefined {
    const text = formatAddress(address);
    return (
      this.#bound.find((entry) => entry.key === key) ??
      this.#bound.find((entry) => formatAddress(entry.address) === text)
    );
  }

  /** Our own sockets on the port are no obstacle: `127.0.0.1:80` may become `:80` on a reload. */
  #findOccupant(address: Address): BindFailure | undefined {
    const isOurs = this.#bound.some(
      ({ address: own }) => own.kind === "tcp" && address.kind === "tcp" && own.port === address.port,
    );
    return isOurs ? undefined : findOccupant(address);
  }
}

/** One socket for all workers, instead of one each. */
function isShared(address: Address): boolean {
  return address.kind === "unix" || !SPREADS_CONNECTIONS;
}

/** What workers are to accept on. */
export function listenSpecs(bound: readonly BoundAddress[]): ListenSpec[] {
  return bound.flatMap(({ key, listener, address, descriptors }) => {
    return descriptors.map((descriptor, index) => ({
      id: `${listener} ${key} ${index}`,
      listener,
      descriptor,
      share: isShared(address) ? undefined : index,
    }));
  });
}

function problemOf(listener: string, file: string, { text, hint }: BindFailure): Problem {
  return errorWithoutLine(file, `listeners.${listener}`, text, hint);
}
