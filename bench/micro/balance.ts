/**
 * What does it cost to pick an endpoint?
 *
 * defends  any policy ≤ 150 ns with 10 endpoints and ≤ 400 ns with 1,000 (issue 4)
 * how      load is that of two workers, changing with every pick; weights equal, and 1, 2, 3; best of some rounds.
 *          `changed` is a pick after the weight of one endpoint has changed, as while it starts slowly; `first` a pick
 *          of `hash` for a key of which the owner is not known yet
 * run      node_modules/.bin/bun bench/micro/balance.ts
 */
import { mix } from "../../src/balance/key-hash.ts";
import { type Balance, makePolicy } from "../../src/balance/policies.ts";
import type { Picture, Policy } from "../../src/balance/policy.ts";

const BARS = new Map([
  [10, 150],
  [1000, 400],
]);
const ROUNDS = 7;
const PICKS = 200_000;
const KEYS = 1 << 16;
const KINDS: readonly Balance[] = ["round-robin", "random", "least-request", "p2c", "ewma", "hash"];

class BenchPicture implements Picture {
  readonly count: number;
  revision = 0;
  readonly eligible: Uint8Array;
  readonly weights: Float64Array;
  readonly rows: readonly [Float64Array, Float64Array];
  readonly #latencies: Float64Array;
  readonly #chances = Float64Array.from({ length: 4096 }, () => Math.random());
  #nextChance = 0;
  key = 0;

  constructor(count: number, weightOf: (index: number) => number) {
    this.count = count;
    this.eligible = new Uint8Array(count).fill(1);
    this.weights = Float64Array.from({ length: count }, (_, index) => weightOf(index));
    const row = () => Float64Array.from({ length: count }, () => 20 + Math.floor(Math.random() * 4));
    this.rows = [row(), row()];
    this.#latencies = Float64Array.from({ length: count }, () => 10 + Math.random());
  }

  loadOf(index: number): number {
    return (this.rows[0][index] as number) + (this.rows[1][index] as number);
  }

  latencyMs(index: number): number {
    return this.#latencies[index] as number;
  }

  chance(): number {
    this.#nextChance = (this.#nextChance + 1) & 4095;
    return this.#chances[this.#nextChance] as number;
  }
}

let sink = 0;

function measure(policy: Policy, picture: BenchPicture, picks: number, isChanging: boolean): number {
  const [row] = picture.rows;
  let last = 0;
  const started = Bun.nanoseconds();
  for (let pick = 0; pick < picks; pick++) {
    picture.key = mix(pick & (KEYS - 1));
    if (isChanging) {
      picture.weights[3] = 1 + (pick & 1023) / 1024;
      picture.revision++;
    }
    const index = policy.pick(picture);
    row[index] = (row[index] as number) + 1;
    row[last] = (row[last] as number) - 1;
    last = index;
    sink += index;
  }
  return (Bun.nanoseconds() - started) / picks;
}

const best = (once: () => number) => Math.min(...Array.from({ length: ROUNDS }, once));

function lineOf(kind: Balance, count: number): string {
  const names = Array.from({ length: count }, (_, index) => `10.0.${index >> 8}.${index & 255}:8080`);
  const make = () => makePolicy(kind, { names, worker: 0 });
  const costs = [() => 1, (index: number) => 1 + (index % 3)].map((weightOf) => {
    const picture = new BenchPicture(count, weightOf);
    const policy = make();
    return best(() => measure(policy, picture, PICKS, false));
  });
  const changing = new BenchPicture(count, () => 1);
  const policy = make();
  const changed = best(() => measure(policy, changing, 2000, true));
  const first =
    kind === "hash"
      ? best(() => measure(make(), new BenchPicture(count, (index) => 1 + (index % 3)), 2000, false))
      : 0;
  const isMet = costs.every((cost) => cost <= (BARS.get(count) as number));
  const cells = [...costs, changed, first].map((cost) => (cost === 0 ? "" : cost.toFixed(0)).padStart(9));
  return `${kind.padEnd(14)}${String(count).padStart(6)}${cells.join("")}   ${isMet ? "met" : "NOT MET"}`;
}

console.log("ns a pick      count    equal  unequal  changed    first");
for (const count of BARS.keys()) for (const kind of KINDS) console.log(lineOf(kind, count));
if (sink === 0) throw new Error("nothing was picked");
