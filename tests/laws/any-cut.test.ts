/** Law: however the bytes are cut, the reader tells the same story, in both roles. */
import { expect, test } from "bun:test";
import { type Chance, forAll, LAW_MS } from "./chance.ts";
import { CORPUS, mutate, type Sample } from "./corpus.ts";
import { tell } from "./story.ts";

/** Longer samples are cut at random places only: their every cut would take minutes. */
const MAX_EVERY_CUT = 600;

function expectSame(
  { role, text, method, name }: Sample,
  cuts: readonly number[],
  isLazy = () => false,
): void {
  const whole = tell(role, text, [], { method });
  const pieces = tell(role, text, cuts, { method, isLazy });
  if (Bun.deepEquals(whole, pieces)) return;
  expect({ name, text, cuts, events: pieces }).toEqual({ name, text, cuts, events: whole });
}

test("every single cut of every sample changes nothing", () => {
  for (const sample of CORPUS) {
    if (sample.text.length > MAX_EVERY_CUT) continue;
    for (let at = 1; at < sample.text.length; at++) expectSame(sample, [at]);
  }
}, 20_000);

test("every sample byte by byte is the same as whole", () => {
  for (const sample of CORPUS) {
    expectSame(
      sample,
      Array.from({ length: Math.max(0, sample.text.length - 1) }, (_, at) => at + 1),
    );
  }
}, 20_000);

test("every two cuts around each line end change nothing", () => {
  for (const sample of CORPUS) {
    if (sample.text.length > MAX_EVERY_CUT) continue;
    for (const { index } of sample.text.matchAll(/\r?\n/g)) {
      expectSame(sample, [index, index + 1]);
      expectSame(sample, [index + 1, index + 2]);
    }
  }
}, 20_000);

const randomCuts = (text: string, chance: Chance) => chance.cuts(text.length, 1 + chance.below(8));

test(
  "random cuts of samples change nothing, pulled at once or late",
  () => {
    forAll((chance) => {
      for (let count = 0; count < 50; count++) {
        const sample = chance.pick(CORPUS);
        expectSame(sample, randomCuts(sample.text, chance), () => chance.isTrue(0.3));
      }
    });
  },
  LAW_MS,
);

test(
  "random cuts of several samples in a row change nothing",
  () => {
    forAll((chance) => {
      for (let count = 0; count < 20; count++) {
        const { role } = chance.pick(CORPUS);
        const mine = CORPUS.filter((sample) => sample.role === role && sample.text.length < 1000);
        const text = Array.from({ length: 4 }, () => chance.pick(mine).text).join("");
        expectSame({ role, name: "row", text, method: "GET" }, randomCuts(text, chance), () =>
          chance.isTrue(0.3),
        );
      }
    });
  },
  LAW_MS,
);

test(
  "random cuts of wounded samples change nothing",
  () => {
    forAll((chance) => {
      for (let count = 0; count < 50; count++) {
        const sample = chance.pick(CORPUS);
        const text = mutate(sample.text, chance);
        expectSame({ ...sample, text }, randomCuts(text, chance), () => chance.isTrue(0.3));
      }
    });
  },
  LAW_MS,
);
