/**
 * `weir run`: runs a configuration file until a signal ends it.
 */
import { existsSync } from "node:fs";
import { DEFAULT_FILES } from "../app/default-files.ts";
import { CONFIG_OPTION, type Command, NO_OPERANDS } from "./command.ts";
import { loadNamed } from "./loading.ts";
import { runWeir } from "./running.ts";

export const runCommand: Command = {
  name: "run",
  summary: "run a configuration file",
  usage: "[-c FILE] [--watch]",
  operands: NO_OPERANDS,
  options: [CONFIG_OPTION, { name: "watch", short: "w", help: "reload when the file changes" }],
  about:
    "SIGHUP reloads, SIGTERM and SIGINT finish what is in flight and leave, SIGUSR1 reopens log files,\n" +
    "SIGUSR2 replaces the running program by the one on disk. No connection is dropped by any of them.",
  examples: [
    ["weir run", "runs ./weir.yaml"],
    ["weir run -c /etc/weir/weir.yaml", "runs that file"],
    ["weir run --watch", "while writing a configuration: a good change is taken over, a bad one explained"],
  ],
  run(args, terminal) {
    const file = args.text("config") ?? DEFAULT_FILES.find((name) => existsSync(name));
    const watchFile = args.has("watch") ? file : undefined;
    return runWeir({ load: () => loadNamed(args, terminal), watchFile });
  },
};
