/**
 * Loading: the configuration file a command works on, and the words when it is not right.
 *
 * rule   problems go to stderr, one a line, as `file:line:column: what is wrong. hint`, so that editors
 *        can jump to them
 */
import type { Loaded, LoadOptions } from "../app/load-config.ts";
import type { Config, Problem } from "../config/config.ts";
import type { Arguments } from "./arguments.ts";
import { EXIT_USAGE } from "./command.ts";
import type { Terminal } from "./terminal.ts";

/** Reads the file named by `--config`, or the default one. */
export async function loadNamed(args: Arguments, terminal: Terminal): Promise<Loaded> {
  const { loadConfig } = await import("../app/load-config.ts");
  return loadConfig(args.text("config"), loadOptions(terminal));
}

export function loadOptions(terminal: Terminal): LoadOptions {
  return { env: terminal.env, cores: navigator.hardwareConcurrency };
}

/** The checked configuration, or the exit code after the problems have been printed. */
export async function loadOrPrint(args: Arguments, terminal: Terminal): Promise<Config | number> {
  const { config, problems } = await loadNamed(args, terminal);
  await printProblems(problems, terminal);
  return config ?? EXIT_USAGE;
}

export async function printProblems(problems: readonly Problem[], terminal: Terminal): Promise<void> {
  if (problems.length === 0) return;
  const { formatProblem } = await import("../config/problem.ts");
  for (const problem of problems) {
    const paint = problem.severity === "error" ? terminal.paintErr.bad : terminal.paintErr.warn;
    terminal.err(paint(formatProblem(problem)));
  }
}

export function countText(count: number, one: string): string {
  return `${count} ${one}${count === 1 ? "" : "s"}`;
}
