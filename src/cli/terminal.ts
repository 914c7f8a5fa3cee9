/**
 * Terminal: where a command writes, and in which colours.
 *
 * why    commands are tested with a Terminal of their own; they never touch `process`
 * rule   results go to `out`, everything said about them to `err`; colours only for a person at a
 *        terminal who has not set NO_COLOR (no-color.org)
 */
import { openScreen, type Screen } from "./screen.ts";

export type Paint = (text: string) => string;

/** Colours by meaning; every one returns its text unchanged when there is no colour. */
export interface Palette {
  readonly strong: Paint;
  readonly dim: Paint;
  readonly good: Paint;
  readonly bad: Paint;
  readonly warn: Paint;
  readonly accent: Paint;
}

export interface Terminal {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Colours for `out` and for `err`, which may go to different places. */
  readonly paint: Palette;
  readonly paintErr: Palette;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Takes the whole terminal; undefined where there is none. */
  readonly openScreen?: () => Screen | undefined;
}

const wrap =
  (open: number, close: number): Paint =>
  (text) =>
    `\x1b[${open}m${text}\x1b[${close}m`;
const plain: Paint = (text) => text;

export const COLOURS: Palette = {
  strong: wrap(1, 22),
  dim: wrap(2, 22),
  good: wrap(32, 39),
  bad: wrap(31, 39),
  warn: wrap(33, 39),
  accent: wrap(36, 39),
};

export const NO_COLOURS: Palette = {
  strong: plain,
  dim: plain,
  good: plain,
  bad: plain,
  warn: plain,
  accent: plain,
};

/** `isTerminal`: whether the stream is one. An empty NO_COLOR counts as unset. */
export function paletteFor(isTerminal: boolean, env: Terminal["env"]): Palette {
  const { NO_COLOR = "", TERM } = env;
  const isRefused = NO_COLOR !== "" || TERM === "dumb";
  return isTerminal && !isRefused ? COLOURS : NO_COLOURS;
}

/** This process's own streams. */
export function processTerminal(): Terminal {
  // a reader that closes early, as in `weir schema | head -1`, is no error
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
  return {
    out: (text) => void process.stdout.write(`${text}\n`),
    err: (text) => void process.stderr.write(`${text}\n`),
    paint: paletteFor(process.stdout.isTTY === true, process.env),
    paintErr: paletteFor(process.stderr.isTTY === true, process.env),
    env: process.env,
    openScreen: () => (isWatched() ? openScreen(process.stdin, process.stdout) : undefined),
  };
}

/** Somebody looks, and has a keyboard to leave with. */
const isWatched = () =>
  process.stdin.isTTY === true && process.stdout.isTTY === true && process.env["TERM"] !== "dumb";

/** Control characters made visible, so that text from outside cannot act on the terminal. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
}
