/**
 * Which consistent hash moves least, spreads best and costs least? The figures of docs/decisions/0025-consistent-hash.md.
 *
 * method   200,000 keys; `moved` is what changes owner when one endpoint leaves, over its ideal part (1 is the least
 *          there can be), worst of 20 leavers; `strayed` is the part of it that moved between endpoints which stayed;
 *          `most` is the fullest endpoint's part of the keys over the fair one; `build` in ms; `pick` in ns, owners
 *          known where they are kept; `weight` is what moves when one weight doubles, over the ideal
 * run      node_modules/.bin/bun bench/micro/balance-hash.ts
 */
import { hashOf, mix } from "../../src/balance/key-hash.ts";
import { BUCKETS, bucketOf, Rendezvous } from "../../src/balance/rendezvous.ts";

const KEYS = 200_000;

interface Built {
  readonly bytes: number;
  ownerOf(key: number): number;
}
type Build = (names: readonly string[], weights: readonly number[]) => Built;

/** Points on a ring, as in Ketama and Envoy. */
const ring =
  (pointsEach: number): Build =>
  (names, weights) => {
    const points = names.flatMap((name, index) => {
      const count = Math.round(pointsEach * (weights[index] as number));
      const seed = hashOf(name);
      return Array.from({ length: count }, (_, point) => ({
        at: mix(seed + Math.imul(point, 0x9e3779b9)),
        index,
      }));
    });
    points.sort((one, other) => one.at - other.at);
    const ats = Float64Array.from(points, ({ at }) => at);
    const owners = Uint16Array.from(points, ({ index }) => index);
    return {
      bytes: ats.byteLength + owners.byteLength,
      ownerOf(key) {
        let low = 0;
        let high = ats.length;
        while (low < high) {
          const middle = (low + high) >> 1;
          if ((ats[middle] as number) < key) low = middle + 1;
          else high = middle;
        }
        return owners[low === ats.length ? 0 : low] as number;
      },
    };
  };

/** Maglev (Eisenbud and others 2016), turns in proportion to weight. */
const maglev =
  (size: number): Build =>
  (names, weights) => {
    const offsets = names.map((name) => hashOf(name) % size);
    const skips = names.map((name) => (hashOf(`${name}\n`) % (size - 1)) + 1);
    const next = names.map(() => 0);
    const credit = names.map(() => 0);
    const heaviest = Math.max(...weights);
    const table = new Int32Array(size).fill(-1);
    for (let filled = 0; filled < size; ) {
      for (let index = 0; index < names.length && filled < size; index++) {
        credit[index] = (credit[index] as number) + (weights[index] as number) / heaviest;
        if ((credit[index] as number) < 1) continue;
        credit[index] = (credit[index] as number) - 1;
        let slot: number;
        do {
          slot = ((offsets[index] as number) + (next[index] as number) * (skips[index] as number)) % size;
          next[index] = (next[index] as number) + 1;
        } while (table[slot] !== -1);
        table[slot] = index;
        filled++;
      }
    }
    return { bytes: table.byteLength, ownerOf: (key) => table[mix(key) % size] as number };
  };

const rendezvous: Build = (names, weights) => {
  const built = new Rendezvous(names);
  built.weigh(Float64Array.from(weights));
  return { bytes: 2 * BUCKETS, ownerOf: (key) => built.ownerOf(bucketOf(key, 0)) };
};

const keys = Float64Array.from({ length: KEYS }, (_, number) => mix(number));
const namesOf = (count: number) =>
  Array.from({ length: count }, (_, index) => `10.0.${index >> 8}.${index & 255}:8080`);
const ownersOf = (built: Built, names: readonly string[]) =>
  Array.from(keys, (key) => names[built.ownerOf(key)] as string);

function movement(build: Build, count: number): { moved: number; strayed: number } {
  const names = namesOf(count);
  const ones = names.map(() => 1);
  const before = ownersOf(build(names, ones), names);
  let [worst, strayed] = [0, 0];
  for (let leaver = 0; leaver < 20; leaver++) {
    const at = Math.floor((leaver * count) / 20);
    const left = names.toSpliced(at, 1);
    const after = ownersOf(build(left, ones.slice(1)), left);
    let [moved, between] = [0, 0];
    for (const [number, owner] of before.entries()) {
      if (owner === after[number]) continue;
      moved++;
      if (owner !== names[at]) between++;
    }
    worst = Math.max(worst, (moved * count) / KEYS);
    strayed = Math.max(strayed, moved === 0 ? 0 : between / moved);
  }
  return { moved: worst, strayed };
}

function weightMovement(build: Build, count: number): number {
  const names = namesOf(count);
  const ones = names.map(() => 1);
  const before = ownersOf(build(names, ones), names);
  const after = ownersOf(build(names, ones.with(1, 2)), names);
  const ideal = 2 / (count + 1) - 1 / count;
  return before.filter((owner, number) => owner !== after[number]).length / KEYS / ideal;
}

function most(build: Build, count: number): number {
  const names = namesOf(count);
  const built = build(
    names,
    names.map(() => 1),
  );
  const counts = new Float64Array(count);
  for (const key of keys) {
    const owner = built.ownerOf(key);
    counts[owner] = (counts[owner] as number) + 1;
  }
  return (Math.max(...counts) * count) / KEYS;
}

let sink = 0;

function costs(build: Build, count: number): { buildMs: number; pickNs: number; bytes: number } {
  const names = namesOf(count);
  const ones = names.map(() => 1);
  let [buildMs, pickNs] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  let built = build(names, ones);
  for (let round = 0; round < 5; round++) {
    const started = Bun.nanoseconds();
    built = build(names, ones);
    buildMs = Math.min(buildMs, (Bun.nanoseconds() - started) / 1e6);
  }
  for (let round = 0; round < 6; round++) {
    const started = Bun.nanoseconds();
    for (const key of keys) sink += built.ownerOf(key);
    pickNs = Math.min(pickNs, (Bun.nanoseconds() - started) / KEYS);
  }
  return { buildMs, pickNs, bytes: built.bytes };
}

const RIVALS: Readonly<Record<string, Build>> = {
  "ring, 160 points": ring(160),
  "ring, 1,600 points": ring(1600),
  "Maglev, 65,537": maglev(65_537),
  "Maglev, 655,373": maglev(655_373),
  rendezvous,
};

console.log("| | endpoints | moved | strayed | weight | most | build ms | pick ns | KiB |");
console.log("| --- | --: | --: | --: | --: | --: | --: | --: | --: |");
for (const count of [20, 1000]) {
  for (const [name, build] of Object.entries(RIVALS)) {
    const { moved, strayed } = movement(build, count);
    const { buildMs, pickNs, bytes } = costs(build, count);
    const cells = [
      moved.toFixed(2),
      `${(100 * strayed).toFixed(0)} %`,
      weightMovement(build, count).toFixed(2),
      most(build, count).toFixed(2),
      buildMs.toFixed(2),
      pickNs.toFixed(0),
      (bytes / 1024).toFixed(0),
    ];
    console.log(`| ${name} | ${count} | ${cells.join(" | ")} |`);
  }
}
if (sink === 0) throw new Error("nothing was picked");
