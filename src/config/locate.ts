/**
 * Locate: where a key stands in the text of a `weir.config.ts`, as far as the text shows it.
 *
 * why    the value comes from running the file; its literal objects still tell the place of most keys
 * how    reads `{ key: … }` and `[ … ]` literals after `defineConfig(` or `export default`; anything else
 *        (a call, a variable, a spread) is stepped over, and its inside has no place
 * out    0:0 when the place is not certain: better none than a wrong one
 */
import { NOWHERE, type Path, type Position } from "./problem.ts";

export function locateInScript(text: string): (path: Path) => Position {
  const places = new ScriptReader(text).read();
  return (path) => {
    for (let length = path.length; length > 0; length--) {
      const offset = places.get(keyOf(path.slice(0, length)));
      if (offset !== undefined) return positionOf(text, offset);
    }
    return NOWHERE;
  };
}

const keyOf = (path: Path): string => JSON.stringify(path);

function positionOf(text: string, offset: number): Position {
  const before = text.slice(0, offset);
  return { line: before.split("\n").length, column: offset - before.lastIndexOf("\n") };
}

const START = /\bdefineConfig\s*\(|\bexport\s+default\b/g;
const MAX_DEPTH = 64;
/** White space and comments. */
const GAP = /(?:\s|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*/y;
const KEY = /([A-Za-z_$][\w$]*)|"((?:[^"\\\n]|\\.)*)"|'((?:[^'\\\n]|\\.)*)'|(\d+)/y;
const STRING = /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\[\s\S])*`/y;

class ScriptReader {
  readonly #text: string;
  readonly #places = new Map<string, number>();
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  read(): ReadonlyMap<string, number> {
    const starts = [...this.#text.matchAll(START)];
    const start = starts.find(([word]) => word.startsWith("defineConfig")) ?? starts[0];
    if (start === undefined) return this.#places;
    this.#at = start.index + start[0].length;
    this.#value([]);
    return this.#places;
  }

  /** Steps over a value; notes the places of keys when it is a literal. */
  #value(path: Path): void {
    this.#match(GAP);
    const sign = this.#text[this.#at];
    if (path.length < MAX_DEPTH && sign === "{") this.#object(path);
    else if (path.length < MAX_DEPTH && sign === "[") this.#array(path);
    this.#skipRest();
  }

  #object(path: Path): void {
    this.#at++;
    for (;;) {
      this.#match(GAP);
      if (this.#isDone("}")) return;
      const start = this.#at;
      const key = this.#match(KEY);
      this.#match(GAP);
      if (key !== undefined && this.#text[this.#at] === ":") {
        const name = key[1] ?? key[2] ?? key[3] ?? key[4] ?? "";
        this.#places.set(keyOf([...path, name]), start);
        this.#at++;
        this.#value([...path, name]);
      } else this.#skipRest();
      if (this.#text[this.#at] === ",") this.#at++;
    }
  }

  #array(path: Path): void {
    this.#at++;
    for (let index = 0; ; index++) {
      this.#match(GAP);
      if (this.#isDone("]")) return;
      // Behind a spread nobody can count the positions from the text.
      const isSpread = this.#text.startsWith("...", this.#at);
      if (isSpread) index = Number.NaN;
      if (!Number.isNaN(index)) this.#places.set(keyOf([...path, index]), this.#at);
      if (Number.isNaN(index)) this.#skipRest();
      else this.#value([...path, index]);
      if (this.#text[this.#at] === ",") this.#at++;
    }
  }

  #isDone(close: string): boolean {
    if (this.#at < this.#text.length && this.#text[this.#at] !== close) {
      // A stray closing sign means that the text was misread: stop everywhere.
      if (!")]}".includes(this.#text[this.#at] as string)) return false;
      this.#at = this.#text.length;
      return true;
    }
    this.#at++;
    return true;
  }

  /** On to the comma or closing sign that ends this value. */
  #skipRest(): void {
    let depth = 0;
    while (this.#at < this.#text.length) {
      if ((this.#match(GAP)?.[0].length ?? 0) > 0 || this.#match(STRING) !== undefined) continue;
      const sign = this.#text[this.#at] as string;
      if (depth === 0 && ",)]}".includes(sign)) return;
      if ("([{".includes(sign)) depth++;
      if (")]}".includes(sign)) depth--;
      this.#at++;
    }
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text) ?? undefined;
    if (found !== undefined) this.#at += found[0].length;
    return found;
  }
}
