/**
 * DNS hook: the program that sets and removes the TXT record of dns-01.
 *
 * use    `PROGRAM [ARGS…] add|remove NAME VALUE`; it returns 0 once name servers answer with the record
 * rule   run without a shell; its environment is ours, its standard error ends in our log
 * bound  two minutes, then it is killed; 4 KiB of what it says
 */
import { lateness } from "../timing.ts";
import { Trouble } from "../trouble.ts";

const HOOK_MS = 120_000;
const MAX_SAID = 4096;

/** out  what it wrote to standard error. Throws Trouble unless it returned 0. */
export async function runHook(command: readonly string[], signal: AbortSignal): Promise<string> {
  if (signal.aborted) throw lateness(signal);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(HOOK_MS)]);
  const child = start(command, limit);
  const said = readSome(child.stderr);
  const code = await child.exited;
  // what it left running may hold the pipe open for good
  const text = await Promise.race([said, Bun.sleep(100).then(() => "")]);
  if (code === 0) return text;
  if (signal.aborted) throw lateness(signal);
  const how = limit.aborted ? `took longer than ${HOOK_MS / 1000} s` : `returned ${code}`;
  throw new Trouble("challenge", `${command[0]} ${how}${text === "" ? "" : `: ${text}`}`);
}

function start(command: readonly string[], signal: AbortSignal): Bun.Subprocess<"ignore", "ignore", "pipe"> {
  try {
    return Bun.spawn([...command], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
      signal,
      killSignal: "SIGKILL",
    });
  } catch (error) {
    throw new Trouble("challenge", `${command[0]} cannot be started: ${(error as Error).message}`);
  }
}

async function readSome(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const piece of stream) {
    if (text.length < MAX_SAID) text += decoder.decode(piece, { stream: true });
  }
  return text.slice(0, MAX_SAID).trim();
}
