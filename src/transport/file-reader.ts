/**
 * File reader: opens a file below a root, and nothing else, and reads it in pieces.
 *
 * why    a check of the name before the file is opened can be outrun by whoever may write below the root; so the
 *        file is opened first and then asked where it really is, and what it is
 * in     a root folder, and a path below it as plain text (decoded, no `..`)
 * out    an OpenFile, "folder", or why not; a link that leads out of the root is "missing" like anything
 *        that is not there, so that nobody can feel around outside
 * cost   open and read off the main thread, as they may wait for a disk; what is asked of the open descriptor is in
 *        memory by then, and asked at once. One buffer of at most CHUNK_BYTES a read
 * never  follow a way out of the root, open a device or a pipe, show hidden files other than `/.well-known/`
 */
import { constants, fstatSync, readlinkSync } from "node:fs";
import { type FileHandle, open, realpath, stat } from "node:fs/promises";

/** Fewer, larger reads cost less each; a slow client holds two of these at most (one sent, one being read). */
export const CHUNK_BYTES = 256 * 1024;

/** Read only; a pipe must not make open wait, nor a terminal become ours. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
const WELL_KNOWN = "/.well-known/";

export type OpenProblem =
  | { readonly kind: "missing"; readonly detail: string }
  /** Descriptors or memory have run out. */
  | { readonly kind: "exhausted"; readonly detail: string }
  | { readonly kind: "broken"; readonly detail: string };

export class OpenFile {
  readonly kind = "file";
  /** As asked for, below the root. */
  readonly path: string;
  readonly size: number;
  readonly modifiedAtMs: number;
  readonly #handle: FileHandle;
  #isReading = false;
  #isClosed = false;

  constructor(handle: FileHandle, path: string, size: number, modifiedAtMs: number) {
    this.#handle = handle;
    this.path = path;
    this.size = size;
    this.modifiedAtMs = modifiedAtMs;
  }

  /**
   * Reads `[position, end)` as far as one piece goes; one read at a time.
   * fails  rejects when the file is shorter than it was, or was closed
   */
  async read(position: number, end: number): Promise<Buffer> {
    if (this.#isClosed) throw new Error("the file is closed");
    const wanted = Math.min(end - position, CHUNK_BYTES);
    const buffer = Buffer.allocUnsafeSlow(wanted);
    this.#isReading = true;
    try {
      const { bytesRead } = await this.#handle.read(buffer, 0, wanted, position);
      if (bytesRead === 0)
        throw new Error(`the file ends at ${position} of ${this.size} bytes: it was cut while sent`);
      return bytesRead === wanted ? buffer : buffer.subarray(0, bytesRead);
    } finally {
      this.#isReading = false;
      if (this.#isClosed) this.#release();
    }
  }

  /** May be called at any time and again; a read under way ends first, for its descriptor must not be another's. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (!this.#isReading) this.#release();
  }

  #release(): void {
    this.#handle.close().catch(() => {
      // the descriptor is gone either way, and nothing was written that could be lost
    });
  }
}

export type Opened = OpenFile | { readonly kind: "folder" } | OpenProblem;

const FOLDER = { kind: "folder" } as const;
const missing = (detail: string): OpenProblem => ({ kind: "missing", detail });

/** in  `path` starts with `/` */
export async function openBelow(root: string, path: string): Promise<Opened> {
  if (!isVisible(path)) return missing("hidden or not plain");
  let handle: FileHandle;
  try {
    handle = await open(root + path, OPEN_FLAGS);
  } catch (error) {
    return problemOf(error);
  }
  let isKept = false;
  try {
    const found = fstatSync(handle.fd);
    if (!(await isBelow(root, path, handle, found.ino))) return missing("leads out of the root");
    if (found.isDirectory()) return FOLDER;
    if (!found.isFile()) return missing("neither a file nor a folder");
    isKept = true;
    return new OpenFile(handle, path, found.size, found.mtimeMs);
  } catch (error) {
    return problemOf(error);
  } finally {
    if (!isKept) await handle.close();
  }
}

/** No segment starts with a dot, which takes `.` and `..` too, save for `/.well-known/` (RFC 8615). */
function isVisible(path: string): boolean {
  if (path.includes("\0")) return false;
  const start = path.startsWith(WELL_KNOWN) ? WELL_KNOWN.length - 1 : 0;
  return path.indexOf("/.", start) === -1;
}

/** Roots as they really are, by root as configured: few, as they come from the configuration. */
const realRoots = new Map<string, string>();

async function isBelow(root: string, path: string, handle: FileHandle, inode: number): Promise<boolean> {
  const real = await realPathOf(root + path, handle, inode);
  if (real === undefined) return false;
  const known = realRoots.get(root);
  if (known !== undefined && isInside(real, known)) return true;
  // the first time, or the root is a link that points elsewhere now, as after a release
  const now = await realpath(root);
  realRoots.set(root, now);
  return isInside(real, now);
}

function isInside(path: string, folder: string): boolean {
  if (!path.startsWith(folder)) return false;
  return path.length === folder.length || folder === "/" || path[folder.length] === "/";
}

/** Where the opened descriptor is, or undefined when that cannot be told. */
async function realPathOf(path: string, handle: FileHandle, inode: number): Promise<string | undefined> {
  if (process.platform === "linux") return readlinkSync(`/proc/self/fd/${handle.fd}`);
  // no such list elsewhere: the name is resolved, and must still be what was opened
  const real = await realpath(path);
  return (await stat(real)).ino === inode ? real : undefined;
}

/** What a name can be that is simply not there for the client; EACCES too, which says nothing of the inside. */
const MISSING_CODES = new Set([
  "ENOENT",
  "ENOTDIR",
  "EACCES",
  "EPERM",
  "ELOOP",
  "ENAMETOOLONG",
  "ENXIO",
  "EINVAL",
]);
const EXHAUSTED_CODES = new Set(["EMFILE", "ENFILE", "ENOMEM"]);

function problemOf(error: unknown): OpenProblem {
  const code = (error as NodeJS.ErrnoException).code ?? "";
  const detail = code === "" ? String(error) : code;
  if (MISSING_CODES.has(code)) return missing(detail);
  return { kind: EXHAUSTED_CODES.has(code) ? "exhausted" : "broken", detail };
}
