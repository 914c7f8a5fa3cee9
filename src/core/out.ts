/**
 * Out: the bytes of one message on their way, gathered so that they leave in one system call.
 *
 * why    copying runs of bytes and short texts into one buffer that lives for ever costs less than building a
 *        string of them, and leaves nothing to collect
 * rule   one for each process: whoever starts to write calls `reset`, and hands it to the socket before anything
 *        else can happen
 * bound  grows to the largest head written: limits.requestHead and the fields that routes add
 */
const FIRST_BYTES = 64 * 1024;
/** Up to this many characters, storing each costs less than the call that writes them all. */
const SHORT_TEXT = 12;

export class Out {
  bytes: Buffer;
  length = 0;

  constructor(firstBytes = FIRST_BYTES) {
    this.bytes = Buffer.allocUnsafeSlow(firstBytes);
  }

  reset(): void {
    this.length = 0;
  }

  /** Makes sure that `more` bytes have room: whoever writes them itself moves `length`. */
  reserve(more: number): void {
    if (this.length + more > this.bytes.length) this.#grow(more);
  }

  /** Appends Latin-1 text. */
  text(text: string): void {
    if (this.length + text.length > this.bytes.length) this.#grow(text.length);
    if (text.length > SHORT_TEXT) this.bytes.latin1Write(text, this.length);
    else {
      const { bytes, length } = this;
      for (let at = 0; at < text.length; at++) bytes[length + at] = text.charCodeAt(at);
    }
    this.length += text.length;
  }

  byte(byte: number): void {
    if (this.length === this.bytes.length) this.#grow(1);
    this.bytes[this.length++] = byte;
  }

  /** Appends `from[start, end)`. */
  copy(from: Buffer, start: number, end: number): void {
    if (this.length + end - start > this.bytes.length) this.#grow(end - start);
    from.copy(this.bytes, this.length, start, end);
    this.length += end - start;
  }

  #grow(more: number): void {
    const bytes = Buffer.allocUnsafeSlow((this.length + more) * 2);
    this.bytes.copy(bytes, 0, 0, this.length);
    this.bytes = bytes;
  }
}

/** The buffer of this process. */
export const OUT = new Out();

/** Buffers of connections that gather output over several messages: lent while there is any. */
const SPARE: Out[] = [];
const MAX_SPARE = 64;
/** A buffer that grew beyond this is not kept. */
const MAX_KEPT_BYTES = 256 * 1024;

export function borrowOut(): Out {
  return SPARE.pop() ?? new Out();
}

/** The other half of `borrowOut`: nobody uses the buffer any more. */
export function returnOut(out: Out): void {
  out.length = 0;
  if (SPARE.length < MAX_SPARE && out.bytes.length <= MAX_KEPT_BYTES) SPARE.push(out);
}
