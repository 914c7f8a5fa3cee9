/**
 * Socket budget: how many sockets a worker may have open at once, on both sides together.
 *
 * why    a worker without a free descriptor can neither accept nor connect nor read a file, and the kernel wakes
 *        it without end for a connection that it cannot take; the newest is refused before it comes to that
 * rule   a socket counts from the moment it is dialled or accepted until it is closed. An idle connection to an
 *        endpoint gives way to a new one
 */

/** Kept free: files, logs, what the runtime opens for itself, and connections accepted only to be refused. */
const RESERVED = 64;

export class SocketBudget {
  openCount = 0;
  readonly #limit: number;
  /** Closes an idle connection. out  false when there is none */
  makeRoom: () => boolean = () => false;

  /** in  the number of files that this process may open; undefined = unknown */
  constructor(descriptorLimit: number | undefined) {
    this.#limit =
      descriptorLimit === undefined ? Infinity : Math.max(descriptorLimit - RESERVED, descriptorLimit / 2);
  }

  /** True when one more fits, after closing an idle one if need be. */
  mayOpen(): boolean {
    return this.openCount < this.#limit || this.makeRoom();
  }
}
