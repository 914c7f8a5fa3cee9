import { expect, test } from "bun:test";
import { PurgeRequests } from "./purge-requests.ts";

const ALL = { kind: "all" } as const;

test("each answer goes to who asked, whatever the order", async () => {
  const sent: number[] = [];
  const requests = new PurgeRequests(({ number }) => sent.push(number));
  const first = requests.ask(ALL, false, "10.0.0.1");
  const second = requests.ask(ALL, true, "10.0.0.2");
  requests.answered(sent[1] as number, "no room");
  requests.answered(sent[0] as number, undefined);
  expect([await first, await second]).toEqual([undefined, "no room"]);
});

test("more than a thousand do not wait at once", async () => {
  const sent: number[] = [];
  const requests = new PurgeRequests(({ number }) => sent.push(number));
  const waiting = Array.from({ length: 1000 }, () => requests.ask(ALL, false, "10.0.0.1"));
  expect(await requests.ask(ALL, false, "10.0.0.1")).toBe("too many purges are waiting");
  for (const number of sent) requests.answered(number, undefined);
  expect(new Set(await Promise.all(waiting))).toEqual(new Set([undefined]));
});

test("an answer that nobody waits for is forgotten", () => {
  new PurgeRequests(() => {}).answered(7, undefined);
});
