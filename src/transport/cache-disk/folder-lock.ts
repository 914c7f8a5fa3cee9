/**
 * Folder lock: one Weir at a time keeps a folder.
 *
 * why    two that do not know of each other would count its room twice and drop each other's segments
 * rule   the kernel's own lock on an open file: it goes with the process, however that ends, so none is ever left behind
 * note   over an upgrade old and new control share the folder: the new one takes the lock when the old one is gone
 * spec   flock(2)
 */
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { C, errno, libc } from "../libc.ts";

export class FolderLock {
  readonly #path: string;
  #file = -1;

  constructor(path: string) {
    this.#path = path;
  }

  get isHeld(): boolean {
    return this.#file !== -1;
  }

  /** Takes it, or says who has it. Throws when the file cannot be made, as `open` does. */
  take(): { readonly isTaken: true } | { readonly isTaken: false; readonly holder: string } {
    if (this.isHeld) return { isTaken: true };
    const file = openSync(this.#path, "a+", 0o600);
    if (libc().flock(file, C.LOCK_EX | C.LOCK_NB) !== 0) {
      const code = errno();
      closeSync(file);
      // a file system without locks is no reason to go without a cache
      if (code !== "EAGAIN") return { isTaken: true };
      return { isTaken: false, holder: readFileSync(this.#path, "utf8").trim() };
    }
    ftruncateSync(file, 0);
    writeSync(file, `${process.pid}\n`);
    this.#file = file;
    return { isTaken: true };
  }

  release(): void {
    if (this.#file === -1) return;
    closeSync(this.#file);
    this.#file = -1;
  }
}
