/**
 * Command check: a program of the user's own says whether an endpoint is fit: exit code 0 is.
 *
 * in     environment: ours, and WEIR_UPSTREAM, WEIR_ENDPOINT; WEIR_ENDPOINT_HOST and WEIR_ENDPOINT_PORT, or
 *        WEIR_ENDPOINT_SOCKET
 * rule   it runs as the user that started Weir. A program that takes too long is killed with all that it started: it
 *        leads a process group of its own
 * bound  time by the check's time-out, what is kept of its words by MAX_SAID
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { ConversationLimits } from "./conversation.ts";
import { type CheckOutcome, excerpt, failed, passed, spanText } from "./outcome.ts";

const MAX_SAID = 1024;
/** What a program said in its last moment may come after its end, but need not. */
const LAST_WORDS_MS = 50;

export interface CommandQuestion {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

export function runCommand(
  { command, environment }: CommandQuestion,
  { timeoutMs, signal }: ConversationLimits,
): Promise<CheckOutcome> {
  const [program = "", ...args] = command;
  return new Promise((resolve) => {
    let child: ChildProcess;
    try {
      const env = { ...process.env, ...environment };
      child = spawn(program, args, { env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
    } catch (error) {
      resolve(failed("check_command", startText(program, error as Error)));
      return;
    }
    const said = gather(child);
    let isOver = false;
    const finish = (outcome: CheckOutcome): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      child.stdout?.destroy(); // what it left running may hold them open
      child.stderr?.destroy();
      resolve(outcome);
    };
    const abort = () => {
      killGroup(child);
      finish(failed("check_failed", "called off"));
    };
    const timer = setTimeout(() => {
      killGroup(child);
      finish(failed("check_timeout", `${program} did not end in ${spanText(timeoutMs)}`));
    }, timeoutMs);
    child.on("error", (error) => finish(failed("check_command", startText(program, error))));
    child.once("close", (code, name) => finish(judge(program, code ?? name ?? "", said())));
    child.once("exit", (code, name) => {
      setTimeout(() => finish(judge(program, code ?? name ?? "", said())), LAST_WORDS_MS);
    });
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  });
}

/** What it complains of, or else what it says. */
function gather(child: ChildProcess): () => string {
  const words = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.on("data", (bytes: Buffer) => {
      if (words[name].length < MAX_SAID) words[name] += bytes.toString("utf8", 0, MAX_SAID);
    });
  }
  return () => words.stderr.trim() || words.stdout.trim();
}

/** The group goes by its leader, which is ours and not waited for yet: the number cannot be another's. */
function killGroup({ pid, exitCode, signalCode }: ChildProcess): void {
  if (pid === undefined || exitCode !== null || signalCode !== null) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // it has ended just now
  }
}

function judge(program: string, end: number | string, said: string): CheckOutcome {
  if (end === 0) return passed(`${program} ended with 0`);
  const words = said === "" ? "" : `: ${excerpt(said.split("\n")[0] ?? "")}`;
  return failed("check_command", `${program} ended with ${end}${words}`);
}

function startText(program: string, { message }: Error): string {
  return `${program} cannot be started: ${message}`;
}
