import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../../tests/support/eventually.ts";
import { watchFile } from "./watch-file.ts";

const folder = mkdtempSync(join(tmpdir(), "weir-watch-"));
const path = join(folder, "weir.yaml");
let stop = () => {};
afterEach(() => stop());
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

test("a file written in place and one moved over it both count as changed, once each", async () => {
  let changes = 0;
  writeFileSync(path, "one");
  stop = watchFile(path, () => changes++);
  writeFileSync(path, "two!");
  await eventually(() => changes === 1, 5000, "the first change");
  writeFileSync(`${path}.new`, "three");
  renameSync(`${path}.new`, path);
  await eventually(() => changes === 2, 5000, "the second change");
});

test("a file that goes away and comes back changed is told when it is back", async () => {
  let changes = 0;
  writeFileSync(path, "here");
  stop = watchFile(path, () => changes++);
  rmSync(path);
  await Bun.sleep(1200); // two looks: it must not be told meanwhile
  expect(changes).toBe(0);
  writeFileSync(path, "here again");
  await eventually(() => changes === 1, 5000, "the change");
});
