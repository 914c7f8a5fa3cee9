/**
 * Trouble: what goes wrong with the cache's folder, said once a minute at most.
 *
 * why    a full disk fails thousands of writes a second; an operator needs one line, traffic needs none
 */
const PAUSE_MS = 60_000;

const ADVICE: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full. Make cache.disk.size smaller than what is free, or free some",
  EDQUOT: "the quota is used up. Make cache.disk.size smaller, or raise the quota",
  EACCES: "permission denied. Let the user that workers run as (server.user) write there",
  EPERM: "permission denied. Let the user that workers run as (server.user) write there",
  EROFS: "the file system is read-only",
  EMFILE: "too many open files. Raise the limit of open files (ulimit -n)",
  ENFILE: "too many open files on this machine",
  ENOENT: "the folder is gone. Weir makes it again when it starts",
  EIO: "the disk reports an error. Look at the kernel's log",
};

/** Bodies that lie in memory: their folder has nothing to do with `cache.disk`. */
const MEMORY = "/dev/shm/";
const MEMORY_FULL =
  "/dev/shm is full. Make cache.memory smaller, or /dev/shm larger (`--shm-size` of a container)";

export class Trouble {
  /** All that went wrong, said or not. */
  count = 0;
  readonly #folder: string;
  readonly #report: (line: string) => void;
  #quietUntilMs = Number.NEGATIVE_INFINITY;
  #unsaid = 0;

  constructor(folder: string, report: (line: string) => void) {
    this.#folder = folder;
    this.#report = report;
  }

  /** `what` as in "cannot write"; responses are not stored, traffic goes on. */
  tell(what: string, code: string, nowMs = performance.now()): void {
    this.count++;
    if (nowMs < this.#quietUntilMs) {
      this.#unsaid++;
      return;
    }
    const since = this.#unsaid > 0 ? ` (and ${this.#unsaid} more times since the last line)` : "";
    this.#report(`cache: ${what} below ${this.#folder}: ${this.#adviceFor(code)}${since}; not stored`);
    this.#quietUntilMs = nowMs + PAUSE_MS;
    this.#unsaid = 0;
  }

  #adviceFor(code: string): string {
    if (code === "ENOSPC" && this.#folder.startsWith(MEMORY)) return MEMORY_FULL;
    return ADVICE[code] ?? code;
  }
}

export function codeOf(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  return code ?? String(error);
}
