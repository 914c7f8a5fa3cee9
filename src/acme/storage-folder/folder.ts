/**
 * Folder: one storage folder in use: its files, its lock, and whether it can be used at all.
 *
 * rule   blocked means: serve what was read, order nothing, write nothing, and look again later; it is said once
 */
import { hostname } from "node:os";
import { troubleOf } from "../trouble.ts";
import { FolderLock } from "./folder-lock.ts";
import { Storage, type StorageOptions } from "./storage.ts";

export type Report = (level: "info" | "warn" | "error", text: string) => void;

export class Folder {
  readonly storage: Storage;
  readonly storageKey: string | undefined;
  /** Why it cannot be used; undefined when it can. */
  blocked: string | undefined;
  readonly #lock: FolderLock;
  readonly #report: Report;
  #isFollower = false;

  constructor(options: Omit<StorageOptions, "warn">, report: Report) {
    this.storage = new Storage({ ...options, warn: (text) => report("warn", text) });
    this.storageKey = options.storageKey;
    this.#lock = new FolderLock(options.folder);
    this.#report = report;
    this.attempt(() => this.storage.open());
  }

  /** True when we may order and write. */
  get isOurs(): boolean {
    return this.blocked === undefined && this.#lock.isHeld;
  }

  /** Does something with its files; trouble blocks the folder. */
  attempt(act: () => void): void {
    try {
      act();
    } catch (error) {
      const { message } = troubleOf(error);
      if (this.blocked === undefined)
        this.#report("error", `${message}. No certificate is ordered until this is put right`);
      this.blocked = message;
    }
  }

  /** Looks again whether a blocked folder can be used: `act` reads all that is wanted from it. */
  retry(act: () => void): void {
    const before = this.blocked;
    if (before === undefined) return;
    try {
      this.storage.open();
      act();
      this.blocked = undefined;
      this.#report("info", `${this.storage.folder} can be used again`);
    } catch {
      this.blocked = before;
    }
  }

  /** Takes the lock, or learns who has it. */
  tend(nowMs: number): void {
    if (this.blocked !== undefined) return;
    this.attempt(() => {
      const owner = this.#lock.acquire();
      this.#lock.renew(nowMs);
      if (owner !== undefined && !this.#isFollower) {
        const who =
          owner.host === hostname() ? `process ${owner.pid}` : `process ${owner.pid} on ${owner.host}`;
        this.#report("info", `${who} keeps the certificates in ${this.storage.folder}: served from there`);
      }
      if (owner === undefined && this.#isFollower) {
        this.#report("info", `the certificates in ${this.storage.folder} are kept by this process now`);
      }
      this.#isFollower = owner !== undefined;
    });
  }

  release(): void {
    this.#lock.release();
  }
}
