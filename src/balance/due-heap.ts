/**
 * Due heap: round-robin for many unequal weights: each endpoint is due every 1/weight, the earliest is next.
 *
 * cost   O(log endpoints) a pick, O(endpoints) for a new revision
 */
import type { Picture } from "./policy.ts";
import type { Usable } from "./usable.ts";

export class DueHeap {
  /** Indexes of endpoints; none is due before its parent at (at - 1) >> 1. */
  #heap = new Int32Array(0);
  #count = 0;
  /** By index of endpoint. */
  #dueAt = new Float64Array(0);
  /** The weight that `#dueAt` was counted with; 0 = was not in the heap. */
  #weights = new Float64Array(0);
  /** When the last one picked was due. */
  #now = 0;

  /** One that was not here comes at some time of its first round: it has nothing to catch up on. */
  fill({ list, count, weights }: Usable, picture: Picture): void {
    if (picture.count > this.#dueAt.length) this.#grow(picture.count);
    const before = this.#weights.slice();
    this.#weights.fill(0);
    this.#count = count;
    for (let place = 0; place < count; place++) {
      const index = list[place] as number;
      const weight = weights[place] as number;
      const old = before[index] as number;
      const rounds = old > 0 ? ((this.#dueAt[index] as number) - this.#now) * old : picture.chance();
      this.#dueAt[index] = this.#now + rounds / weight;
      this.#weights[index] = weight;
      this.#heap[place] = index;
    }
    for (let at = (count >> 1) - 1; at >= 0; at--) this.#sink(at);
  }

  /** There must be one. */
  pick(): number {
    const index = this.#heap[0] as number;
    this.#now = this.#dueAt[index] as number;
    this.#dueAt[index] = this.#now + 1 / (this.#weights[index] as number);
    this.#sink(0);
    return index;
  }

  #grow(count: number): void {
    const [dueAt, weights] = [new Float64Array(count), new Float64Array(count)];
    dueAt.set(this.#dueAt);
    weights.set(this.#weights);
    this.#dueAt = dueAt;
    this.#weights = weights;
    this.#heap = new Int32Array(count);
  }

  #sink(start: number): void {
    const heap = this.#heap;
    const dueAt = this.#dueAt;
    const count = this.#count;
    const index = heap[start] as number;
    const due = dueAt[index] as number;
    let at = start;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= count) break;
      let childDue = dueAt[heap[child] as number] as number;
      if (child + 1 < count) {
        const otherDue = dueAt[heap[child + 1] as number] as number;
        if (otherDue < childDue) {
          child++;
          childDue = otherDue;
        }
      }
      if (due <= childDue) break;
      heap[at] = heap[child] as number;
      at = child;
    }
    heap[at] = index;
  }
}
