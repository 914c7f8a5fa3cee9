/**
 * Wire: one socket's way out: what the kernel does not take now waits here.
 *
 * why    Bun's `write` says how many bytes it took and forgets the rest; the rest is ours to keep, to bound
 *        and to send on `drain`
 * out    every write says whether more may follow at once; after `false` the caller waits for `flush`
 *        to say true. What is kept is then one write's rest: bounded by the size of one read.
 * cost   one system call a write while the client keeps up
 * note   `write(text, "latin1")` and `terminate` are undocumented: tests/runtime holds them
 */
import { OUT, type Out } from "../core/out.ts";
import { sendFile } from "./send-file.ts";

export interface RawSocket {
  write(text: string, encoding: "latin1"): number;
  write(bytes: Uint8Array, offset?: number, length?: number): number;
  /** Closes now; the kernel still delivers what it has taken. */
  close(): void;
  /** FIN; reading goes on. */
  shutdown(): void;
  /** RST. */
  terminate(): void;
  pause(): void;
  resume(): void;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  readonly localPort: number | undefined;
  readonly localAddress: string | undefined;
  /** Descriptor, -1 once it is closed. */
  readonly fd?: number;
}

/** What a socket reports to, on either side. */
export interface SocketSession {
  onData(bytes: Buffer): void;
  onDrain(): void;
  /** The other side has sent FIN. */
  onEnd(): void;
  /** `isReset`: by RST. Sure only while nothing is being written. */
  onClose(isReset: boolean): void;
}

/** Bytes that wait in all wires of this worker, against `server.memory`. */
export class BufferBudget {
  usedBytes = 0;
  limitBytes: number;
  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }
  get isExhausted(): boolean {
    return this.usedBytes > this.limitBytes;
  }
}

/** What waits for the socket to drain. */
interface Waiting {
  bytes: Buffer;
  /** Nobody else uses the memory behind: it may be given back once the bytes are out. */
  readonly isOwn: boolean;
}

/** Smaller pieces are left to the collector. */
const RELEASE_BYTES = 64 * 1024;

/**
 * Gives the memory of a piece that is out back at once, instead of when the collector comes by: a slow reader of a
 * large body then costs one piece, not the garbage of many.
 */
export function release(bytes: Buffer): void {
  const memory = bytes.buffer;
  if (memory.byteLength >= RELEASE_BYTES && memory instanceof ArrayBuffer) memory.transfer(0);
}

/** Head and body up to this size leave in one write: a copy of 32 KiB is cheaper than a system call. */
export const JOIN_BYTES = 32 * 1024;

export class Wire {
  readonly socket: RawSocket;
  readonly #budget: BufferBudget;
  #queue: Waiting[] = [];
  #queuedBytes = 0;
  #isEnding = false;
  isClosed = false;

  constructor(socket: RawSocket, budget: BufferBudget) {
    this.socket = socket;
    this.#budget = budget;
  }

  /** True while bytes wait for the socket to drain. */
  get isBlocked(): boolean {
    return this.#queuedBytes > 0;
  }

  /** How many. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Writes Latin-1 text. */
  writeText(text: string): boolean {
    if (this.#queuedBytes > 0) return this.#keep(Buffer.from(text, "latin1"));
    const taken = this.socket.write(text, "latin1");
    if (taken === text.length || taken < 0) return true;
    return this.#keep(Buffer.from(taken > 0 ? text.slice(taken) : text, "latin1"));
  }

  /** Writes bytes that belong to somebody else, who must not change them. */
  writeBytes(bytes: Buffer): boolean {
    return this.#write(bytes, false);
  }

  /** Writes bytes; `isShared`: they belong to others too, who will not change them. */
  write(bytes: Buffer, isShared: boolean): boolean {
    return isShared ? this.#write(bytes, false) : this.writeOwn(bytes);
  }

  /** Writes bytes that nobody else will look at again. */
  writeOwn(bytes: Buffer): boolean {
    return this.#write(bytes, bytes.length === bytes.buffer.byteLength);
  }

  #write(bytes: Buffer, isOwn: boolean): boolean {
    if (this.#queuedBytes > 0) return this.#keep(bytes, isOwn);
    const taken = this.socket.write(bytes);
    if (taken !== bytes.length && taken >= 0) {
      return this.#keep(taken > 0 ? bytes.subarray(taken) : bytes, isOwn);
    }
    if (isOwn) release(bytes);
    return true;
  }

  /** Writes what was gathered, which nobody needs afterwards. */
  writeOut(out: Out = OUT): boolean {
    const { length, bytes } = out;
    if (this.#queuedBytes > 0) return this.#keep(Buffer.from(bytes.subarray(0, length)));
    const taken = this.socket.write(bytes, 0, length);
    if (taken === length || taken < 0) return true;
    return this.#keep(Buffer.from(bytes.subarray(taken, length)));
  }

  /** Writes what was gathered in OUT and then `bytes[start, end)`, in one system call when they are small. */
  writeOutWith(bytes: Buffer, start: number, end: number): boolean {
    if (end - start <= JOIN_BYTES) {
      OUT.copy(bytes, start, end);
      return this.writeOut();
    }
    this.writeOut();
    return this.writeBytes(bytes.subarray(start, end));
  }

  /**
   * Sends bytes of a file that lies in memory, as far as the socket takes them now; for sockets without TLS only.
   * out  bytes taken; after fewer than asked for the caller writes the next ones, so that the socket tells when it drains
   */
  writeFile(file: number, position: number, count: number): number {
    if (this.#queuedBytes > 0 || this.isClosed || this.#isEnding) return 0;
    return sendFile(this.socket.fd ?? -1, file, position, count);
  }

  /** Sends what waits. out  true when nothing waits any more */
  flush(): boolean {
    while (this.#queue.length > 0 && !this.isClosed) {
      const first = this.#queue[0] as Waiting;
      const taken = this.socket.write(first.bytes);
      if (taken < 0) {
        this.#forget();
        break;
      }
      this.#account(-taken);
      if (taken < first.bytes.length) {
        first.bytes = first.bytes.subarray(taken);
        return false;
      }
      this.#queue.shift();
      if (first.isOwn) release(first.bytes);
    }
    if (this.#isEnding) this.socket.shutdown();
    return true;
  }

  /** Sends FIN once all that waits is out; reading goes on. */
  finish(): void {
    if (this.#isEnding || this.isClosed) return;
    this.#isEnding = true;
    if (this.#queuedBytes === 0) this.socket.shutdown();
  }

  /** Closes at once with RST: the other side must not take what it got for complete. */
  terminate(): void {
    if (!this.isClosed) this.socket.terminate();
  }

  /** Closes both ways; the kernel still delivers what it took. */
  close(): void {
    if (!this.isClosed) this.socket.close();
  }

  /** The socket is closed: gives back what waited. */
  closed(): void {
    this.isClosed = true;
    this.#forget();
  }

  #keep(bytes: Buffer, isOwn = false): boolean {
    if (this.isClosed) return true;
    this.#queue.push({ bytes, isOwn });
    this.#account(bytes.length);
    return false;
  }

  #account(bytes: number): void {
    this.#queuedBytes += bytes;
    this.#budget.usedBytes += bytes;
  }

  #forget(): void {
    this.#queue = [];
    this.#account(-this.#queuedBytes);
  }
}
