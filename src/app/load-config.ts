/**
 * Load: from a file on disk to a checked configuration, or every problem with its place.
 *
 * in     a path, or nothing: then ./weir.yaml, ./weir.yml, ./weir.config.ts, ./weir.json, the first there is
 * out    never throws for what a person wrote: everything wrong is a Problem
 * note   loads yaml and the option rows: for the control process and the command line, never for a worker
 */
import { readFileSync, statSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import type { CheckFacts } from "../config/check/facts.ts";
import { checkConfig } from "../config/check.ts";
import type { Config, Problem } from "../config/config.ts";
import type { Environment } from "../config/environment.ts";
import { locateInScript } from "../config/locate.ts";
import { parseYaml } from "../config/parse.ts";
import { errorWithoutLine, type Path, type Position, type Source } from "../config/problem.ts";
import { DEFAULT_FILES } from "./default-files.ts";
import { runScript } from "./run-script.ts";

/** Far beyond ten thousand routes. */
const MAX_FILE_BYTES = 32 * 1024 * 1024;
const MAX_SECRET_BYTES = 64 * 1024;

export interface LoadOptions {
  readonly env: Environment;
  readonly cores: number;
}

export interface TextOptions extends LoadOptions {
  /** Where relative paths begin; the current folder when left out. */
  readonly folder?: string;
}

export interface Loaded {
  readonly config?: Config;
  /** Where the running program is to be asked, known even when the file has problems elsewhere. */
  readonly admin?: Config["admin"];
  readonly problems: Problem[];
  /** As given, or the default file that was found. */
  readonly file: string;
  /** Where a key is written, for problems that are found after the check. */
  readonly locate?: (path: Path) => Position;
}

export async function loadConfig(path: string | undefined, options: LoadOptions): Promise<Loaded> {
  const file = path ?? DEFAULT_FILES.find((name) => kindOf(resolve(name)) === "file");
  if (file === undefined) {
    const message = `there is no configuration here: looked for ${DEFAULT_FILES.join(", ")}`;
    return refused(DEFAULT_FILES[0], message, "Write one, or name it with -c FILE.");
  }
  const read = readText(resolve(file), MAX_FILE_BYTES);
  if ("error" in read)
    return refused(file, `the file cannot be read: ${read.error}`, "Check the path and its rights.");
  const folder = dirname(resolve(file));
  return isScript(file)
    ? await loadScript(file, read.text, { ...options, folder })
    : checkText(read.text, file, { ...options, folder });
}

/** Checks YAML text that may come from anywhere; `file` is the name that problems carry. */
export function checkText(text: string, file: string, options: TextOptions): Loaded {
  const { source, problems } = parseYaml(text, file);
  return source === undefined ? { problems: [...problems], file } : checkSource(source, options);
}

async function loadScript(file: string, text: string, options: TextOptions): Promise<Loaded> {
  const evaluation = await runScript(resolve(file), options.env);
  if (evaluation.kind === "failed") {
    const problems = evaluation.errors.map(({ message, line, column, file: place }): Problem => {
      const shown = place === resolve(file) ? file : place;
      return { file: shown, line, column, path: "", message, hint: undefined, severity: "error" };
    });
    return { problems, file };
  }
  const locate = locateInScript(text);
  return checkSource({ file, value: evaluation.value, locate, written: () => undefined }, options);
}

function checkSource(source: Source, options: TextOptions): Loaded {
  const facts: CheckFacts = {
    env: options.env,
    cores: options.cores,
    folder: resolve(options.folder ?? "."),
    kindOf,
    readText: (path) => readText(path, MAX_SECRET_BYTES),
  };
  const { config, admin, problems } = checkConfig(source, facts);
  return {
    ...(config === undefined ? {} : { config }),
    ...(admin === undefined ? {} : { admin }),
    problems: [...problems],
    file: source.file,
    locate: (path) => source.locate(path, "value"),
  };
}

function isScript(file: string): boolean {
  return /\.[cm]?[jt]s$/.test(basename(file));
}

function refused(file: string, message: string, hint: string): Loaded {
  return { problems: [errorWithoutLine(file, "", message, hint)], file };
}

function kindOf(path: string): "file" | "folder" | "other" | "missing" {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) return "missing";
    if (found.isFile()) return "file";
    return found.isDirectory() ? "folder" : "other";
  } catch {
    return "missing"; // a path through a file, or through a folder we may not enter
  }
}

const WORDS_BY_CODE: Readonly<Record<string, string>> = {
  ENOENT: "it does not exist",
  EACCES: "no permission",
  EISDIR: "it is a folder",
  ENOTDIR: "a part of the path is not a folder",
};

function readText(path: string, maxBytes: number): { text: string } | { error: string } {
  try {
    const found = statSync(path);
    if (found.isDirectory()) return { error: "it is a folder" };
    if (found.size > maxBytes) return { error: `it is larger than ${maxBytes} bytes` };
    const text = new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path));
    return text.length > maxBytes ? { error: `it is larger than ${maxBytes} bytes` } : { text };
  } catch (error) {
    const { code = "" } = error as { code?: string };
    return { error: WORDS_BY_CODE[code] ?? (error instanceof TypeError ? "it is not UTF-8 text" : code) };
  }
}
