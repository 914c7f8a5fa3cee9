/**
 * File source: a body of the store that is too large for memory, read by one client.
 */
import type { BodyReader, CacheStore } from "../cache/store.ts";
import type { BodyRef } from "../cache/stored.ts";
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

/** A body that is gone is forgotten. out  undefined: it is gone, or it cannot be had just now */
export async function openBody(
  store: CacheStore,
  key: string,
  file: BodyRef,
): Promise<BodyReader | undefined> {
  try {
    const reader = await store.open(file);
    if (reader === undefined) store.remove(key);
    return reader;
  } catch {
    return undefined; // whoever keeps the files has told it
  }
}
