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
