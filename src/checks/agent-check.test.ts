import { expect, test } from "bun:test";
import type { Operator } from "../health/board.table.ts";
import { AgentTalk, judgeAgentLine } from "./agent-check.ts";

const ANSWERS: readonly (readonly [line: string, isUp: boolean, wish: Operator, share: number])[] = [
  ["up\n", true, "up", 1],
  ["ready\n", true, "up", 1],
  ["75%\n", true, "up", 0.75],
  ["up 50%\r\n", true, "up", 0.5],
  ["UP, 50%\n", true, "up", 0.5],
  ["200% maxconn:30\n", true, "up", 2],
  ["drain\n", true, "drain", 1],
  ["0%\n", true, "drain", 1],
  ["drain 10%\n", true, "drain", 0.1],
  ["up maint\n", true, "maintenance", 1],
  ["down\n", false, "up", 1],
  ["failed #out of disk\n", false, "up", 1],
  ["stopped\n", false, "up", 1],
  ["fail\n", false, "up", 1],
  ["down drain\n", false, "drain", 1],
  ["up\ndown\n", true, "up", 1],
  ["\n  up\n", true, "up", 1],
  ["99999%\n", true, "up", 256],
];
for (const [line, isUp, wish, share] of ANSWERS) {
  test(`an agent that says ${JSON.stringify(line)} is ${isUp ? "up" : "down"}, wants ${wish} and ${share} of its weight`, () => {
    const outcome = judgeAgentLine(line);
    expect(outcome.agent).toEqual({ isUp, wish, share });
    expect(outcome.isSuccess).toBe(isUp);
  });
}

for (const line of [
  "",
  "\n",
  "hello\n",
  "50\n",
  "50%%\n",
  "HTTP/1.1 400 Bad Request\r\n",
  "maxconn:3\n",
  "# up\n",
]) {
  test(`${JSON.stringify(line)} is no word of an agent's: the check fails and nothing is asked for`, () => {
    const { isSuccess, agent } = judgeAgentLine(line);
    expect([isSuccess, agent]).toEqual([false, undefined]);
  });
}

test("what stands behind # is the reason", () => {
  expect(judgeAgentLine("down # disk full\n").text).toBe('the agent says down ("disk full")');
});

test("a line may come in any cut, and its end ends the talk", () => {
  const talk = new AgentTalk(undefined);
  const heard = [..."drain 10%\nup"].map((letter) => talk.hear(Buffer.from(letter)));
  expect(heard.findIndex((outcome) => outcome !== undefined)).toBe("drain 10%".length);
});

test("a line that never ends is judged by its start", () => {
  const talk = new AgentTalk(undefined);
  expect(talk.hear(Buffer.from(`up ${"x".repeat(4096)}`))?.isSuccess).toBe(true);
});
