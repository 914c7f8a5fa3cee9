/**
 * Command: what every word after `weir` is made of, and how its help is printed.
 *
 * why    a command states its options as rows; parser, help and tests read the same rows
 */
import type { Arguments, OperandRule, OptionRow, UsageError } from "./arguments.ts";
import type { Terminal } from "./terminal.ts";

/** Exit codes, the only ones there are. */
export const EXIT_OK = 0;
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;

export interface Command {
  readonly name: string;
  /** One line, for the list of commands. */
  readonly summary: string;
  /** How it is typed, without the `weir NAME`. */
  readonly usage: string;
  readonly operands: OperandRule;
  readonly options: readonly OptionRow[];
  /** A few lines on what it does; "" when the summary says it all. */
  readonly about: string;
  readonly examples: readonly (readonly [line: string, meaning: string])[];
  /** out  an exit code, or a mistake in the way it was called */
  run(args: Arguments, terminal: Terminal): Promise<number | UsageError>;
}

export const NO_OPERANDS: OperandRule = { names: [], min: 0, max: 0 };

export const CONFIG_OPTION: OptionRow = {
  name: "config",
  short: "c",
  value: "FILE",
  help: "configuration file (default: ./weir.yaml, .yml or .json, or ./weir.config.ts)",
};
export const JSON_OPTION: OptionRow = { name: "json", help: "print JSON, for programs" };
export const HELP_OPTION: OptionRow = { name: "help", short: "h", help: "print this page" };

/** The help page of one command. */
export function helpPage(command: Command, terminal: Terminal): string {
  const { strong, dim } = terminal.paint;
  const options = [...command.options, HELP_OPTION];
  const parts = [`${strong(`weir ${command.name}`)}: ${command.summary}`];
  parts.push(`${strong("Usage")}\n  weir ${command.name}${command.usage === "" ? "" : ` ${command.usage}`}`);
  if (command.about !== "") parts.push(indent(command.about));
  parts.push(`${strong("Options")}\n${columns(options.map((row) => [optionSyntax(row), row.help]))}`);
  if (command.examples.length > 0) {
    const lines = command.examples.map(([line, meaning]) => `  ${line}\n      ${dim(meaning)}`);
    parts.push(`${strong("Examples")}\n${lines.join("\n")}`);
  }
  return parts.join("\n\n");
}

function optionSyntax(row: OptionRow): string {
  const short = row.short === undefined ? "    " : `-${row.short}, `;
  return `${short}--${row.name}${row.value === undefined ? "" : ` ${row.value}`}`;
}

function indent(text: string, by = "  "): string {
  return text
    .split("\n")
    .map((line) => (line === "" ? "" : by + line))
    .join("\n");
}

/** Two columns, the second one aligned. */
export function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(0, ...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`.trimEnd()).join("\n");
}
