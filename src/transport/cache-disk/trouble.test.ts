import { expect, test } from "bun:test";
import { Trouble } from "./trouble.ts";

for (const [folder, code, advice] of [
  ["/var/cache/weir", "ENOSPC", "Make cache.disk.size smaller"],
  ["/dev/shm/weir-bodies-1", "ENOSPC", "Make cache.memory smaller"],
  ["/var/cache/weir", "EROFS", "read-only"],
  ["/var/cache/weir", "EXYZ", "EXYZ"],
] as const) {
  test(`${code} below ${folder} is told with what to do`, () => {
    const lines: string[] = [];
    new Trouble(folder, (line) => lines.push(line)).tell("cannot write a body", code, 0);
    expect(lines.length).toBe(1);
    expect(lines[0]).toStartWith(`cache: cannot write a body below ${folder}: `);
    expect(lines[0]).toContain(advice);
  });
}

test("what goes wrong again within a minute is counted, and told with the next line", () => {
  const lines: string[] = [];
  const trouble = new Trouble("/c", (line) => lines.push(line));
  for (const nowMs of [0, 1, 59_999, 60_000]) trouble.tell("cannot write", "EIO", nowMs);
  expect([lines.length, trouble.count]).toEqual([2, 4]);
  expect(lines[1]).toContain("(and 2 more times since the last line)");
});
