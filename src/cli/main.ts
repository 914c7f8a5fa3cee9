/**
 * Main: the first word decides which command reads the rest.
 *
 * why    every command is one file and one row here; no word means: run the file of this folder, or show
 *        the demo when there is none
 * out    exit code 0 fine, 1 failed while running, 2 wrong use or invalid configuration
 */
import "./runtime-version.ts";
import { existsSync } from "node:fs";
import { DEFAULT_FILES } from "../app/default-files.ts";
import { parseArguments, type UsageError, usageError } from "./arguments.ts";
import { cacheCommand } from "./cache.ts";
import { checkCommand } from "./check.ts";
import { type Command, columns, EXIT_FAILED, EXIT_OK, EXIT_USAGE, HELP_OPTION, helpPage } from "./command.ts";
import { demoCommand } from "./demo.ts";
import { eventsCommand } from "./events.ts";
import { explainCommand } from "./explain.ts";
import { proxyCommand } from "./proxy.ts";
import { purgeCommand } from "./purge.ts";
import { reloadCommand } from "./reload.ts";
import { runCommand } from "./run.ts";
import { schemaCommand } from "./schema.ts";
import { drainCommand, maintenanceCommand, upCommand, weightCommand } from "./set-endpoint.ts";
import { statusCommand } from "./status.ts";
import { suggest } from "./suggest.ts";
import { printable, processTerminal, type Terminal } from "./terminal.ts";
import { topCommand } from "./top.ts";
import { versionCommand } from "./version.ts";

export const COMMANDS: readonly Command[] = [
  runCommand,
  proxyCommand,
  demoCommand,
  checkCommand,
  explainCommand,
  reloadCommand,
  statusCommand,
  topCommand,
  eventsCommand,
  drainCommand,
  maintenanceCommand,
  upCommand,
  weightCommand,
  purgeCommand,
  cacheCommand,
  schemaCommand,
  versionCommand,
];

/** Words whose meaning is fixed and whose work is still to be done. */
const PLANNED = ["versions", "diff", "rollback"];

/** Runs what `argv` asks for (without program names). out  the exit code */
export async function main(argv: readonly string[], terminal: Terminal): Promise<number> {
  const [word, ...rest] = argv;
  if (word === undefined) return runCommandLine(hasDefaultFile() ? runCommand : demoCommand, [], terminal);
  if (word === "--help" || word === "-h" || word === "help") return help(rest[0], terminal);
  if (word === "--version" || word === "-v" || word === "-V")
    return runCommandLine(versionCommand, rest, terminal);
  const command = COMMANDS.find((each) => each.name === word);
  if (command !== undefined) return runCommandLine(command, rest, terminal);
  if (PLANNED.includes(word)) {
    terminal.err(`weir ${word} is not supported yet`);
    return EXIT_USAGE;
  }
  return complain("weir", unknownWord(word), terminal);
}

function hasDefaultFile(): boolean {
  return DEFAULT_FILES.some((file) => existsSync(file));
}

async function runCommandLine(
  command: Command,
  words: readonly string[],
  terminal: Terminal,
): Promise<number> {
  const args = parseArguments(words, [...command.options, HELP_OPTION], command.operands);
  // a person who asks for help has perhaps not got the rest right yet
  if (isHelpAsked(words)) {
    terminal.out(helpPage(command, terminal));
    return EXIT_OK;
  }
  if (args.kind === "usage_error") return complain(`weir ${command.name}`, args, terminal);
  const result = await command.run(args, terminal);
  return typeof result === "number" ? result : complain(`weir ${command.name}`, result, terminal);
}

function isHelpAsked(words: readonly string[]): boolean {
  const end = words.indexOf("--");
  return (end === -1 ? words : words.slice(0, end)).some((word) => word === "--help" || word === "-h");
}

function complain(command: string, error: UsageError, terminal: Terminal): number {
  terminal.err(`${terminal.paintErr.bad(command)}: ${printable(error.message)}`);
  terminal.err(`Try: ${command} --help`);
  return EXIT_USAGE;
}

function unknownWord(word: string): UsageError {
  if (word.startsWith("-"))
    return usageError(`unknown option ${word}; options follow a command, as in: weir run -c FILE`);
  if (/\.(ya?ml|json|ts)$/.test(word))
    return usageError(`unknown command "${word}"; did you mean: weir run -c ${word}`);
  const near = suggest(word, [...COMMANDS.map((command) => command.name), ...PLANNED, "help"]);
  return usageError(`unknown command "${word}"${near === undefined ? "" : `; did you mean "${near}"?`}`);
}

function help(word: string | undefined, terminal: Terminal): number {
  if (word === undefined) {
    terminal.out(overview(terminal));
    return EXIT_OK;
  }
  const command = COMMANDS.find((each) => each.name === word);
  if (command === undefined) return complain("weir", unknownWord(word), terminal);
  terminal.out(helpPage(command, terminal));
  return EXIT_OK;
}

function overview(terminal: Terminal): string {
  const { strong, dim } = terminal.paint;
  return [
    `${strong("weir")}: a reverse proxy. One line to start, one file to configure, nothing lost.`,
    `${strong("Usage")}\n  weir [COMMAND] [OPTIONS]\n  ${dim("without a command: runs ./weir.yaml or ./weir.config.ts; a demo when there is none")}`,
    `${strong("Commands")}\n${columns(COMMANDS.map((command) => [command.name, command.summary]))}`,
    `${strong("Not yet")}\n  ${PLANNED.join(", ")}`,
    `${strong("Exit codes")}\n  0 fine · 1 failed while running · 2 wrong use or invalid configuration`,
    "weir COMMAND --help says more.",
  ].join("\n\n");
}

if (import.meta.main) {
  const terminal = processTerminal();
  try {
    process.exitCode = await main(process.argv.slice(2), terminal);
  } catch (error) {
    terminal.err(`weir: a defect in this program: ${error instanceof Error ? error.stack : String(error)}`);
    process.exitCode = EXIT_FAILED;
  }
}
