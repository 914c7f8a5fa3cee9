/**
 * Files: a GET answered from a folder.
 *
 * in     the route's root and index names, the normal path, the exchange
 * out    a FileAnswer to send, or a FileRefusal: a Failure with the field lines that its answer must have
 * rule   GET and HEAD only; a folder without its slash is redirected (308), with it the first index file there is
 *        answers; then conditions, then ranges (RFC 9110 §13.2.2). A file is sent at the size it had when opened:
 *        one that shrinks makes `read` reject, and the caller aborts
 * note   the path is percent-decoded here, once, and must be UTF-8. It is appended to the root whole, as nginx's
 *        `root` does; `rewrite: { stripPrefix }` takes the route's own prefix away first
 * spec   RFC 9110 §8.8, §13, §14, §15.3.7, §15.4.5
 */
import { type Failure, fail } from "../core/failure.ts";
import { httpDate } from "../core/http-clock.ts";
import { evaluateConditions, toSecond, type Validators } from "../protocol/conditional.ts";
import { mediaTypeOf } from "../protocol/media-types.table.ts";
import { type ByteRange, chooseRanges } from "../protocol/range.ts";
import type { Exchange } from "../session/exchange.ts";
import { type OpenFile, type OpenProblem, openBelow } from "../transport/file-reader.ts";

export interface FilesAction {
  /** An absolute path. */
  readonly root: string;
  readonly index: readonly string[];
}

export interface FileAnswer {
  readonly status: 200 | 206 | 304 | 308;
  /** Field lines, `Name: value\r\n` each; the length is for the session to declare. */
  readonly lines: string;
  /** Of the body; for HEAD the length that GET would send, for 304 and 308 0. */
  readonly length: number;
  /** The next piece of the body, undefined at its end. Rejects when the rest cannot be had. */
  read(): Promise<Buffer | undefined>;
  /** To be called whatever happens; more than once does no harm. */
  close(): void;
}

/** A Failure whose answer carries lines of its own: Allow for 405, Content-Range for 416, else none. */
export interface FileRefusal extends Failure {
  readonly lines: string;
}

/**
 * A tag is strong when the file has rested this long: an older time and the same size mean the same bytes, while
 * in one tick of the file system's clock (4 ms; 2 s on FAT) two writes may hide behind one time.
 */
const STRONG_AFTER_MS = 2000;
const MULTIPART = "multipart/byteranges";

/** in  `path`: what to look up, normal and still encoded */
export async function openFile(
  action: FilesAction,
  path: string,
  exchange: Exchange,
): Promise<FileAnswer | FileRefusal> {
  const { method } = exchange;
  if (method !== "GET" && method !== "HEAD") {
    return refuse(fail("file_method_refused", method), "Allow: GET, HEAD\r\n");
  }
  const name = decodePath(path);
  if (name === undefined) return refuse(fail("not_found", "the path is no file name"));
  let opened = name.endsWith("/") ? await openIndex(action, name) : await openBelow(action.root, name);
  if (opened.kind === "folder") {
    if (!exchange.path.endsWith("/")) return redirectToFolder(exchange);
    // the client did ask for a folder; a rewrite took the slash away
    opened = await openIndex(action, `${name}/`);
  }
  return opened.kind === "file" ? answerFile(opened, exchange) : refuse(toFailure(opened));
}

function refuse(failure: Failure, lines = ""): FileRefusal {
  return { ...failure, lines };
}

/** out  undefined for what is no name: an encoded slash that was let through, or bytes that are not UTF-8 */
function decodePath(path: string): string | undefined {
  if (!path.includes("%")) return path;
  if (path.includes("%2F")) return undefined;
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined;
  }
}

async function openIndex(action: FilesAction, folder: string): Promise<OpenFile | OpenProblem> {
  for (const index of action.index) {
    const opened = await openBelow(action.root, folder + index);
    if (opened.kind !== "missing" && opened.kind !== "folder") return opened;
  }
  return { kind: "missing", detail: "a folder without index" };
}

function toFailure({ kind, detail }: OpenProblem): Failure {
  if (kind === "missing") return fail("not_found", detail);
  return fail(kind === "exhausted" ? "out_of_memory" : "internal", `file: ${detail}`);
}

/** Relative to what the client asked, not to what it was rewritten to. */
function redirectToFolder({ path, query }: Exchange): FileAnswer {
  return emptyAnswer(308, `Location: ${path}/${query === "" ? "" : `?${query}`}\r\n`);
}

function emptyAnswer(status: 304 | 308, lines: string): FileAnswer {
  return { status, lines, length: 0, read: () => Promise.resolve(undefined), close: () => {} };
}

function answerFile(file: OpenFile, exchange: Exchange): FileAnswer | FileRefusal {
  const nowMs = Date.now();
  const fields = exchange.requestFields;
  const validators = validatorsOf(file, nowMs);
  const condition = evaluateConditions(fields, validators, nowMs);
  const lines = `ETag: ${validators.etag}\r\nLast-Modified: ${httpDate(validators.modifiedAtMs)}\r\n`;
  if (condition !== "send") {
    file.close();
    return condition === "not_modified" ? emptyAnswer(304, lines) : refuse(fail("precondition_failed"));
  }
  const isHead = exchange.method === "HEAD";
  const choice = isHead ? "whole" : chooseRanges(fields, file.size, validators, nowMs);
  if (choice === "unsatisfiable") {
    file.close();
    return refuse(fail("range_unsatisfiable"), `Content-Range: bytes */${file.size}\r\n`);
  }
  if (isHead) file.close();
  const content = choice === "whole" ? wholeOf(file) : partsOf(file, choice);
  const body = new FileBody(file, isHead ? [] : content.pieces);
  return {
    status: content.status,
    lines: `${content.lines}${lines}Accept-Ranges: bytes\r\n`,
    length: content.length,
    read: () => body.read(),
    close: () => file.close(),
  };
}

function validatorsOf(file: OpenFile, nowMs: number): Validators {
  // a double holds microseconds of our time, and file systems write finer than ms
  const time = Math.round(file.modifiedAtMs * 1000).toString(16);
  const tag = `"${file.size.toString(16)}-${time}"`;
  const isStrong = nowMs - file.modifiedAtMs >= STRONG_AFTER_MS;
  return {
    etag: isStrong ? tag : `W/${tag}`,
    // never later than Date (RFC 9110 §8.8.2.1)
    modifiedAtMs: toSecond(Math.min(file.modifiedAtMs, nowMs)),
  };
}

/** Text to send, or bytes of the file. */
type Piece = Buffer | ByteRange;

interface Content {
  readonly status: 200 | 206;
  readonly lines: string;
  readonly pieces: readonly Piece[];
  readonly length: number;
}

function wholeOf(file: OpenFile): Content {
  const pieces = file.size === 0 ? [] : [{ first: 0, last: file.size - 1 }];
  return { status: 200, lines: `Content-Type: ${mediaTypeOf(file.path)}\r\n`, pieces, length: file.size };
}

function partsOf(file: OpenFile, ranges: readonly ByteRange[]): Content {
  const type = `Content-Type: ${mediaTypeOf(file.path)}\r\n`;
  const [only] = ranges;
  if (ranges.length === 1 && only !== undefined) {
    const lines = type + contentRange(only, file.size);
    return { status: 206, lines, pieces: [only], length: only.last - only.first + 1 };
  }
  // random, so that no file can hold it on purpose (RFC 2046 §5.1.1)
  const boundary = crypto.randomUUID();
  const pieces: Piece[] = [];
  for (const [index, range] of ranges.entries()) {
    const head = `${index === 0 ? "" : "\r\n"}--${boundary}\r\n${type}${contentRange(range, file.size)}\r\n`;
    pieces.push(Buffer.from(head, "latin1"), range);
  }
  pieces.push(Buffer.from(`\r\n--${boundary}--\r\n`, "latin1"));
  const length = pieces.reduce((sum, piece) => sum + lengthOf(piece), 0);
  return { status: 206, lines: `Content-Type: ${MULTIPART}; boundary=${boundary}\r\n`, pieces, length };
}

function contentRange({ first, last }: ByteRange, size: number): string {
  return `Content-Range: bytes ${first}-${last}/${size}\r\n`;
}

const lengthOf = (piece: Piece) => ("first" in piece ? piece.last - piece.first + 1 : piece.length);

class FileBody {
  readonly #file: OpenFile;
  readonly #pieces: readonly Piece[];
  #index = 0;
  /** Bytes of the piece that were given out. */
  #done = 0;

  constructor(file: OpenFile, pieces: readonly Piece[]) {
    this.#file = file;
    this.#pieces = pieces;
  }

  async read(): Promise<Buffer | undefined> {
    const piece = this.#pieces[this.#index];
    if (piece === undefined) {
      this.#file.close();
      return undefined;
    }
    const bytes = "first" in piece ? await this.#readRange(piece) : piece;
    this.#done += bytes.length;
    if (this.#done === lengthOf(piece)) {
      this.#index++;
      this.#done = 0;
    }
    // a descriptor is dear: it goes with the last byte read, not with the last byte sent
    if (this.#index === this.#pieces.length) this.#file.close();
    return bytes;
  }

  async #readRange({ first, last }: ByteRange): Promise<Buffer> {
    try {
      return await this.#file.read(first + this.#done, last + 1);
    } catch (error) {
      this.#file.close();
      throw error;
    }
  }
}
