/**
 * Kept terminal: keeps what a command writes, for the tests of commands.
 */
import { NO_COLOURS, type Terminal } from "../../src/cli/terminal.ts";

export interface KeptTerminal extends Terminal {
  readonly lines: { readonly out: string[]; readonly err: string[] };
}

export function keptTerminal(env: Terminal["env"] = {}): KeptTerminal {
  const lines = { out: [] as string[], err: [] as string[] };
  return {
    lines,
    out: (text) => void lines.out.push(text),
    err: (text) => void lines.err.push(text),
    paint: NO_COLOURS,
    paintErr: NO_COLOURS,
    env,
  };
}
