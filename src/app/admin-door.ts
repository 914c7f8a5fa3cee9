/**
 * Admin door: the admin listener, opened, moved and closed as the configuration says.
 *
 * rule   a default address that is in use is a warning, a written one is an error; a new address is bound
 *        before the old one is let go
 * note   bound with SO_REUSEPORT, so that an upgraded process can open it while the old one still answers;
 *        therefore it is first looked whether somebody else is there
 */
import type { AdminOptions, AdminServer } from "../admin/api.ts";
import type { AdminHooks } from "../admin/status.ts";
import type { AdminConfig, Problem } from "../config/config.ts";
import { errorWithoutLine } from "../config/problem.ts";
import { formatAddress } from "../core/address.ts";
import { defectText } from "../core/failure.ts";
import { findOccupant } from "../transport/listen-sockets.ts";
import type { Log } from "./log.ts";

export type StartAdmin = (options: AdminOptions) => Promise<AdminServer>;

/** Loaded late: traffic need not wait for it. */
export const startRealAdmin: StartAdmin = async (options) => {
  const { startAdmin } = await import("../admin/api.ts");
  return startAdmin(options);
};

export interface AdminDoorOptions {
  readonly start: StartAdmin;
  readonly hooks: AdminHooks;
  readonly log: Log;
  /** True when the generation before us still has the address. */
  readonly isTakeover: boolean;
  /** The port that it has: ours too when the configuration leaves it to the kernel. */
  readonly inheritedPort: number | undefined;
}

export class AdminDoor {
  readonly #options: AdminDoorOptions;
  #server: AdminServer | undefined;
  #config: AdminConfig | undefined;

  constructor(options: AdminDoorOptions) {
    this.#options = options;
  }

  get port(): number | undefined {
    return this.#server?.port;
  }

  /** Opens or moves the listener. out  why an address that was asked for cannot be had */
  async open(config: AdminConfig | undefined, file: string): Promise<Problem | undefined> {
    if (JSON.stringify(config) === JSON.stringify(this.#config)) return undefined;
    const before = this.#server;
    if (config === undefined) this.#server = undefined;
    else {
      const failed = await this.#bind(config);
      if (failed !== undefined) return this.#refuse(config, file, failed);
    }
    this.#config = config;
    await before?.stop();
    return undefined;
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    this.#config = undefined;
    await server?.stop();
  }

  /** out  why not */
  async #bind({ address: written, token }: AdminConfig): Promise<string | undefined> {
    const { start, hooks, log, isTakeover, inheritedPort } = this.#options;
    const isAnyPort = written.kind === "tcp" && written.port === 0;
    const address = isAnyPort && inheritedPort !== undefined ? { ...written, port: inheritedPort } : written;
    const isOurs =
      this.#config !== undefined && formatAddress(this.#config.address) === formatAddress(written);
    const occupant = isTakeover || isOurs ? undefined : findOccupant(address);
    if (occupant !== undefined) return occupant.text;
    try {
      const onDefect = (error: unknown) => log("error", "admin", defectText(error));
      const server = await start({ address, token, hooks, reusePort: true, onDefect });
      this.#server = server;
      const bound = address.kind === "tcp" ? { ...address, port: server.port ?? address.port } : address;
      const url = bound.kind === "tcp" ? `http://${formatAddress(bound)}/` : formatAddress(bound);
      log("info", "control", `admin listening on ${url}`);
      return undefined;
    } catch (error) {
      return `cannot bind ${formatAddress(address)}: ${(error as Error).message}`;
    }
  }

  #refuse(config: AdminConfig, file: string, message: string): Problem | undefined {
    const hint = "Choose another address with `admin.bind`, or switch it off with `admin: off`.";
    if (!config.isExplicit) {
      this.#options.log("warn", "control", `no admin listener, going on without: ${message}. ${hint}`);
      return undefined;
    }
    return errorWithoutLine(file, "admin.bind", message, hint);
  }
}
