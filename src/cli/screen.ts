/**
 * Screen: the whole terminal, taken for a live view and given back as it was.
 *
 * why    the other screen of the terminal (`?1049`) leaves what the person had there before in place
 * rule   whoever opens it closes it; it closes itself when the process is about to end by a signal, and on the way out
 * note   a frame is one write, over the one before, without clearing first: nothing flickers, also through ssh
 * spec   ECMA-48 (CUP, EL, ED), xterm control sequences
 */
import type { ReadStream, WriteStream } from "node:tty";

export interface Screen {
  size(): { readonly columns: number; readonly rows: number };
  draw(lines: readonly string[]): void;
  /** Ends when the person leaves (q, Escape, Ctrl-C), a signal asks for it, or the terminal is gone. */
  readonly left: Promise<void>;
  /** Runs when the size has changed. */
  onResize(run: () => void): void;
  close(): void;
}

/** What a screen needs of the terminal's two streams. */
export type ScreenInput = Pick<ReadStream, "setRawMode" | "isRaw" | "resume" | "pause" | "on" | "off">;
export type ScreenOutput = Pick<WriteStream, "columns" | "rows" | "write" | "on" | "off">;

const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_LINE_END = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";
/** Ctrl-C, Ctrl-D, Escape by itself. */
const LEAVING_KEYS: ReadonlySet<string> = new Set(["q", "Q", "\x03", "\x04", "\x1b"]);
const SIGNALS: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP"];
const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;

export function openScreen(input: ScreenInput, output: ScreenOutput): Screen {
  return new TerminalScreen(input, output);
}

class TerminalScreen implements Screen {
  readonly #input: ScreenInput;
  readonly #output: ScreenOutput;
  readonly #end = Promise.withResolvers<void>();
  readonly #leave = () => this.#end.resolve();
  readonly #restore = () => this.close();
  readonly #onData = (data: Buffer | string) => {
    if (LEAVING_KEYS.has(String(data))) this.#leave();
  };
  #resized: () => void = () => {};
  readonly #onResize = () => this.#resized();
  #isOpen = true;

  constructor(input: ScreenInput, output: ScreenOutput) {
    this.#input = input;
    this.#output = output;
    for (const signal of SIGNALS) process.on(signal, this.#leave);
    process.on("exit", this.#restore);
    output.write(ENTER);
    input.setRawMode(true);
    input.on("data", this.#onData);
    input.on("end", this.#leave);
    input.on("error", this.#leave);
    output.on("resize", this.#onResize);
    output.on("error", this.#leave);
    input.resume();
  }

  get left(): Promise<void> {
    return this.#end.promise;
  }

  size(): { columns: number; rows: number } {
    const { columns, rows } = this.#output;
    return { columns: columns || DEFAULT_COLUMNS, rows: rows || DEFAULT_ROWS };
  }

  draw(lines: readonly string[]): void {
    if (!this.#isOpen) return;
    this.#output.write(`${HOME}${lines.map((line) => line + CLEAR_LINE_END).join("\r\n")}${CLEAR_BELOW}`);
  }

  onResize(run: () => void): void {
    this.#resized = run;
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    for (const signal of SIGNALS) process.off(signal, this.#leave);
    process.off("exit", this.#restore);
    this.#input.off("data", this.#onData);
    this.#input.off("end", this.#leave);
    this.#output.off("resize", this.#onResize);
    try {
      this.#input.setRawMode(false);
      this.#output.write(LEAVE);
    } catch {
      // the terminal is gone, and with it what was to be restored
    }
    this.#input.pause();
    this.#end.resolve();
  }
}
