/**
 * File calls: the calls on open files that the cache makes, as promises, off the main thread.
 *
 * why    the promises of node:fs wrap a descriptor in an object that the collector must close; these are shared,
 *        counted and closed by whoever has them
 */
import { close, constants, fsync, open, read, write, writev } from "node:fs";

/**
 * For files in folders that workers write: control is root perhaps, and must not be led elsewhere by a link, nor wait for
 * the other end of a pipe.
 */
export const READ_HERE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
export const CHANGE_HERE = constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** It is there, and cannot be had now: too few descriptors, or too many who wait. Who hears it must not forget it. */
export class Busy extends Error {}

/** As `error` says it: of the process, or of the machine. */
export function isShortage(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "EMFILE" || code === "ENFILE" || error instanceof Busy;
}

export function openFile(path: string, flags: string | number, mode = 0o600): Promise<number> {
  return new Promise((resolve, reject) => {
    open(path, flags, mode, (error, file) => (error === null ? resolve(file) : reject(error)));
  });
}

/** Never fails: there is nothing that anybody could do. */
export function closeFile(file: number): void {
  close(file, () => {
    // the descriptor is gone either way
  });
}

export function syncFile(file: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fsync(file, (error) => (error === null ? resolve() : reject(error)));
  });
}

/** Reads until `into` is full or the file ends. out  bytes read */
export async function readInto(file: number, into: Buffer, position: number): Promise<number> {
  let length = 0;
  while (length < into.length) {
    const count = await readOnce(file, into, length, position + length);
    if (count === 0) break;
    length += count;
  }
  return length;
}

function readOnce(file: number, into: Buffer, offset: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    read(file, into, offset, into.length - offset, position, (error, count) =>
      error === null ? resolve(count) : reject(error),
    );
  });
}

/** Writes all of it. */
export async function writeAll(file: number, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += await new Promise<number>((resolve, reject) => {
      write(file, bytes, done, bytes.length - done, position + done, (error, count) =>
        error === null ? resolve(count) : reject(error),
      );
    });
  }
}

/** Writes some of them, in one call. out  bytes written */
export function writeSome(file: number, pieces: readonly Buffer[], position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    writev(file, [...pieces], position, (error, count) => (error === null ? resolve(count) : reject(error)));
  });
}
