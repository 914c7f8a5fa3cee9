/**
 * Runs a `weir.config.ts` in a process of its own and reads what it exports.
 *
 * out    the exported value, or errors with their place
 * rule   bounded: SCRIPT_TIMEOUT_MS, MAX_OUTPUT_BYTES; then the process is killed
 * note   the runtime is started as `bin/weir` starts it: no .env, no bunfig.toml, nothing installed on the fly
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { dirname, join } from "node:path";
import type { Environment } from "../config/environment.ts";
import type { Evaluation } from "./evaluate-config.ts";

const SCRIPT_TIMEOUT_MS = 10_000;
const MAX_OUTPUT_BYTES = 32 * 1024 * 1024;
const MAX_ERROR_BYTES = 64 * 1024;
const RUNTIME_FLAGS = ["--no-env-file", "--config=/dev/null", "--no-install"];

export interface ScriptLimits {
  readonly timeoutMs: number;
  readonly maxOutputBytes: number;
}

const LIMITS: ScriptLimits = { timeoutMs: SCRIPT_TIMEOUT_MS, maxOutputBytes: MAX_OUTPUT_BYTES };

export async function runScript(file: string, env: Environment, limits = LIMITS): Promise<Evaluation> {
  const mark = randomUUID();
  const evaluator = join(import.meta.dirname, "evaluate-config.ts");
  const child = spawn(process.execPath, [...RUNTIME_FLAGS, evaluator, file, mark], {
    cwd: dirname(file),
    env: { ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const { output, errors, reason } = await collect(child, limits);
  const found = output.lastIndexOf(mark);
  if (reason === undefined && found !== -1)
    return JSON.parse(output.slice(found + mark.length)) as Evaluation;
  const said = errors.trim().split("\n")[0] ?? "";
  const message = reason ?? `the file ended without a configuration${said === "" ? "" : `: ${said}`}`;
  return { kind: "failed", errors: [{ message, file, line: 0, column: 0 }] };
}

interface Collected {
  readonly output: string;
  readonly errors: string;
  /** Why it was killed, if it was. */
  readonly reason: string | undefined;
}

function collect(child: ChildProcess, limits: ScriptLimits): Promise<Collected> {
  const output: Buffer[] = [];
  const errors: Buffer[] = [];
  let outputBytes = 0;
  let errorBytes = 0;
  let reason: string | undefined;
  const stop = (why: string): void => {
    reason ??= why;
    child.kill("SIGKILL");
  };
  child.stdout?.on("data", (bytes: Buffer) => {
    outputBytes += bytes.length;
    if (outputBytes > limits.maxOutputBytes) stop(`the file prints more than ${limits.maxOutputBytes} bytes`);
    else output.push(bytes);
  });
  child.stderr?.on("data", (bytes: Buffer) => {
    errorBytes += bytes.length;
    if (errorBytes <= MAX_ERROR_BYTES) errors.push(bytes);
  });
  return new Promise((settle) => {
    const timer = setTimeout(
      () => stop(`the file did not finish in ${limits.timeoutMs / 1000} seconds`),
      limits.timeoutMs,
    );
    const finish = (): void => {
      clearTimeout(timer);
      settle({ output: Buffer.concat(output).toString(), errors: Buffer.concat(errors).toString(), reason });
    };
    child.once("error", (error) => {
      reason ??= `the file cannot be evaluated: ${error.message}`;
      finish();
    });
    child.once("close", finish);
  });
}
