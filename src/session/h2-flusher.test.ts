import { expect, test } from "bun:test";
import { flushSoon } from "./h2-flusher.ts";

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

test("whoever asks in a turn is flushed at its end, in order; who asks while that goes on, at the end of the next", async () => {
  const flushed: string[] = [];
  const eager = {
    flush(): void {
      flushed.push("eager");
      if (flushed.length < 4) flushSoon(eager);
    },
  };
  flushSoon(eager);
  flushSoon({ flush: () => void flushed.push("other") });
  expect(flushed).toEqual([]);
  await nextTurn();
  expect(flushed).toEqual(["eager", "other"]);
  await nextTurn();
  expect(flushed).toEqual(["eager", "other", "eager"]);
  await nextTurn();
  await nextTurn();
  expect(flushed).toEqual(["eager", "other", "eager", "eager"]);
});
