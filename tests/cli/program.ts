/**
 * Program: runs bin/weir to its end, for tests of what a person at a terminal sees.
 */
import { join } from "node:path";

export const ROOT = join(import.meta.dir, "../..");
export const WEIR = join(ROOT, "bin/weir");

export interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly program?: string;
  readonly cwd?: string;
  /** In place of the test's own environment. */
  readonly env?: Record<string, string | undefined>;
}

const DEADLINE_MS = 20_000;

/** Runs the program; one that does not end is killed after a deadline, with code 137. */
export async function weir(words: readonly string[], options: RunOptions = {}): Promise<Run> {
  const child = Bun.spawn([options.program ?? WEIR, ...words], {
    cwd: options.cwd ?? import.meta.dir,
    env: options.env ?? process.env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: DEADLINE_MS,
    killSignal: "SIGKILL",
  });
  const [out, err] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  await child.exited;
  return { code: child.exitCode ?? 137, out, err };
}
