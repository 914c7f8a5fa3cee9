import { expect, test } from "bun:test";
import { DrawnPicture, policyCases } from "./policy.cases.ts";
import { random } from "./random.ts";

policyCases("random", random);

test("the chance alone decides: the same one picks the same endpoint", () => {
  const picture = new DrawnPicture([1, 3]);
  const policy = random();
  const picked = [0, 0.249, 0.25, 0.999_999, 0.1, 0.1].map((chance) => {
    picture.chance = () => chance;
    return policy.pick(picture);
  });
  expect(picked).toEqual([0, 0, 1, 1, 0, 0]);
});
