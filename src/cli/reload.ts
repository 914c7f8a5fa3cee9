/**
 * `weir reload`: asks the running Weir to read its configuration again, and says what came of it.
 *
 * out    0 applied; 2 refused because of problems in the file, the running one goes on; 1 nobody to ask
 */
import type { ReloadAnswer } from "../admin/status.ts";
import { callAdmin } from "./admin-client.ts";
import { ADMIN_OPTION, findAdmin } from "./admin-target.ts";
import {
  CONFIG_OPTION,
  type Command,
  EXIT_FAILED,
  EXIT_OK,
  EXIT_USAGE,
  JSON_OPTION,
  NO_OPERANDS,
} from "./command.ts";
import { printProblems } from "./loading.ts";
import type { Terminal } from "./terminal.ts";

/** Binding, preparing all workers and the first name look-ups have deadlines of their own below this. */
const RELOAD_TIMEOUT_MS = 60_000;

export const reloadCommand: Command = {
  name: "reload",
  summary: "make the running Weir take over its changed configuration",
  usage: "[-c FILE] [--admin ADDR] [--json]",
  operands: NO_OPERANDS,
  options: [CONFIG_OPTION, ADMIN_OPTION, JSON_OPTION],
  about:
    "The new configuration is applied whole or not at all; no connection is dropped. The running Weir reads\n" +
    "the file it was started with: -c only says where to find its admin listener. SIGHUP does the same.",
  examples: [
    ["weir reload", "asks the Weir whose file is ./weir.yaml"],
    ["weir reload --admin 127.0.0.1:9900", "asks that one; WEIR_ADMIN_TOKEN when it wants a token"],
  ],
  async run(args, terminal) {
    const found = await findAdmin(args, terminal);
    if (found.kind === "usage_error") return found;
    const { loaded } = found;
    // the running one judges: it has its own environment and rights. Only when the file does not even say
    // where to ask is there nobody to ask
    if (loaded !== undefined && loaded.config === undefined && loaded.admin === undefined) {
      await printProblems(loaded.problems, terminal);
      terminal.err("not reloaded: the file has problems, and does not say where to ask");
      return EXIT_USAGE;
    }
    const call = { method: "POST", path: "/api/v1/reload", timeoutMs: RELOAD_TIMEOUT_MS } as const;
    const answer = await callAdmin(found.target, call);
    if (answer.kind === "admin_error") {
      const isFileWrong = loaded !== undefined && loaded.config === undefined;
      if (isFileWrong) await printProblems(loaded.problems, terminal);
      terminal.err(`weir reload: ${answer.message}`);
      return isFileWrong ? EXIT_USAGE : EXIT_FAILED;
    }
    if (!isReloadAnswer(answer.json)) {
      terminal.err(`weir reload: the admin listener answered ${answer.status} and no result`);
      return EXIT_FAILED;
    }
    if (args.has("json")) terminal.out(JSON.stringify(answer.json, null, 2));
    else await printAnswer(answer.json, terminal);
    return answer.json.applied ? EXIT_OK : EXIT_USAGE;
  },
};

function isReloadAnswer(json: unknown): json is ReloadAnswer {
  return typeof json === "object" && json !== null && "applied" in json && "problems" in json;
}

async function printAnswer(answer: ReloadAnswer, terminal: Terminal): Promise<void> {
  await printProblems(answer.problems, terminal);
  if (answer.applied) {
    terminal.out(`${terminal.paint.good("ok")}: configuration ${answer.configVersion} is in force`);
  } else {
    terminal.err(`not reloaded: configuration ${answer.configVersion} goes on`);
  }
}
