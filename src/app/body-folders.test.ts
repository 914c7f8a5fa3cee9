import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { boardIn, createBodyFolder, isOwned, ownBodyFolder, removeBodyFolder } from "./body-folders.ts";

const made: string[] = [];
afterAll(() => {
  for (const folder of made) removeBodyFolder(folder);
});

function keep(folder: string): string {
  made.push(folder);
  return folder;
}

test("a folder is owned by who made it, or took it over, and goes with all that is in it", () => {
  const folder = createBodyFolder(undefined);
  expect([isOwned(folder), statSync(folder).mode & 0o777]).toEqual([true, 0o700]);
  ownBodyFolder(folder);
  writeFileSync(join(folder, "bodies", "x"), "x");
  removeBodyFolder(folder);
  expect(existsSync(folder)).toBe(false);
});

test("workers of another user own what they write, and not the folder that control writes to", () => {
  if (process.getuid?.() !== 0) return;
  const folder = keep(createBodyFolder({ name: "w", uid: 12_345, gid: 54_321, groups: [] }));
  const { uid, mode } = statSync(folder);
  expect([uid, mode & 0o777]).toEqual([0, 0o711]);
  const uids = [join(folder, "bodies"), join(folder, "parts"), boardIn(folder)].map(
    (path) => statSync(path).uid,
  );
  expect(uids).toEqual([12_345, 12_345, 12_345]);
  const { uid: owner, mode: ownerMode } = statSync(join(folder, "owner"));
  expect([owner, ownerMode & 0o777]).toEqual([0, 0o644]);
});

test("a folder of nobody is swept away by the next; one whose owner cannot be read stops nobody", async () => {
  const odd = keep(`/dev/shm/weir-bodies-${crypto.randomUUID()}`);
  mkdirSync(odd);
  expect(await Bun.spawn(["mkfifo", join(odd, "owner")]).exited).toBe(0);
  const unowned = keep(`/dev/shm/weir-bodies-${crypto.randomUUID()}`);
  mkdirSync(unowned);
  const child = Bun.spawn([process.execPath, "-e", ""]);
  await child.exited;
  writeFileSync(join(unowned, "owner"), `${child.pid}`);
  const folder = keep(createBodyFolder(undefined));
  const deadline = performance.now() + 5000;
  while (existsSync(unowned) && performance.now() < deadline) await Bun.sleep(5);
  expect(existsSync(unowned)).toBe(false);
  expect(readFileSync(join(folder, "owner"), "latin1")).toBe(`${process.pid}`);
});
