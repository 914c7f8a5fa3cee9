/**
 * Memory source: a body of the store that is with its response, read by one client as it takes it.
 */
import type { BodySource } from "./growing-body.ts";

export class MemorySource implements BodySource {
  readonly isComplete = true;
  readonly #body: Buffer;

  constructor(body: Buffer) {
    this.#body = body;
  }

  get length(): number {
    return this.#body.length;
  }

  peek(position: number): Buffer | undefined {
    return this.#body.subarray(position);
  }

  read(position: number, end: number): Promise<Buffer> {
    return Promise.resolve(Buffer.from(this.#body.subarray(position, end)));
  }

  join(): void {
    // it is here
  }

  moved(): void {
    // nobody waits
  }

  leave(): void {
    // nothing is open
  }
}
