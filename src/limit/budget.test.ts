import { expect, test } from "bun:test";
import { RetryBudget } from "./budget.ts";

const RULES = { share: 0.2, floorPerSec: 1 };

const withdrawAll = (budget: RetryBudget, nowMs: number) => {
  let count = 0;
  while (count < 100_000 && budget.withdraw(nowMs)) count++;
  return count;
};

test("without traffic the floor of the whole window may be taken at once, and no more", () => {
  expect(withdrawAll(new RetryBudget(RULES), 0)).toBe(10);
});

test("with neither share nor floor nothing is retried", () => {
  const budget = new RetryBudget({ share: 0, floorPerSec: 0 });
  budget.deposit(0);
  expect(budget.withdraw(0)).toBe(false);
});

test("of a thousand requests a fifth may be sent again, and the floor", () => {
  const budget = new RetryBudget(RULES);
  for (let request = 0; request < 1000; request++) budget.deposit(request);
  expect(withdrawAll(budget, 1000)).toBe(210);
});

test("what was taken comes back when it is older than the window", () => {
  const budget = new RetryBudget({ share: 0, floorPerSec: 1 });
  expect([withdrawAll(budget, 0), withdrawAll(budget, 8000), withdrawAll(budget, 10_000)]).toEqual([
    10, 0, 10,
  ]);
});

test("a retry that did not take place is given back, and nothing that was not taken", () => {
  const budget = new RetryBudget({ share: 0, floorPerSec: 0.1 });
  expect([budget.withdraw(0), budget.withdraw(0)]).toEqual([true, false]);
  budget.refund(0);
  budget.refund(0);
  expect([budget.left(0), budget.withdraw(0), budget.withdraw(0)]).toEqual([1, true, false]);
});

test("an upstream that fails everything gets at most the share more, however often each request would try", () => {
  const budget = new RetryBudget(RULES);
  const SECONDS = 60;
  const PER_SEC = 1000;
  let sentAgain = 0;
  for (let request = 0; request < SECONDS * PER_SEC; request++) {
    const nowMs = (request * 1000) / PER_SEC;
    budget.deposit(nowMs);
    for (let attempt = 0; attempt < 5 && budget.withdraw(nowMs); attempt++) sentAgain++;
  }
  const share = sentAgain / (SECONDS * PER_SEC);
  expect(share).toBeGreaterThan(0.19);
  expect(share).toBeLessThan(0.21);
});
