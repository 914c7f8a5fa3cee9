import { expect, test } from "bun:test";
import { Turns } from "./turns.ts";

test("whoever comes too many waits, first come, first served; who leaves is passed over", () => {
  const turns = new Turns(2);
  const ran: string[] = [];
  const runs = new Map([..."abcde"].map((name) => [name, () => void ran.push(name)]));
  const runOf = (name: string) => runs.get(name) as () => void;
  for (const name of runs.keys()) turns.take(runOf(name));
  expect([ran.join(""), turns.taken, turns.waiting]).toEqual(["ab", 2, 3]);
  turns.leave(runOf("c"));
  turns.done();
  expect(ran.join("")).toBe("abd");
  turns.done();
  turns.done();
  turns.done();
  expect([ran.join(""), turns.taken, turns.waiting]).toEqual(["abde", 0, 0]);
});
