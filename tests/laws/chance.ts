/**
 * Chance: random choices that a seed repeats, and how long a law may look for a counter-example.
 *
 * use    WEIR_LAWS_SEED=7 repeats a run; WEIR_LAWS_SECONDS=600 looks longer than the usual half second
 */
export class Chance {
  readonly seed: number;
  #state: number;

  constructor(seed: number) {
    this.seed = seed;
    this.#state = seed >>> 0;
  }

  /** A number in [0, 1). mulberry32: 32 bits of state, good enough to pick cuts and bytes. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }

  /** A whole number in [0, below). */
  below(below: number): number {
    return Math.floor(this.next() * below);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  isTrue(probability: number): boolean {
    return this.next() < probability;
  }

  /** `count` sorted offsets inside of `length` bytes. */
  cuts(length: number, count: number): number[] {
    return Array.from({ length: count }, () => this.below(length)).sort((a, b) => a - b);
  }

  /** Latin-1 text of `length` characters out of `alphabet`, or of any byte. */
  text(length: number, alphabet?: string): string {
    let text = "";
    for (let at = 0; at < length; at++) {
      text +=
        alphabet === undefined ? String.fromCharCode(this.below(256)) : alphabet[this.below(alphabet.length)];
    }
    return text;
  }
}

const { WEIR_LAWS_SECONDS, WEIR_LAWS_SEED: SEED } = process.env;
const SECONDS = Number(WEIR_LAWS_SECONDS ?? 0.5);

/** Runs `attempt` with ever new seeds until the time is over; a failure names the seed that repeats it. */
export function forAll(attempt: (chance: Chance) => void): void {
  const first = SEED === undefined ? Date.now() & 0xffffff : Number(SEED);
  const deadline = performance.now() + SECONDS * 1000;
  for (let seed = first; ; seed++) {
    try {
      attempt(new Chance(seed));
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      throw new Error(`WEIR_LAWS_SEED=${seed} breaks it: ${what}`, { cause: error });
    }
    if (SEED !== undefined || performance.now() >= deadline) return;
  }
}

/** Time that `forAll` may take, for a test's own time-out. */
export const LAW_MS = SECONDS * 1000 + 20_000;
