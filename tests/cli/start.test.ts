/**
 * How `weir` finds itself and its runtime, wherever it was installed and from wherever it is called.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import program from "../../package.json" with { type: "json" };
import { versionProblem } from "../../src/cli/runtime-version.ts";
import { ROOT, WEIR, weir } from "./program.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "weir-start-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A package as npm lays it out: `NAME/node_modules/weir`, with whatever Bun stands beside it. */
function install(name: string, bun: "hoisted" | "own" | "placeholder" | "none"): string {
  const modules = join(folder, name, "node_modules");
  const home = join(modules, "weir");
  mkdirSync(join(home, "bin"), { recursive: true });
  mkdirSync(join(modules, ".bin"));
  copyFileSync(WEIR, join(home, "bin/weir"));
  symlinkSync(join(ROOT, "src"), join(home, "src"));
  symlinkSync("../weir/bin/weir", join(modules, ".bin/weir"));
  const bunHome = bun === "own" ? join(home, "node_modules") : modules;
  if (bun === "hoisted" || bun === "own") {
    mkdirSync(bunHome, { recursive: true });
    symlinkSync(join(ROOT, "node_modules/bun"), join(bunHome, "bun"));
  }
  if (bun === "placeholder") {
    mkdirSync(join(modules, "bun/bin"), { recursive: true });
    writeFileSync(join(modules, "bun/bin/bun.exe"), "not yet\n");
  }
  return join(modules, ".bin/weir");
}

/** A PATH with the few tools that the start script needs, and no Bun. */
function barePath(): string {
  const path = mkdtempSync(join(folder, "tools-"));
  for (const tool of ["sh", "readlink", "dirname", "wc"]) {
    const place = Bun.which(tool);
    if (place === null) throw new Error(`${tool} is missing`);
    symlinkSync(place, join(path, tool));
  }
  return path;
}

const version = new RegExp(`^weir ${program.version.replaceAll(".", "\\.")} \\(bun `);

describe("the program and its Bun are found", () => {
  test("from a checkout, called from any folder", async () => {
    expect(await weir(["version"], { cwd: "/" })).toMatchObject({
      code: 0,
      out: expect.stringMatching(version),
    });
  });

  test("through symlinks to symlinks, relative and absolute", async () => {
    symlinkSync(WEIR, join(folder, "one"));
    symlinkSync("one", join(folder, "two"));
    const run = await weir(["version"], { program: join(folder, "two"), cwd: folder });
    expect(run).toMatchObject({ code: 0, out: expect.stringMatching(version) });
  });

  test.each(["hoisted", "own"] as const)("from an installed package with a %s Bun", async (bun) => {
    const run = await weir(["version"], { program: install(`has ${bun}`, bun) });
    expect(run).toMatchObject({ code: 0, err: "", out: expect.stringMatching(version) });
  });
});

describe("a missing Bun is said, with what to do", () => {
  test("none at all", async () => {
    const run = await weir(["version"], { program: install("none", "none"), env: { PATH: barePath() } });
    expect(run).toMatchObject({ code: 1, out: "", err: expect.stringContaining('Run "npm ci"') });
  });

  test("installed without its install script", async () => {
    const run = await weir(["version"], { program: install("half", "placeholder") });
    expect(run).toMatchObject({ code: 1, out: "", err: expect.stringContaining("npm rebuild bun") });
  });
});

test("a Bun on the PATH will do when no other is there", async () => {
  const path = barePath();
  symlinkSync(process.execPath, join(path, "bun"));
  const run = await weir(["version"], { program: install("path", "none"), env: { PATH: path } });
  expect(run).toMatchObject({ code: 0, out: expect.stringMatching(version) });
});

test.each([
  ["1.3.9", true],
  ["1.4.4", true],
  ["1.4.5", false],
  ["1.5.0", false],
  ["2.0.0", false],
])("Bun %s is too old: %p", (bun, isTooOld) => {
  expect(versionProblem(bun) !== undefined).toBe(isTooOld);
});

test("nothing in the folder where it is called changes what runs: no .env, no preload of bunfig.toml", async () => {
  const cwd = join(folder, "trap");
  mkdirSync(cwd);
  writeFileSync(join(cwd, "bunfig.toml"), 'preload = ["./trap.ts"]\n');
  writeFileSync(join(cwd, "trap.ts"), 'console.log("trapped");\n');
  writeFileSync(join(cwd, ".env"), "FORCE_TRAP=1\n");
  const run = await weir(["version"], { cwd });
  expect(run).toMatchObject({ code: 0, out: expect.stringMatching(version) });
});
