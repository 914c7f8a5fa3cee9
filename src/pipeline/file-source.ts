/**
 * File source: a body of the store that is too large for memory, read by one client.
 */
import type { BodyReader } from "../cache/store.ts";
import type { BodySource } from "./growing-body.ts";

export class FileSource implements BodySource {
  readonly isComplete = true;
  readonly #reader: BodyReader;

  constructor(reader: BodyReader) {
    this.#reader = reader;
  }

  get length(): number {
    return this.#reader.length;
  }

  get descriptor(): number | undefined {
    return this.#reader.descriptor;
  }

  peek(_position: number): Buffer | undefined {
    return undefined;
  }

  read(position: number, end: number): Promise<Buffer> {
    return this.#reader.read(position, end);
  }

  join(): void {
    // it is this reader's alone
  }

  moved(): void {
    // nobody waits for this reader
  }

  leave(): void {
    this.#reader.close();
  }
}
