import { expect, test } from "bun:test";
import { Stage } from "../../tests/acme/stage.ts";

test("a configuration that is only read takes no certificate away: it may yet be refused", async () => {
  const stage = await Stage.open();
  try {
    const keeper = stage.keeper();
    const names = (...list: string[]) => stage.config({ authorities: [], names: list });
    keeper.keep(names("a.example.com", "b.example.com"));
    keeper.read(names("b.example.com", "c.example.com"));
    const wanted = ["a.example.com", "b.example.com", "c.example.com"];
    expect(wanted.filter((name) => stage.offer(name) !== undefined)).toEqual(wanted);
    keeper.keep(names("b.example.com", "c.example.com"));
    expect(stage.offer("a.example.com")).toBeUndefined();
  } finally {
    await stage.close();
  }
});

test("a keeper that was stopped keeps nothing any more: a reload may end after the stop", async () => {
  const stage = await Stage.open();
  try {
    const keeper = stage.keeper();
    keeper.stop();
    keeper.keep(stage.config({ names: ["a.example.com"] }));
    expect(stage.offers.size).toBe(0);
  } finally {
    await stage.close();
  }
});
