/**
 * Dataplane: everything one worker does with traffic, wired together.
 */
import type { Config } from "../config/config.ts";
import type { Zone } from "../zone/zone.ts";
import type { SlotMap } from "./messages.ts";

export interface DataplaneOptions {
  readonly zone: Zone;
  readonly worker: number;
  readonly log: (level: string, area: string, text: string) => void;
}

export class Dataplane {
  constructor(options: DataplaneOptions) {
    void options;
  }
  /** Compiles a version beside the running one. out  what is wrong with it, or undefined */
  prepare(config: Config, slots: SlotMap, addresses: Readonly<Record<string, readonly string[]>>): string | undefined {
    void [config, slots, addresses];
    return undefined;
  }
  /** Puts the prepared version in force for new exchanges. */
  commit(): void {}
  /** Forgets the prepared version. */
  abandon(): void {}
  /** Accepts on an inherited descriptor. Throws when the descriptor is no listening socket. */
  listen(id: string, listener: string, port: number, fd: number): void {
    void [id, listener, port, fd];
  }
  unlisten(id: string): void {
    void id;
  }
  setAddresses(host: string, addresses: readonly string[]): void {
    void [host, addresses];
  }
  /** Stops accepting, finishes what is in flight; settles when all is done or at the deadline. */
  async drain(timeoutMs: number): Promise<void> {
    await Promise.resolve(timeoutMs);
  }
  reopenLogs(): void {}
}
