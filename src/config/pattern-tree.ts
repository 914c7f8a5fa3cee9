/**
 * Pattern tree: a regular expression as character sets, sequences, alternatives and repeats.
 *
 * why    to see without running it whether two ways lead through the same text: that is what backtracks
 * shape  a set is 257 flags: one for each Latin-1 byte, and one for everything above
 * spec   ECMA-262 §22.2.1 without the flags `u` and `v`
 */
export type Judgement = readonly [wrong: string, hint: string];

type CharSet = Uint8Array;

export type Tree =
  | { readonly kind: "set"; readonly set: CharSet }
  | { readonly kind: "sequence"; readonly parts: readonly Tree[] }
  | { readonly kind: "choice"; readonly parts: readonly Tree[] }
  | { readonly kind: "repeat"; readonly part: Tree; readonly min: number; readonly max: number }
  /** `^ $ \b`, look-around: takes no text. */
  | { readonly kind: "nothing"; readonly isStart: boolean };

const SET_SIZE = 257;
/** `{n,m}` beyond this counts as open: a hundred rounds of backtracking are enough to hurt. */
const MANY = 32;
const MAX_DEPTH = 50;

function setOf(accepts: (code: number) => boolean): CharSet {
  return Uint8Array.from({ length: SET_SIZE }, (_, code) => (accepts(code) ? 1 : 0));
}

const within = (word: string) => (code: number) => code < 256 && word.includes(String.fromCharCode(code));
const isWord = (code: number) => /^\w$/.test(String.fromCharCode(code)) && code < 256;
const isSpace = (code: number) => code === 256 || /^\s$/.test(String.fromCharCode(code));
const ANY = setOf((code) => !within("\n\r")(code));
const CLASSES: Readonly<Record<string, CharSet>> = {
  d: setOf(within("0123456789")),
  D: setOf((code) => !within("0123456789")(code)),
  w: setOf(isWord),
  W: setOf((code) => !isWord(code)),
  s: setOf(isSpace),
  S: setOf((code) => code === 256 || !isSpace(code)),
};
const ESCAPED_CODES: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, v: 11, f: 12, "0": 0 };

const codeOf = (character: string) => Math.min(character.charCodeAt(0), 256);
const union = (a: CharSet, b: CharSet): CharSet => a.map((flag, code) => flag | (b[code] as number));
const meets = (a: CharSet, b: CharSet): boolean => a.some((flag, code) => flag === 1 && b[code] === 1);
const EMPTY = setOf(() => false);

/** undefined = holds something this reader does not judge. The source is known to be valid. */
export function parsePattern(source: string): Tree | undefined {
  try {
    return new PatternReader(source).choice(0);
  } catch (error) {
    if (error instanceof Unjudged) return undefined;
    throw error;
  }
}

class Unjudged extends Error {}

class PatternReader {
  readonly #source: string;
  #at = 0;

  constructor(source: string) {
    this.#source = source;
  }

  choice(depth: number): Tree {
    if (depth > MAX_DEPTH) throw new Unjudged();
    const parts = [this.#sequence(depth)];
    while (this.#takes("|")) parts.push(this.#sequence(depth));
    return parts.length === 1 ? (parts[0] as Tree) : { kind: "choice", parts };
  }

  #takes(text: string): boolean {
    if (!this.#source.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #sequence(depth: number): Tree {
    const parts: Tree[] = [];
    while (this.#at < this.#source.length && !"|)".includes(this.#source[this.#at] as string)) {
      parts.push(this.#repeated(this.#atom(depth)));
    }
    return { kind: "sequence", parts };
  }

  #repeated(part: Tree): Tree {
    const match = /^(?:([*+?])|\{(\d+)(?:(,)(\d*))?\})\??/.exec(this.#source.slice(this.#at));
    if (match === null) return part;
    this.#at += match[0].length;
    const [, sign, least, comma, most] = match;
    if (sign !== undefined) {
      return {
        kind: "repeat",
        part,
        min: sign === "+" ? 1 : 0,
        max: sign === "?" ? 1 : Number.POSITIVE_INFINITY,
      };
    }
    const min = Number(least);
    const open = most === "" || most === undefined ? Number.POSITIVE_INFINITY : Number(most);
    return { kind: "repeat", part, min, max: comma === undefined ? min : open };
  }

  #atom(depth: number): Tree {
    const character = this.#source[this.#at++] as string;
    if (character === "(") return this.#group(depth);
    if (character === "[") return { kind: "set", set: this.#class() };
    if (character === ".") return { kind: "set", set: ANY };
    if (character === "^" || character === "$") return { kind: "nothing", isStart: character === "^" };
    if (character === "\\") return this.#escape();
    return { kind: "set", set: setOf((code) => code === codeOf(character)) };
  }

  #group(depth: number): Tree {
    const isLook = ["?=", "?!", "?<=", "?<!"].some((sign) => this.#takes(sign));
    if (!isLook && !this.#takes("?:")) {
      const name = /^\?<[^>]*>/.exec(this.#source.slice(this.#at));
      if (name !== null) this.#at += name[0].length;
      else if (this.#source[this.#at] === "?") throw new Unjudged();
    }
    const inner = this.choice(depth + 1);
    this.#at++; // the closing bracket
    if (isLook && hasOpenRepeat(inner)) throw new Unjudged();
    return isLook ? { kind: "nothing", isStart: false } : inner;
  }

  #escape(): Tree {
    const character = this.#source[this.#at] as string;
    if (/[bB]/.test(character)) {
      this.#at++;
      return { kind: "nothing", isStart: false };
    }
    if (/[1-9k]/.test(character)) throw new Unjudged();
    return { kind: "set", set: this.#escapedSet() };
  }

  #escapedSet(): CharSet {
    const character = this.#source[this.#at++] as string;
    const known = CLASSES[character];
    if (known !== undefined) return known;
    const hex = /^(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4}))/.exec(this.#source.slice(this.#at - 1));
    if (hex !== null) {
      this.#at += hex[0].length - 1;
      const code = Math.min(Number.parseInt(hex[1] ?? hex[2] ?? "", 16), 256);
      return setOf((other) => other === code);
    }
    if (character === "c") throw new Unjudged();
    const code = ESCAPED_CODES[character] ?? codeOf(character);
    return setOf((other) => other === code);
  }

  #class(): CharSet {
    const isNegated = this.#takes("^");
    let set = EMPTY;
    while (!this.#takes("]")) {
      const from = this.#classAtom();
      const isRange = this.#source[this.#at] === "-" && this.#source[this.#at + 1] !== "]";
      if (!isRange) {
        set = union(set, from);
        continue;
      }
      this.#at++;
      const [low, high] = [from.indexOf(1), this.#classAtom().lastIndexOf(1)];
      set = union(
        set,
        setOf((code) => code >= low && code <= high),
      );
    }
    if (!isNegated) return set;
    const positive = set;
    return setOf((code) => code === 256 || positive[code] === 0);
  }

  #classAtom(): CharSet {
    if (this.#takes("\\b")) return setOf((code) => code === 8);
    if (this.#takes("\\")) return this.#escapedSet();
    const code = codeOf(this.#source[this.#at++] as string);
    return setOf((other) => other === code);
  }
}

// what a tree says of the text it takes

const isOpen = (tree: Tree): boolean => tree.kind === "repeat" && tree.max > MANY;

function childrenOf(tree: Tree): readonly Tree[] {
  if (tree.kind === "sequence" || tree.kind === "choice") return tree.parts;
  return tree.kind === "repeat" ? [tree.part] : [];
}

function hasOpenRepeat(tree: Tree): boolean {
  return isOpen(tree) || childrenOf(tree).some(hasOpenRepeat);
}

function isNullable(tree: Tree): boolean {
  if (tree.kind === "set") return false;
  if (tree.kind === "sequence") return tree.parts.every(isNullable);
  if (tree.kind === "choice") return tree.parts.some(isNullable);
  return tree.kind === "nothing" || tree.min === 0 || isNullable(tree.part);
}

function allOf(tree: Tree): CharSet {
  return tree.kind === "set" ? tree.set : childrenOf(tree).map(allOf).reduce(union, EMPTY);
}

function firstOf(tree: Tree): CharSet {
  if (tree.kind !== "sequence") {
    return tree.kind === "set" ? tree.set : childrenOf(tree).map(firstOf).reduce(union, EMPTY);
  }
  let first = EMPTY;
  for (const part of tree.parts) {
    first = union(first, firstOf(part));
    if (!isNullable(part)) break;
  }
  return first;
}

/** Text taken by the repeats inside, which a delimiter must not be part of. */
function repeatedIn(tree: Tree): CharSet {
  return isOpen(tree) ? allOf(tree) : childrenOf(tree).map(repeatedIn).reduce(union, EMPTY);
}

const NESTED: Judgement = [
  "the pattern repeats a repeat, and could run for minutes on a hostile request",
  "Use a path prefix such as `/x/*`, or let each round begin with a character that its inside cannot hold.",
];
const ALIKE: Judgement = [
  "two ways inside a repeat begin alike, and the pattern could run for minutes on a hostile request",
  "Let each alternative, and each optional part, begin with a character of its own.",
];
const IN_A_ROW: Judgement = [
  "several open repeats in a row can take the same text, and the pattern could run for minutes",
  "Begin it with `^`, use at most two of `.*` or `.+`, or narrow them, as in `[^/]+`.",
];

export function judgeTree(tree: Tree): Judgement | undefined {
  return judgeRepeats(tree) ?? judgeRow(tree);
}

function judgeRepeats(tree: Tree): Judgement | undefined {
  if (tree.kind === "repeat" && isOpen(tree)) {
    if (isNullable(tree.part) && hasOpenRepeat(tree.part)) return NESTED;
    if (hasOpenRepeat(tree.part) && !isDelimited(tree.part)) return NESTED;
    if (isVague(tree.part, firstOf(tree.part))) return ALIKE;
  }
  for (const child of childrenOf(tree)) {
    const wrong = judgeRepeats(child);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

/** Each round begins or ends with one character that nothing else inside can take. */
function isDelimited(tree: Tree): boolean {
  const parts = tree.kind === "sequence" ? tree.parts : [tree];
  return [0, parts.length - 1].some((index) => {
    const edge = parts[index];
    const others = parts
      .filter((_, at) => at !== index)
      .map(allOf)
      .reduce(union, EMPTY);
    return edge?.kind === "set" && !meets(edge.set, others);
  });
}

/**
 * Inside a repeat, with `after` what may follow: is there text that two ways lead through?
 * Alternatives that begin alike are such ways, and so is an optional part that begins like what follows it.
 */
function isVague(tree: Tree, after: CharSet): boolean {
  if (tree.kind === "choice") return isChoiceVague(tree.parts, after);
  if (tree.kind === "sequence") {
    return tree.parts.some((part, at) => {
      const rest: Tree = { kind: "sequence", parts: tree.parts.slice(at + 1) };
      return isVague(part, isNullable(rest) ? union(firstOf(rest), after) : firstOf(rest));
    });
  }
  if (tree.kind !== "repeat") return false;
  const isOptional = tree.min !== tree.max && !isOpen(tree);
  if (isOptional && meets(firstOf(tree.part), after)) return true;
  return isVague(tree.part, tree.max > 1 ? union(firstOf(tree.part), after) : after);
}

function isChoiceVague(parts: readonly Tree[], after: CharSet): boolean {
  let seen = EMPTY;
  for (const part of parts) {
    const first = firstOf(part);
    if (isNullable(part) || meets(seen, first) || isVague(part, after)) return true;
    seen = union(seen, first);
  }
  return false;
}

const MAX_IN_A_ROW = 2;

/** The longest run of open repeats whose texts overlap; a start that is not fixed counts as one. */
function judgeRow(tree: Tree): Judgement | undefined {
  const branches = tree.kind === "choice" ? tree.parts : [tree];
  for (const branch of branches) {
    const flat = flatten(branch);
    const isFixed = flat[0]?.kind === "nothing" && flat[0].isStart;
    const row = longestRow(flat);
    if (row > 0 && row + (isFixed ? 0 : 1) > MAX_IN_A_ROW) return IN_A_ROW;
  }
  return undefined;
}

function flatten(tree: Tree): readonly Tree[] {
  if (tree.kind === "sequence") return tree.parts.flatMap(flatten);
  return tree.kind === "repeat" && !isOpen(tree) ? flatten(tree.part) : [tree];
}

function longestRow(parts: readonly Tree[]): number {
  let longest = 0;
  for (const [start, part] of parts.entries()) {
    const set = isOpen(part) ? allOf(part) : repeatedIn(part);
    if (!set.includes(1)) continue;
    let length = 1;
    for (const next of parts.slice(start + 1)) {
      const all = allOf(next);
      if (hasOpenRepeat(next) && meets(set, all)) length++;
      else if (!isNullable(next) && !meets(set, all)) break;
    }
    longest = Math.max(longest, length);
  }
  return longest;
}
