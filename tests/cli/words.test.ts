/**
 * What `weir` answers to right and wrong words, as a person at a terminal sees it.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { COMMANDS, main } from "../../src/cli/main.ts";
import { keptTerminal } from "./kept-terminal.ts";
import { weir } from "./program.ts";

const empty = mkdtempSync(join(tmpdir(), "weir-words-"));
afterAll(() => rmSync(empty, { recursive: true }));

async function say(...words: string[]) {
  const terminal = keptTerminal();
  const code = await main(words, terminal);
  return { code, out: terminal.lines.out.join("\n"), err: terminal.lines.err.join("\n") };
}

describe("wrong use ends with 2 and says what was probably meant", () => {
  test.each([
    [["chekc"], 'did you mean "check"?'],
    [["rollbak"], 'did you mean "rollback"?'],
    [["weir.yaml"], "did you mean: weir run -c weir.yaml"],
    [["-c", "weir.yaml"], "options follow a command"],
    [["check", "--jsno"], "did you mean --json?"],
    [["run", "weir.yaml"], 'unexpected argument "weir.yaml"; did you mean -c weir.yaml?'],
    [["proxy", "--to", "3000"], "did you mean :3000?"],
    [["explain", "GET"], "URL is missing"],
    [["proxy"], "--to is missing"],
    [["proxy", "--to", "nowhere"], "--to nowhere is not an address"],
    [["proxy", "--to", ":1", "--listen", "https://:443"], "TLS needs a certificate"],
    [["proxy", "--to", ":3000", "--listen", "x"], "--listen x is not an address"],
    [["status", "--admin", "nowhere"], "--admin nowhere is not an address"],
    [["drian", "app", ":1"], 'did you mean "drain"?'],
    [["drain", "app"], 'ENDPOINT is missing after "app"'],
    [["drain", "app", ":1", "--wait", "soon"], "--wait soon is not a time"],
    [["up", "app", ":1", "--wait", "1s"], "unknown option --wait"],
    [["weight", "app", ":1", "much"], "weight much is not a whole number from 0 to 1000"],
    [["weight", "app", ":1", "1001"], "weight 1001 is not a whole number"],
    [["help", "chekc"], 'did you mean "check"?'],
  ])("weir %p", async (words, meaning) => {
    const said = await say(...words);
    expect(said).toMatchObject({ code: 2, out: "" });
    expect(said.err).toContain(meaning);
    expect(said.err).toContain("Try: weir");
  });

  test("control characters of a wrong word do not reach the terminal", async () => {
    expect((await say("\x1b[2J")).err).not.toContain("\x1b");
  });
});

test.each(["versions", "diff", "rollback"])("weir %s is a known word, not supported yet", async (word) => {
  expect(await say(word)).toEqual({ code: 2, out: "", err: `weir ${word} is not supported yet` });
});

describe("help", () => {
  test.each(COMMANDS.map((command) => command.name))(
    "of %s fits a screen and shows an example",
    async (name) => {
      const { code, out } = await say(name, "--help");
      expect(code).toBe(0);
      expect(out).toStartWith(`weir ${name}: `);
      expect(out).toContain("Examples\n  ");
      expect(out.split("\n").length).toBeLessThanOrEqual(40);
      expect(Math.max(...out.split("\n").map((line) => line.length))).toBeLessThanOrEqual(108);
      expect(await say("help", name)).toMatchObject({ code: 0, out });
    },
  );

  test("wins over whatever else is wrong with the words", async () => {
    expect(await say("explain", "--nonsense", "-h")).toMatchObject({ code: 0, err: "" });
  });

  test("after -- is an operand", async () => {
    expect(await say("run", "--", "--help")).toMatchObject({ code: 2 });
  });

  test("of the program names every command", async () => {
    const { code, out } = await say("--help");
    expect(code).toBe(0);
    for (const { name } of COMMANDS) expect(out).toContain(`\n  ${name} `);
  });
});

test("option names and letters are never given to two options of one command", () => {
  for (const { options } of COMMANDS) {
    const words = options.flatMap((row) => (row.short === undefined ? [row.name] : [row.name, row.short]));
    expect(words).toEqual([...new Set(words)]);
    expect(words).not.toContain("h");
  }
});

describe("version", () => {
  test("says program, runtime and machine", async () => {
    const { out } = await say("version", "--json");
    expect(JSON.parse(out)).toMatchObject({
      bun: Bun.version,
      platform: process.platform,
      arch: process.arch,
    });
    expect((await say("--version")).out).toBe((await say("version")).out);
  });
});

describe("nothing to talk to", () => {
  test.each(["status", "reload"])("weir %s ends with 1 and says where it looked", async (word) => {
    const said = await say(word, "--admin", "127.0.0.1:1");
    expect(said).toMatchObject({ code: 1, out: "" });
    expect(said.err).toContain("nothing listens at http://127.0.0.1:1");
  });
});

describe("as a program", () => {
  test("exit codes come through", async () => {
    expect((await weir(["version"])).code).toBe(0);
    expect((await weir(["chekc"])).code).toBe(2);
    expect((await weir(["status", "--admin", "127.0.0.1:1"])).code).toBe(1);
  });

  test("no colours in a pipe", async () => {
    const run = await weir(["--help"]);
    expect(run.out).toContain("Commands");
    expect(run.out).not.toContain("\x1b");
  });
});
