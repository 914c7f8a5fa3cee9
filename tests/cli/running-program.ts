/**
 * Running program: bin/weir with a command that stays, its output kept, ended by signal.
 */
import { eventually, within } from "../support/eventually.ts";
import { collect } from "../support/proc.ts";
import { WEIR } from "./program.ts";

const READY_MS = 15_000;
const STOP_MS = 15_000;

export interface RunningProgram {
  readonly pid: number;
  out(): string;
  err(): string;
  /** Waits until standard error matches. out  the match */
  says(pattern: RegExp): Promise<RegExpExecArray>;
  /** Sends the signal. out  the exit code; a program that does not end is killed, with code 137 */
  end(signal?: NodeJS.Signals): Promise<number>;
}

export function start(
  words: readonly string[],
  cwd: string,
  env: Record<string, string> = {},
): RunningProgram {
  const child = Bun.spawn([WEIR, ...words], {
    cwd,
    env: { ...process.env, ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const out = collect(child.stdout);
  const err = collect(child.stderr);
  return {
    pid: child.pid,
    out,
    err,
    async says(pattern) {
      const found = await eventually(
        () => pattern.exec(err()) ?? (child.exitCode === null ? undefined : "ended"),
        READY_MS,
        `${pattern} on standard error, which is\n${err()}`,
      );
      if (found === "ended") throw new Error(`it ended with ${child.exitCode}\n${err()}`);
      return found as RegExpExecArray;
    },
    async end(signal = "SIGTERM") {
      if (child.exitCode !== null) return child.exitCode;
      child.kill(signal);
      try {
        return await within(child.exited, STOP_MS, "weir to end");
      } catch {
        child.kill("SIGKILL");
        await child.exited;
        return 137;
      }
    },
  };
}
