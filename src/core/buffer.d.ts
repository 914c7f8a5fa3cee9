/**
 * Buffer methods that Bun has (as Node does) but that their types leave out.
 *
 * why    `latin1Slice` and `latin1Write` skip the encoding lookup of `toString` and `write`;
 *        tests/runtime holds that they are there and do what we think
 */
declare global {
  interface Buffer<TArrayBuffer extends ArrayBufferLike = ArrayBufferLike> {
    latin1Slice(start?: number, end?: number): string;
    latin1Write(text: string, offset?: number, length?: number): number;
  }
}

export {};
