/**
 * Log file: lines to a file, stdout or stderr, gathered in memory and written in batches.
 *
 * why    a write call a line costs more than the request it tells of; a slow or full disk must not slow traffic
 * rule   one write call holds whole lines, and files are opened with O_APPEND: the lines of several workers
 *        never mix. On pipes a call holds at most PIPE_BUF bytes, for the same reason (POSIX write()).
 * bound  `maxBytes` of text wait in memory; what comes beyond is dropped and counted
 * fails  a write that fails is tried again every `retryMs` from the byte where it stopped, so only a disk that
 *        runs full in the middle of a batch can leave a cut line behind, and only until there is room again
 * cost   a write is one concatenation and one compare
 */
import { close, closeSync, constants, fstatSync, openSync, write } from "node:fs";
import { dirname } from "node:path";

const FLUSH_MS = 200;
const BATCH_BYTES = 64 * 1024;
const MAX_BYTES = 4 * 1024 * 1024;
const RETRY_MS = 1000;
/** A pipe whose reader is slow has room again soon. */
const BUSY_RETRY_MS = 20;
/** How long `close` waits for a reader that does not read. */
const CLOSE_MS = 1000;
/** The least that POSIX systems of today write to a pipe in one piece: 4096 on Linux, 512 on macOS. */
const PIPE_BUF = process.platform === "linux" ? 4096 : 512;
const LINE_FEED = 10;
const MODE = 0o640;
/** O_NONBLOCK: a named pipe without a reader is an error, not a wait without end. */
const FLAGS =
  constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK | constants.O_NOCTTY;

/** `fs.write`, narrowed to what is used here. */
export type WriteCall = (
  file: number,
  bytes: Uint8Array,
  done: (error: NodeJS.ErrnoException | null, count: number) => void,
) => void;

export interface LogFileOptions {
  readonly flushMs?: number;
  readonly batchBytes?: number;
  readonly maxBytes?: number;
  readonly retryMs?: number;
  readonly closeMs?: number;
  /** Told when writing begins to fail, and with undefined when it works again. */
  readonly report?: (problem: string | undefined) => void;
  /** In place of `fs.write`, for tests. */
  readonly write?: WriteCall;
}

export class LogFile {
  /** Lines that were not written for want of room. */
  dropped = 0;
  readonly #target: string;
  readonly #options: Required<Omit<LogFileOptions, "report">> & Pick<LogFileOptions, "report">;
  #file: number;
  #isPipe: boolean;
  /** Lines that wait, each with its line feed. */
  #pending = "";
  /** What is being written, and how much of it was. */
  #batch: Buffer | undefined;
  #offset = 0;
  #isWriting = false;
  #isFailing = false;
  #isReopenAsked = false;
  #timer: NodeJS.Timeout | undefined;
  #isRetry = false;
  #isFinished = false;
  #closing: PromiseWithResolvers<void> | undefined;

  /** `target`: `stdout`, `stderr` or a path. Throws an Error that a user can act on when it cannot be opened. */
  constructor(target: string, options: LogFileOptions = {}) {
    this.#target = target;
    this.#options = {
      flushMs: FLUSH_MS,
      batchBytes: BATCH_BYTES,
      maxBytes: MAX_BYTES,
      retryMs: RETRY_MS,
      closeMs: CLOSE_MS,
      write: (file, bytes, done) => write(file, bytes, 0, bytes.length, null, done),
      ...options,
    };
    this.#file = openTarget(target);
    this.#isPipe = !fstatSync(this.#file).isFile();
  }

  /** Adds one line, without its line feed. */
  write(line: string): void {
    const waiting =
      this.#pending.length + (this.#batch === undefined ? 0 : this.#batch.length - this.#offset);
    if (waiting + line.length >= this.#options.maxBytes || this.#closing !== undefined) {
      this.dropped++;
      return;
    }
    this.#pending += `${line}\n`;
    if (this.#pending.length >= this.#options.batchBytes && !this.#isRetry) this.#writeNext();
    else if (this.#timer === undefined) this.#setTimer(this.#options.flushMs, false);
  }

  /** Writes what waits now instead of at the end of the interval. */
  flush(): void {
    this.#writeNext();
  }

  /** Opens the path again, after the file was moved away (SIGUSR1). When that fails the old one stays in use. */
  reopen(): void {
    this.#isReopenAsked = true;
    this.#writeNext();
  }

  /** Writes what is left and closes. Settles within `closeMs`; what could not be written by then counts as dropped. */
  close(): Promise<void> {
    if (this.#closing !== undefined) return this.#closing.promise;
    this.#closing = Promise.withResolvers();
    const deadline = setTimeout(() => this.#finish(), this.#options.closeMs);
    void this.#closing.promise.then(() => clearTimeout(deadline));
    this.#writeNext();
    return this.#closing.promise;
  }

  #setTimer(delayMs: number, isRetry: boolean): void {
    clearTimeout(this.#timer);
    this.#isRetry = isRetry;
    this.#timer = setTimeout(() => this.#writeNext(), delayMs);
  }

  #writeNext(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#isRetry = false;
    if (this.#isWriting || this.#isFinished) return;
    if (this.#isReopenAsked) this.#swapFile();
    if (this.#batch === undefined && this.#pending !== "") {
      this.#batch = Buffer.from(this.#pending);
      this.#offset = 0;
      this.#pending = "";
    }
    if (this.#batch === undefined) {
      if (this.#closing !== undefined) this.#finish();
      return;
    }
    this.#isWriting = true;
    const piece = this.#batch.subarray(this.#offset, this.#pieceEnd(this.#batch));
    this.#options.write(this.#file, piece, (error, count) => this.#written(error, count));
  }

  /** Where the next write call ends: on a pipe after the last line that fits, else with the batch. */
  #pieceEnd(batch: Buffer): number {
    if (!this.#isPipe || batch.length - this.#offset <= PIPE_BUF) return batch.length;
    const last = batch.lastIndexOf(LINE_FEED, this.#offset + PIPE_BUF - 1);
    return 1 + (last >= this.#offset ? last : batch.indexOf(LINE_FEED, this.#offset));
  }

  #written(error: NodeJS.ErrnoException | null, count: number): void {
    this.#isWriting = false;
    if (this.#isFinished) {
      this.#closeFile();
      return;
    }
    if (error !== null || count === 0) {
      this.#failed(error?.code ?? "nothing was written");
      return;
    }
    if (this.#isFailing) this.#setFailing(undefined);
    this.#offset += count;
    if (this.#batch !== undefined && this.#offset >= this.#batch.length) this.#batch = undefined;
    const isMoreDue = this.#batch !== undefined || this.#pending.length >= this.#options.batchBytes;
    if (isMoreDue || this.#isReopenAsked || this.#closing !== undefined) this.#writeNext();
    else if (this.#pending !== "" && this.#timer === undefined) this.#setTimer(this.#options.flushMs, false);
  }

  #failed(reason: string): void {
    const isBusy = reason === "EAGAIN";
    if (!isBusy && !this.#isFailing) {
      this.#setFailing(
        `cannot write log ${this.#target}: ${reason}; up to ${this.#options.maxBytes} bytes are kept`,
      );
    }
    if (this.#closing !== undefined && !isBusy) this.#finish();
    else this.#setTimer(isBusy ? BUSY_RETRY_MS : this.#options.retryMs, true);
  }

  #setFailing(problem: string | undefined): void {
    this.#isFailing = problem !== undefined;
    this.#options.report?.(problem);
  }

  #swapFile(): void {
    this.#isReopenAsked = false;
    if (isStandard(this.#target)) return;
    try {
      const file = openTarget(this.#target);
      close(this.#file);
      this.#file = file;
      this.#isPipe = !fstatSync(file).isFile();
      // a line that was cut in the old file stands whole in the new one
      if (this.#batch !== undefined) this.#offset = startOfLine(this.#batch, this.#offset);
    } catch (error) {
      this.#options.report?.(`${(error as Error).message}; the old file stays in use`);
    }
  }

  #finish(): void {
    clearTimeout(this.#timer);
    const unwritten = this.#batch === undefined ? 0 : countLines(this.#batch.subarray(this.#offset));
    this.dropped += unwritten + countLines(Buffer.from(this.#pending));
    this.#batch = undefined;
    this.#pending = "";
    this.#isFinished = true;
    // while a write call holds the descriptor its number must not be given to another file
    if (!this.#isWriting) this.#closeFile();
    this.#closing?.resolve();
  }

  #closeFile(): void {
    if (!isStandard(this.#target)) closeSync(this.#file);
  }
}

const isStandard = (target: string) => target === "stdout" || target === "stderr";

function openTarget(target: string): number {
  if (isStandard(target)) return target === "stdout" ? 1 : 2;
  try {
    return openSync(target, FLAGS, MODE);
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    throw new Error(`cannot open log ${target}: ${REASONS[code]?.(target) ?? code}`, { cause: error });
  }
}

const REASONS: Readonly<Record<string, (path: string) => string>> = {
  ENOENT: (path) => `the folder ${dirname(path)} does not exist. Create it, or choose another path`,
  ENOTDIR: (path) => `${dirname(path)} is not a folder. Choose another path`,
  EISDIR: () => "it is a folder. Name a file in it",
  EACCES: () => "permission denied. Let the user Weir runs as write there, or choose another path",
  EROFS: () => "the file system is read-only. Choose another path",
  ENXIO: () => "it is a named pipe that nobody reads. Start the reader first",
};

function startOfLine(batch: Buffer, offset: number): number {
  return offset === 0 ? 0 : batch.lastIndexOf(LINE_FEED, offset - 1) + 1;
}

function countLines(bytes: Uint8Array): number {
  let count = 0;
  for (const byte of bytes) if (byte === LINE_FEED) count++;
  return count;
}
