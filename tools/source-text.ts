/**
 * Source text: which characters of a TypeScript file are code, which are comment, which are text.
 *
 * why    a check for forbidden words must not fire on a comment that explains why the word is forbidden
 * out    strings as long as the file: everything else is blank, so that offsets and lines stay
 * cost   one pass
 */
export interface SourceParts {
  /** Comments, and the insides of strings, templates and regular expressions, are blank. */
  readonly code: string;
  /** Only comments. */
  readonly comments: string;
}

const blank = (text: string) => text.replace(/[^\n]/g, " ");

/** The next thing that may hide a quote or a slash, or one word, or one sign. */
const TOKEN =
  /(?<comment>\/\/[^\n]*|\/\*[\s\S]*?\*\/)|(?<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|(?<slash>\/)|[\w$]+|(?<space>\s+)|./suy;
const REGEX = /\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[dgimsuvy]*/y;
const TEMPLATE_PART = /(?:\\.|\$(?!\{)|[^`\\$])*(?:`|\$\{|$)/suy;
/** After one of these a slash begins a regular expression; after anything else it divides. */
const BEFORE_REGEX = /^(?:[([{,;=:!&|?+\-*%<>~^}]|return|typeof|case|of|in|await|yield|)$/;

export function partsOf(source: string): SourceParts {
  const scanner = new Scanner(source);
  while (scanner.step());
  return scanner.parts();
}

type Kind = "code" | "comment" | "hidden";

class Scanner {
  readonly #source: string;
  readonly #code: string[] = [];
  readonly #comments: string[] = [];
  /** For each open brace, whether it belongs to `${` in a template. */
  readonly #braces: boolean[] = [];
  /** The last token that was neither space nor comment. */
  #before = "";
  #at = 0;

  constructor(source: string) {
    this.#source = source;
  }

  parts(): SourceParts {
    return { code: this.#code.join(""), comments: this.#comments.join("") };
  }

  /** Takes one token. out  false at the end */
  step(): boolean {
    if (this.#at >= this.#source.length) return false;
    const { comment, text, space, slash } = this.#match(TOKEN)?.groups ?? {};
    if (comment !== undefined) this.#take(comment, "comment");
    else if (space !== undefined) this.#take(space, "code");
    else if (text !== undefined) this.#take(text, "hidden", ")");
    else if (slash === undefined || !this.#takeRegex()) this.#takeSign();
    return true;
  }

  #takeRegex(): boolean {
    if (!BEFORE_REGEX.test(this.#before)) return false;
    const regex = this.#match(REGEX)?.[0];
    if (regex !== undefined) this.#take(regex, "hidden", ")");
    return regex !== undefined;
  }

  #takeSign(): void {
    const sign = this.#match(TOKEN)?.[0] ?? this.#source.charAt(this.#at);
    this.#take(sign, "code", sign);
    if (sign === "{") this.#braces.push(false);
    if (sign === "`" || (sign === "}" && this.#braces.pop() === true)) this.#takeTemplate();
  }

  #takeTemplate(): void {
    const part = this.#match(TEMPLATE_PART)?.[0] ?? "";
    const opens = part.endsWith("${");
    if (opens) this.#braces.push(true);
    this.#take(part, "hidden", opens ? "{" : ")");
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    return pattern.exec(this.#source);
  }

  #take(text: string, kind: Kind, before?: string): void {
    this.#code.push(kind === "code" ? text : blank(text));
    this.#comments.push(kind === "comment" ? text : blank(text));
    this.#at += text.length;
    if (before !== undefined) this.#before = before;
  }
}

/** Line number, from 1, of an offset. */
export function lineAt(source: string, offset: number): number {
  let line = 1;
  for (let at = source.indexOf("\n"); at !== -1 && at < offset; at = source.indexOf("\n", at + 1)) line++;
  return line;
}
