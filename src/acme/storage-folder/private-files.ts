/**
 * Private files: a folder that only its owner may read, written whole or not at all.
 *
 * rule   folders are 0700 and files 0600: what is wider is narrowed, and said; a file is written beside, synced and
 *        renamed, so that a crash leaves the old one or the new one and never half of either
 * rule   symbolic links are not followed to a file: a link put there by somebody else must not choose what we read
 * fails  throws Trouble with a text that an operator can act on
 */
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { Trouble } from "../trouble.ts";

const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
/** Rights of group and others. */
const FOREIGN_RIGHTS = 0o077;
const MAX_FILE_BYTES = 256 * 1024;
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const WRITE_FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
const HINTS: Readonly<Record<string, string>> = {
  EACCES: "permission denied: let the user that starts Weir own the folder",
  EPERM: "not permitted: let the user that starts Weir own the folder",
  EROFS: "the file system is read-only: choose another tls.acme.storage",
  ENOSPC: "the disk is full",
  ENOTDIR: "a part of the path is no folder",
  ELOOP: "it is a symbolic link: put the file itself there",
};

export type Warn = (text: string) => void;

/** Makes a folder with all above it, or narrows the rights of one that is there. */
export function ensureFolder(path: string, warn: Warn): void {
  attempt(path, () => {
    mkdirSync(path, { recursive: true, mode: FOLDER_MODE });
    const { mode } = statSync(path);
    if ((mode & FOREIGN_RIGHTS) === 0) return;
    chmodSync(path, FOLDER_MODE);
    warn(`others could read ${path} (mode ${octal(mode)}): now they cannot`);
  });
}

/** Names of the files in a folder, but those half written. */
export function listFiles(folder: string, ending: string): string[] {
  return attempt(folder, () => readdirSync(folder).filter((name) => name.endsWith(ending)));
}

/** Text of a file, undefined when there is none. */
export function readPrivate(path: string, warn: Warn): string | undefined {
  return attempt(path, () => {
    const file = openOrNone(path);
    if (file === undefined) return undefined;
    try {
      const { mode, size } = fstatSync(file);
      if (size > MAX_FILE_BYTES) throw new Trouble("storage", `${path} is larger than any of our files`);
      if ((mode & FOREIGN_RIGHTS) !== 0) {
        fchmodSync(file, FILE_MODE);
        warn(`others could read ${path} (mode ${octal(mode)}): now they cannot; consider its key known`);
      }
      return readFileSync(file, "utf8");
    } finally {
      closeSync(file);
    }
  });
}

/** When a file was last written; 0 = there is none. */
export function writtenAtMs(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** Replaces a file. */
export function writePrivate(path: string, text: string): void {
  attempt(path, () => {
    const beside = `${path}.new`;
    const file = openSync(beside, WRITE_FLAGS, FILE_MODE);
    try {
      fchmodSync(file, FILE_MODE); // what a crash left behind may have another mode
      writeFileSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(beside, path);
    syncFolder(dirname(path));
  });
}

export function removePrivate(path: string): void {
  attempt(path, () => rmSync(path, { force: true }));
}

/** Puts a file that cannot be read out of the way, where a person can look at it. out  where it is now */
export function setAside(path: string): string {
  const aside = `${path}.broken`;
  attempt(path, () => renameSync(path, aside));
  return aside;
}

/** A rename is on disk when its folder is. */
function syncFolder(path: string): void {
  const folder = openSync(path, constants.O_RDONLY);
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function openOrNone(path: string): number | undefined {
  try {
    return openSync(path, READ_FLAGS);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function attempt<T>(path: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof Trouble) throw error;
    const { code = "", message } = error as NodeJS.ErrnoException;
    throw new Trouble("storage", `${path}: ${HINTS[code] ?? message}`);
  }
}

const octal = (mode: number) => (mode & 0o777).toString(8).padStart(4, "0");
