/**
 * Parse: YAML text (JSON is YAML) to plain values that remember where they were written.
 *
 * out    a Source, or problems with line and column; several syntax errors are reported at once
 * fails  duplicate keys, unknown tags, several documents, aliases that grow beyond MAX_ALIASES
 * never  build anything but plain data: no custom tags, no dates
 * spec   YAML 1.2.2, core schema, with the merge key `<<`
 */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
  type YAMLError,
  type YAMLMap,
} from "yaml";
import type { Problem } from "./config.ts";
import { NOWHERE, type Path, type Position, type Source } from "./problem.ts";
import { wordsFor } from "./syntax-words.table.ts";

/** Aliases may copy a subtree this often in all: enough for shared blocks, not for a "billion laughs". */
const MAX_ALIASES = 1000;
const MAX_SYNTAX_PROBLEMS = 20;
const TOO_DEEP = "the document is nested too deeply to be read";

export interface Parsed {
  readonly source: Source | undefined;
  readonly problems: readonly Problem[];
}

export function parseYaml(text: string, file: string): Parsed {
  const lines = new LineCounter();
  const refuse = (message: string, position: Position, hint?: string): Parsed => {
    return { source: undefined, problems: [syntaxProblem(file, position, message, hint)] };
  };
  let document: Document.Parsed;
  try {
    document = parseDocument(text, {
      lineCounter: lines,
      prettyErrors: false,
      stringKeys: true,
      uniqueKeys: false, // the library compares each key with each; `repeatedKeys` does it in one pass
      merge: true,
      logLevel: "error",
    });
  } catch {
    return refuse(TOO_DEEP, NOWHERE);
  }
  const errors = [...document.errors, ...document.warnings].slice(0, MAX_SYNTAX_PROBLEMS);
  if (errors.some((error) => error.message.includes("call stack"))) return refuse(TOO_DEEP, NOWHERE);
  if (errors.length > 0) {
    const problems = upToDerailing(errors).map((error) => problemOf(error, document, { file, lines }));
    return { source: undefined, problems };
  }
  try {
    const repeated = repeatedKeys(document);
    if (repeated.length > 0) {
      const [message, hint] = REPEATED_KEY;
      const places = repeated.map((offset) => positionAt(lines, offset));
      return {
        source: undefined,
        problems: places.map((place) => syntaxProblem(file, place, message, hint)),
      };
    }
    const unknown = unknownAliases(document);
    if (unknown.length > 0) {
      return { source: undefined, problems: unknown.map((alias) => aliasProblem(alias, { file, lines })) };
    }
    const value: unknown = document.toJS({ maxAliasCount: MAX_ALIASES });
    return { source: new YamlSource(file, value, document, lines), problems: [] };
  } catch (error) {
    return refuse(error instanceof ReferenceError ? "aliases copy too much" : TOO_DEEP, NOWHERE);
  }
}

const REPEATED_KEY = ["this key is given twice in the same mapping", "Keep one of them."] as const;

/** Offsets of keys that stand a second time in their mapping (YAML 1.2.2 §3.2.1.1). */
function repeatedKeys(document: Document.Parsed): readonly number[] {
  const repeated: number[] = [];
  visit(document, {
    Map(_, map) {
      const seen = new Set<string>();
      for (const pair of map.items) {
        const key = keyOf(pair);
        if (seen.has(key) && key !== "<<") repeated.push(offsetOf(pair.key) ?? 0);
        seen.add(key);
      }
    },
  });
  return repeated.slice(0, MAX_SYNTAX_PROBLEMS);
}

interface Text {
  readonly file: string;
  readonly lines: LineCounter;
}

function positionAt(lines: LineCounter, offset: number): Position {
  const { line, col } = lines.linePos(offset);
  return { line, column: col };
}

function problemOf(error: YAMLError, document: Document.Parsed, { file, lines }: Text): Problem {
  const [from] = error.pos;
  const offset = error.code === "MISSING_CHAR" ? openingQuote(document, from) : from;
  const [message, hint] = wordsFor(error.code, error.message);
  return syntaxProblem(file, positionAt(lines, offset), message, hint);
}

/** Where the quoted text begins that was still open at `end`: the end of the file tells nobody anything. */
function openingQuote(document: Document.Parsed, end: number): number {
  let opening = end;
  visit(document, {
    Scalar(_, { type, range }) {
      const isQuoted = type === "QUOTE_DOUBLE" || type === "QUOTE_SINGLE";
      if (isQuoted && range && range[0] < end && range[1] >= end) opening = range[0];
    },
  });
  return opening;
}

/** After these the reader has lost its place: what it finds behind them are consequences. */
const DERAILING: ReadonlySet<string> = new Set(["UNEXPECTED_TOKEN", "MISSING_CHAR"]);

function upToDerailing(errors: readonly YAMLError[]): readonly YAMLError[] {
  const at = errors.findIndex(({ code }) => DERAILING.has(code));
  return at === -1 ? errors : errors.slice(0, at + 1);
}

/** Aliases that name no anchor before them: mostly a wildcard such as `*.example.com` without quotes. */
function unknownAliases(document: Document.Parsed): readonly [offset: number, name: string][] {
  const anchors = new Set<string>();
  const unknown: [number, string][] = [];
  visit(document, {
    Node(_, node) {
      if (!isAlias(node)) {
        if (node.anchor !== undefined) anchors.add(node.anchor);
      } else if (!anchors.has(node.source)) unknown.push([offsetOf(node) ?? 0, node.source]);
    },
  });
  return unknown.slice(0, MAX_SYNTAX_PROBLEMS);
}

function aliasProblem([offset, name]: readonly [number, string], { file, lines }: Text): Problem {
  const message = `\`*${name}\` without quotes points at an anchor \`&${name}\`, and there is none`;
  return syntaxProblem(file, positionAt(lines, offset), message, `Put it in quotes: "*${name}".`);
}

function syntaxProblem(file: string, position: Position, message: string, hint?: string): Problem {
  return { file, ...position, path: "", message, hint, severity: "error" };
}

type AnyMap = YAMLMap<unknown, unknown>;

class YamlSource implements Source {
  readonly file: string;
  readonly value: unknown;
  readonly #document: Document.Parsed;
  readonly #lines: LineCounter;

  constructor(file: string, value: unknown, document: Document.Parsed, lines: LineCounter) {
    this.file = file;
    this.value = value;
    this.#document = document;
    this.#lines = lines;
  }

  locate(path: Path, part: "key" | "value"): Position {
    let node: unknown = this.#document.contents;
    let offset = offsetOf(node) ?? 0;
    for (const [index, step] of path.entries()) {
      const found = this.#step(node, step);
      if (found === undefined) break;
      const wanted = part === "key" && index === path.length - 1 ? found.key : found.value;
      offset = offsetOf(wanted) ?? offsetOf(found.key) ?? offset;
      node = found.value;
    }
    const { line, col } = this.#lines.linePos(offset);
    return line === 0 ? { line: 1, column: 1 } : { line, column: col };
  }

  written(path: Path): string | undefined {
    let node: unknown = this.#document.contents;
    for (const step of path) node = this.#step(node, step)?.value;
    const scalar = this.#resolve(node);
    return isScalar(scalar) && typeof scalar.source === "string" ? scalar.source : undefined;
  }

  #step(parent: unknown, step: string | number): { key: unknown; value: unknown } | undefined {
    const node = this.#resolve(parent);
    if (isSeq(node) && typeof step === "number") {
      const value: unknown = node.items[step];
      return { key: value, value };
    }
    return isMap(node) ? this.#pairIn(node as AnyMap, String(step)) : undefined;
  }

  #pairIn(map: AnyMap, name: string): { key: unknown; value: unknown } | undefined {
    const own = map.items.find((pair) => keyOf(pair) === name);
    if (own !== undefined) return { key: own.key, value: own.value };
    for (const merge of map.items.filter((pair) => keyOf(pair) === "<<")) {
      const merged = this.#resolve(merge.value);
      for (const part of isSeq(merged) ? merged.items : [merged]) {
        const node = this.#resolve(part);
        const found = isMap(node) ? this.#pairIn(node as AnyMap, name) : undefined;
        if (found !== undefined) return found;
      }
    }
    return undefined;
  }

  #resolve(node: unknown): unknown {
    return isAlias(node) ? node.resolve(this.#document) : node;
  }
}

function keyOf(pair: Pair<unknown, unknown>): string {
  return isScalar(pair.key) ? String(pair.key.value) : "";
}

function offsetOf(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0];
}
