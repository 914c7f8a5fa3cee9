/**
 * `weir version`: the program, its runtime and the machine, as a bug report needs them.
 */
import program from "../../package.json" with { type: "json" };
import { type Command, EXIT_OK, JSON_OPTION, NO_OPERANDS } from "./command.ts";

export const versionCommand: Command = {
  name: "version",
  summary: "print the version of Weir and of its runtime",
  usage: "[--json]",
  operands: NO_OPERANDS,
  options: [JSON_OPTION],
  about: "",
  examples: [["weir version", "weir 0.1.0 (bun 1.4.5, linux x64)"]],
  run(args, terminal) {
    const facts = {
      weir: program.version,
      bun: Bun.version,
      platform: process.platform,
      arch: process.arch,
    };
    if (args.has("json")) terminal.out(JSON.stringify(facts));
    else terminal.out(`weir ${facts.weir} (bun ${facts.bun}, ${facts.platform} ${facts.arch})`);
    return Promise.resolve(EXIT_OK);
  },
};
