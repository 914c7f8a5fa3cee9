import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatProblem } from "../config/problem.ts";
import { redactConfig } from "../config/redact.ts";
import { MAX_WORKERS } from "../zone/zone.ts";
import { checkText, loadConfig } from "./load-config.ts";
import { runScript } from "./run-script.ts";

let folder = "";
const { PATH = "" } = process.env;
const OPTIONS = { env: { PATH, PORT: "8123" }, cores: 3 };

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "weir-load-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

async function linesOf(file: string): Promise<string[]> {
  const { problems } = await loadConfig(file, OPTIONS);
  return problems.map(formatProblem).map((line) => line.replaceAll(`${folder}/`, ""));
}

describe("a YAML file", () => {
  test("is checked with its own folder for relative paths", async () => {
    mkdirSync(join(folder, "public"));
    const file = write(
      "files.yaml",
      'listeners: { web: { bind: ":80" } }\nroutes: [ { files: { root: public } } ]\n',
    );
    const { config, problems } = await loadConfig(file, OPTIONS);
    expect(problems).toEqual([]);
    expect(config?.routes[0]?.action).toMatchObject({ kind: "files", root: join(folder, "public") });
    expect(config?.server.workers).toBe(3);
  });

  test("asks for one worker a core, but for no more than two generations have room for", () => {
    const yaml = 'listeners: { web: { bind: ":80" } }\nroutes: [ { respond: { status: 204 } } ]\n';
    const { config } = checkText(yaml, "big.yaml", { ...OPTIONS, cores: 192 });
    expect(config?.server.workers).toBe(MAX_WORKERS / 2);
  });

  test("that does not exist, is a folder, or is not UTF-8 is a problem", async () => {
    expect(await linesOf(join(folder, "none.yaml"))).toEqual([
      "none.yaml: the file cannot be read: it does not exist. Check the path and its rights.",
    ]);
    mkdirSync(join(folder, "folder.yaml"));
    expect((await linesOf(join(folder, "folder.yaml")))[0]).toContain("it is a folder");
    writeFileSync(join(folder, "latin.yaml"), Buffer.from([0x61, 0x3a, 0xff]));
    expect((await linesOf(join(folder, "latin.yaml")))[0]).toContain("it is not UTF-8 text");
  });

  test("nested without end is a problem, not a crash", () => {
    for (const text of [
      "[".repeat(50_000),
      "{a: ".repeat(50_000),
      `a: ${"[".repeat(200)}${"]".repeat(200)}`,
    ]) {
      const { config, problems } = checkText(text, "deep.yaml", OPTIONS);
      expect(config).toBeUndefined();
      expect(problems.length).toBeGreaterThan(0);
    }
  });

  test("with ten thousand routes is read in reasonable time", () => {
    const routes = Array.from(
      { length: 10_000 },
      (_, at) => `  - { match: { host: h${at}.test }, to: app }\n`,
    ).join("");
    const text = `listeners: { web: { bind: ":80" } }\nroutes:\n${routes}upstreams: { app: "127.0.0.1:1" }\n`;
    const started = performance.now();
    expect(checkText(text, "many.yaml", OPTIONS).config?.routes.length).toBe(10_000);
    expect(performance.now() - started).toBeLessThan(8000);
  });
});

describe("a weir.config.ts", () => {
  const SOUND = `import { defineConfig } from "weir";
import { port } from "./port.ts";
console.log("output of the file does not disturb");
export default defineConfig({
  listeners: { web: { bind: \`127.0.0.1:\${port}\` } },
  routes: [{ to: "127.0.0.1:\${PORT}" }],
});
`;

  test("is evaluated afresh on each load, with what it imports", async () => {
    const file = write("weir.config.ts", SOUND);
    for (const port of [8001, 8002]) {
      write("port.ts", `export const port = ${port};\n`);
      const { config, problems } = await loadConfig(file, OPTIONS);
      expect(problems).toEqual([]);
      expect(config?.listeners[0]?.bind).toEqual([{ kind: "tcp", host: "127.0.0.1", port }]);
      expect(config?.upstreams[0]?.name).toBe("127.0.0.1:8123");
    }
  });

  const REFUSED: readonly (readonly [name: string, text: string, lines: readonly string[]])[] = [
    [
      "a mistake is named with its key path and place",
      'export default {\n  listeners: { web: { bind: ":80" } },\n  routes: [{ to: "ap" }],\n  upstreams: { app: "127.0.0.1:1" },\n};\n',
      ['wrong.config.ts:3:14: routes[0].to: there is no upstream "ap". Did you mean `app`?'],
    ],
    [
      "a mistake that the text does not show has its key path",
      'const routes = [{ to: "127.0.0.1:1", nme: "x" }];\nexport default Object.freeze({ listeners: { web: { bind: ":80" } }, routes });\n',
      ['wrong.config.ts: routes[0].nme: unknown key "nme". Did you mean `name`?'],
    ],
    [
      "an exception has its place",
      'const x = 1;\nthrow new Error("boom");\n',
      ["wrong.config.ts:2:11: boom."],
    ],
    [
      "a syntax error has its place",
      "export default {\n  a: ,\n};\n",
      ["wrong.config.ts:2:6: Unexpected ,."],
    ],
    [
      "a default export is needed",
      "export const a = 1;\n",
      ["wrong.config.ts: the file has no default export: write `export default defineConfig({ … })`."],
    ],
    [
      "only plain data is taken",
      "export default { routes: [{ to: () => 1 }] };\n",
      ["wrong.config.ts: `routes[0].to` is not plain data: a function."],
    ],
    [
      "leaving early is a problem",
      "process.exit(0);\n",
      ["wrong.config.ts: the file ended without a configuration."],
    ],
  ];

  test.each(REFUSED)("%s", async (_, text, lines) => {
    expect(await linesOf(write("wrong.config.ts", text))).toEqual([...lines]);
  });

  test("that imports what is not there is a problem that names both", async () => {
    const [line = ""] = await linesOf(write("lost.config.ts", 'import "./nope.ts";\nexport default {};\n'));
    expect(line).toStartWith("lost.config.ts");
    expect(line).toContain("./nope.ts");
  });

  test("that hangs or floods is killed at its bound", async () => {
    const limits = { timeoutMs: 1500, maxOutputBytes: 1_000_000 };
    const hang = write("hang.config.ts", "for (;;) {}\n");
    expect(JSON.stringify(await runScript(hang, OPTIONS.env, limits))).toContain(
      "did not finish in 1.5 seconds",
    );
    const flood = write("flood.config.ts", 'for (;;) process.stdout.write("x".repeat(65536));\n');
    const answer = JSON.stringify(await runScript(flood, OPTIONS.env, { ...limits, timeoutMs: 8000 }));
    expect(answer).toContain("prints more than 1000000 bytes");
  });
});

describe("a secret", () => {
  const text = `listeners: { web: { bind: ":80" } }
routes: [ { to: "127.0.0.1:1", headers: { request: { set: { Authorization: "Bearer hush-1", X-Env: prod } } } } ]
admin: { token: hush-2 }
`;

  test("is not in a redacted configuration, and everything else is", () => {
    const { config } = checkText(text, "weir.yaml", OPTIONS);
    if (config === undefined) throw new Error("the configuration is sound");
    expect(JSON.stringify(config)).toContain("hush-2");
    const shown = redactConfig(config);
    expect(JSON.stringify(shown)).not.toContain("hush");
    expect(shown.routes[0]?.requestHeaders.set).toEqual([
      ["Authorization", "[hidden]"],
      ["X-Env", "prod"],
    ]);
    expect(shown.listeners).toEqual(config.listeners);
    expect(config.admin?.token).toBe("hush-2");
  });

  test("in a file without rights is a problem that shows only the path", async () => {
    if (process.getuid?.() === 0) return;
    chmodSync(write("token.txt", "hush-3"), 0);
    const file = write("locked.yaml", text.replace("hush-2", "{ file: token.txt }"));
    expect((await linesOf(file))[0]).toContain('"token.txt" cannot be read: no permission');
  });
});
