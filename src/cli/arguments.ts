/**
 * Arguments: what was typed after a command, read by the command's rows of options.
 *
 * why    the same rows print the help, so the help cannot promise an option that is not read
 * in     `--name value`, `--name=value`, `-n value`, `-nvalue`, joined switches `-ab`; `--` ends options
 * out    Arguments, or a UsageError that says what is wrong and what was probably meant
 * never  guess: an unknown option is an error, and so is a value where none belongs
 */
import { suggest } from "./suggest.ts";

export interface OptionRow {
  /** Without dashes. */
  readonly name: string;
  /** One letter, without dash. */
  readonly short?: string;
  /** Word for the value in the help, such as `FILE`; left out for a switch. */
  readonly value?: string;
  /** May be given several times. */
  readonly isList?: boolean;
  readonly help: string;
}

export interface OperandRule {
  /** Words for the help, in order. */
  readonly names: readonly string[];
  readonly min: number;
  readonly max: number;
}

export interface UsageError {
  readonly kind: "usage_error";
  readonly message: string;
}

export const usageError = (message: string): UsageError => ({ kind: "usage_error", message });

export class Arguments {
  readonly kind = "arguments";
  readonly operands: string[] = [];
  readonly #values = new Map<string, string[]>();

  /** True when the switch, or the option with a value, was given. */
  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** Value of an option, the last one when it was given twice. */
  text(name: string): string | undefined {
    return this.#values.get(name)?.at(-1);
  }

  list(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  add(name: string, value: string): void {
    const values = this.#values.get(name);
    if (values === undefined) this.#values.set(name, [value]);
    else values.push(value);
  }
}

/** Reads `words` (all that follows the command's name). */
export function parseArguments(
  words: readonly string[],
  rows: readonly OptionRow[],
  operands: OperandRule,
): Arguments | UsageError {
  const reader = new Reader(words, rows);
  return reader.read() ?? checkOperands(reader.found, operands, rows) ?? reader.found;
}

class Reader {
  readonly found = new Arguments();
  readonly #words: readonly string[];
  readonly #rows: readonly OptionRow[];
  #at = 0;

  constructor(words: readonly string[], rows: readonly OptionRow[]) {
    this.#words = words;
    this.#rows = rows;
  }

  read(): UsageError | undefined {
    while (this.#at < this.#words.length) {
      const word = this.#words[this.#at++] as string;
      if (word === "--") {
        this.found.operands.push(...this.#words.slice(this.#at));
        return undefined;
      }
      const error = this.#readWord(word);
      if (error !== undefined) return error;
    }
    return undefined;
  }

  #readWord(word: string): UsageError | undefined {
    if (word.startsWith("--")) return this.#readLong(word);
    // a lone "-" is an operand: by habit it stands for a stream
    if (word.startsWith("-") && word !== "-") return this.#readShort(word);
    this.found.operands.push(word);
    return undefined;
  }

  #readLong(word: string): UsageError | undefined {
    const equals = word.indexOf("=");
    const name = equals === -1 ? word.slice(2) : word.slice(2, equals);
    const inline = equals === -1 ? undefined : word.slice(equals + 1);
    const row = this.#rows.find((each) => each.name === name);
    if (row === undefined) return this.#unknown(name);
    if (row.value === undefined && inline !== undefined) return usageError(`--${name} takes no value`);
    return this.#take(row, `--${name}`, inline);
  }

  #readShort(word: string): UsageError | undefined {
    for (let at = 1; at < word.length; at++) {
      const letter = word[at] as string;
      const row = this.#rows.find((each) => each.short === letter);
      if (row === undefined) return usageError(`unknown option -${letter}`);
      const rest = word.slice(at + 1).replace(/^=/, "");
      if (row.value !== undefined) return this.#take(row, `-${letter}`, rest === "" ? undefined : rest);
      this.found.add(row.name, "");
    }
    return undefined;
  }

  #take(row: OptionRow, written: string, inline: string | undefined): UsageError | undefined {
    if (row.value === undefined) {
      this.found.add(row.name, "");
      return undefined;
    }
    const value = inline ?? this.#words[this.#at++];
    if (value === undefined || value === "") return usageError(`${written} needs a value: ${row.value}`);
    if (row.isList !== true && this.found.has(row.name)) return usageError(`${written} was given twice`);
    this.found.add(row.name, value);
    return undefined;
  }

  #unknown(name: string): UsageError {
    const near = suggest(
      name,
      this.#rows.map((row) => row.name),
    );
    return usageError(`unknown option --${name}${near === undefined ? "" : `; did you mean --${near}?`}`);
  }
}

function checkOperands(
  { operands }: Arguments,
  rule: OperandRule,
  rows: readonly OptionRow[],
): UsageError | undefined {
  const count = operands.length;
  if (count < rule.min) {
    const after = count === 0 ? "" : ` after "${operands.at(-1)}": expected ${rule.names.join(" ")}`;
    return usageError(`${rule.names[count] ?? "an argument"} is missing${after}`);
  }
  const extra = operands[rule.max];
  if (extra === undefined) return undefined;
  // the word before an option is often forgotten for what looks like a file
  const file = rows.find((row) => row.value === "FILE");
  const isFile = file !== undefined && /\.(?:ya?ml|json|ts)$/.test(extra);
  return usageError(
    `unexpected argument "${extra}"${isFile ? `; did you mean -${file.short ?? file.name} ${extra}?` : ""}`,
  );
}
