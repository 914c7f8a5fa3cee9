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

/** Head and body up to this size leave in one write: a copy of 32 KiB is cheaper than a system call. */
const OUT = Buffer.allocUnsafe(32 * 1024);

export class Wire {
  readonly socket: RawSocket;
  readonly #budget: BufferBudget;
  #queue: Buffer[] = [];
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

  /** Writes Latin-1 text. */
  writeText(text: string): boolean {
    if (this.#queuedBytes > 0) return this.#keep(Buffer.from(text, "latin1"));
    const taken = this.socket.write(text, "latin1");
    if (taken === text.length || taken < 0) return true;
    return this.#keep(Buffer.from(taken > 0 ? text.slice(taken) : text, "latin1"));
  }

  writeBytes(bytes: Buffer): boolean {
    if (this.#queuedBytes > 0) return this.#keep(bytes);
    const taken = this.socket.write(bytes);
    if (taken === bytes.length || taken < 0) return true;
    return this.#keep(taken > 0 ? bytes.subarray(taken) : bytes);
  }

  /** Writes text, `bytes[start, end)` and more text, in one system call when they are small. */
  // biome-ignore lint/complexity/useMaxParams: a view of the bytes would cost more than the write of a small one
  writeJoined(before: string, bytes: Buffer, start: number, end: number, after: string): boolean {
    const length = before.length + end - start + after.length;
    if (this.#queuedBytes > 0 || length > OUT.length) {
      this.writeText(before);
      const isOpen = this.writeBytes(bytes.subarray(start, end));
      return after === "" ? isOpen : this.writeText(after);
    }
    const bodyAt = OUT.latin1Write(before, 0);
    bytes.copy(OUT, bodyAt, start, end);
    if (after !== "") OUT.latin1Write(after, length - after.length);
    return this.#writeOut(length);
  }

  /** Writes a chunk: its size line, its bytes and the CRLF after them. */
  writeChunk(sizeLine: string, bytes: Buffer): boolean {
    const length = sizeLine.length + bytes.length + 2;
    if (this.#queuedBytes > 0 || length > OUT.length) {
      this.writeText(sizeLine);
      this.writeBytes(bytes);
      return this.writeText("\r\n");
    }
    const at = OUT.latin1Write(sizeLine, 0);
    bytes.copy(OUT, at);
    OUT[length - 2] = 13;
    OUT[length - 1] = 10;
    return this.#writeOut(length);
  }

  /** Writes the first `length` bytes of OUT, which is free again afterwards. */
  #writeOut(length: number): boolean {
    const taken = this.socket.write(OUT, 0, length);
    if (taken === length || taken < 0) return true;
    return this.#keep(Buffer.from(OUT.subarray(taken, length)));
  }

  /** Sends what waits. out  true when nothing waits any more */
  flush(): boolean {
    while (this.#queue.length > 0 && !this.isClosed) {
      const first = this.#queue[0] as Buffer;
      const taken = this.socket.write(first);
      if (taken < 0) {
        this.#forget();
        break;
      }
      this.#account(-taken);
      if (taken < first.length) {
        this.#queue[0] = first.subarray(taken);
        return false;
      }
      this.#queue.shift();
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

  #keep(bytes: Buffer): boolean {
    if (this.isClosed) return true;
    this.#queue.push(bytes);
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
