/**
 * Folder lock: one process at a time orders certificates for a storage folder.
 *
 * why    two that order the same names use up the authority's limits twice, and the slower one wins the file
 * shape  `lock`: JSON with host, process id and the time at which that process began, since ids are used again
 * rule   the lock of a process that is gone is taken over at once; of another machine, or another container with
 *        its own process ids, when it was not renewed for five minutes
 * fails  throws Trouble when the folder cannot be written
 */
import {
  closeSync,
  linkSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { Trouble } from "../trouble.ts";
import { readPrivate } from "./private-files.ts";

export interface LockOwner {
  readonly host: string;
  readonly pid: number;
  /** Clock ticks since boot at which it began; "" where the system does not say. */
  readonly beganAt: string;
}

const STALE_MS = 5 * 60_000;
const FILE_MODE = 0o600;
/** Fields of /proc/PID/stat after the name, which may hold spaces: the 22nd of all is the start. */
const START_FIELD = 19;

export class FolderLock {
  readonly #path: string;
  readonly #self: LockOwner;
  #isHeld = false;

  constructor(
    folder: string,
    self: LockOwner = { host: hostname(), pid: process.pid, beganAt: startOf(process.pid) },
  ) {
    this.#path = join(folder, "lock");
    this.#self = self;
  }

  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** out  undefined when it is ours, else who has it */
  acquire(): LockOwner | undefined {
    if (this.#isHeld && isSame(this.#read(), this.#self)) return undefined;
    this.#isHeld = false;
    if (this.#create()) return undefined;
    const owner = this.#read();
    if (owner !== undefined && !isSame(owner, this.#self) && !this.#isStale(owner)) return owner;
    rmSync(this.#path, { force: true });
    if (this.#create()) return undefined;
    return this.#read() ?? owner ?? this.#self; // another one was faster
  }

  /** Says that we are alive, for other machines. */
  renew(nowMs: number): void {
    if (!this.#isHeld) return;
    try {
      utimesSync(this.#path, nowMs / 1000, nowMs / 1000);
    } catch {
      this.#isHeld = false; // somebody removed it: the next `acquire` decides
    }
  }

  release(): void {
    if (this.#isHeld && isSame(this.#read(), this.#self)) rmSync(this.#path, { force: true });
    this.#isHeld = false;
  }

  /** Written beside and linked: whoever reads the lock reads all of it. */
  #create(): boolean {
    const beside = `${this.#path}.${this.#self.pid}`;
    try {
      const file = openSync(beside, "w", FILE_MODE);
      writeSync(file, JSON.stringify(this.#self));
      closeSync(file);
      linkSync(beside, this.#path);
      this.#isHeld = true;
      return true;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === "EEXIST") return false;
      throw new Trouble("storage", `${this.#path} cannot be made: ${message}`);
    } finally {
      rmSync(beside, { force: true });
    }
  }

  #read(): LockOwner | undefined {
    try {
      const { host, pid, beganAt } = JSON.parse(
        readPrivate(this.#path, () => {}) ?? "",
      ) as Partial<LockOwner>;
      return typeof pid === "number" ? { host: String(host), pid, beganAt: String(beganAt) } : undefined;
    } catch {
      return undefined;
    }
  }

  #isStale(owner: LockOwner): boolean {
    if (owner.host === this.#self.host) {
      const beganAt = startOf(owner.pid);
      return !isAlive(owner.pid) || (beganAt !== "" && beganAt !== owner.beganAt);
    }
    try {
      return Date.now() - statSync(this.#path).mtimeMs > STALE_MS;
    } catch {
      return true;
    }
  }
}

function isSame(one: LockOwner | undefined, two: LockOwner): boolean {
  return one !== undefined && one.host === two.host && one.pid === two.pid && one.beganAt === two.beganAt;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // it is somebody else's, and it lives
  }
}

function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[START_FIELD] ?? "";
  } catch {
    return "";
  }
}
