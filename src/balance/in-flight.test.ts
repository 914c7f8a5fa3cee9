import { expect, test } from "bun:test";
import { InFlight } from "./in-flight.ts";
import { DrawnPicture } from "./policy.cases.ts";
import { Usable } from "./usable.ts";

function summed(count: number) {
  const picture = new DrawnPicture(new Array(count).fill(1));
  const usable = new Usable();
  const inFlight = new InFlight();
  usable.look(picture);
  inFlight.restart(picture, usable);
  return { picture, usable, inFlight, sum: () => inFlight.sum(picture, usable) };
}

test("up to 8 endpoints: every change is seen at once", () => {
  const { picture, sum } = summed(8);
  for (let round = 1; round < 20; round++) {
    picture.loads.fill(round, 0, 1 + (round % 8));
    expect(sum()).toBe(picture.loads.reduce((total, load) => total + load, 0));
  }
});

test("of more, a change is seen after each has been asked: within count / 8 sums", () => {
  const { picture, sum } = summed(100);
  picture.loads.fill(3);
  expect(sum()).toBe(24);
  for (let pick = 1; pick < 13; pick++) sum();
  expect(sum()).toBe(300);
});

test("what is in flight at endpoints that may not be used does not count", () => {
  const { picture, usable, inFlight, sum } = summed(10);
  picture.loads.fill(2);
  picture.set(new Array(10).fill(1).with(4, 0));
  usable.look(picture);
  inFlight.restart(picture, usable);
  expect(sum()).toBe(18);
});
