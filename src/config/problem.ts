/**
 * Problems: what is wrong with a configuration, where, and what to do; all of them, not only the first.
 *
 * shape  a Place is one key of the document; it knows its path and where that stands in the file
 * rule   a message never quotes a secret; long values are cut
 */
import type { Problem } from "./config.ts";

export type Path = readonly (string | number)[];

export interface Position {
  /** From 1; 0 when unknown. */
  readonly line: number;
  readonly column: number;
}

export const NOWHERE: Position = { line: 0, column: 0 };

/** A document as values, and where each of them was written. */
export interface Source {
  readonly file: string;
  readonly value: unknown;
  /** Position of the key or the value at `path`, or of its nearest parent that has one. */
  locate(path: Path, part: "key" | "value"): Position;
  /** A scalar as written: tells `1.0` from `1` and `007` from `7`. */
  written(path: Path): string | undefined;
}

/** More than this is one mistake repeated; a person reads the first dozen. */
const MAX_PROBLEMS = 200;
const MAX_QUOTED = 60;

export class Report {
  readonly #problems: Problem[] = [];
  #dropped = 0;
  #errorCount = 0;
  /** Paths whose value is lost: what else is wrong with it is a consequence. */
  readonly #spoiled = new Set<string>();

  get errorCount(): number {
    return this.#errorCount;
  }

  spoil(path: string): void {
    this.#spoiled.add(path);
  }

  add(problem: Problem): void {
    if (this.#spoiled.has(problem.path)) return;
    if (problem.severity === "error") this.#errorCount++;
    if (this.#problems.length < MAX_PROBLEMS) this.#problems.push(problem);
    else this.#dropped++;
  }

  /** In the order of the file. */
  problems(): readonly Problem[] {
    const sorted = this.#problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
    const last = sorted.at(-1);
    if (this.#dropped === 0 || last === undefined) return sorted;
    const message = `${this.#dropped} more problems are not shown`;
    return [...sorted, errorWithoutLine(last.file, "", message, undefined)];
  }
}

export class Place {
  readonly path: Path;
  /** The path with map names as `*` and list positions as `[]`: the name of the rule that holds here. */
  readonly rule: string;
  readonly #source: Source;
  readonly #report: Report;

  constructor(source: Source, report: Report, path: Path = [], rule = "") {
    this.#source = source;
    this.#report = report;
    this.path = path;
    this.rule = rule;
  }

  /** A key that the schema names. */
  key(name: string): Place {
    return this.#child(name, this.rule === "" ? name : `${this.rule}.${name}`);
  }

  /** A key that the user named, in a map of names. */
  entry(name: string): Place {
    return this.#child(name, `${this.rule}.*`);
  }

  item(index: number): Place {
    return this.#child(index, `${this.rule}[]`);
  }

  /** The same place under another rule: a short form stands where its full form would stand. */
  withRule(rule: string): Place {
    return new Place(this.#source, this.#report, this.path, rule);
  }

  error(message: string, hint?: string): void {
    this.#add("error", "value", message, hint);
  }

  /** An error that leaves nothing to judge here: further ones at this place are not reported. */
  spoil(message: string, hint: string): void {
    this.error(message, hint);
    this.#report.spoil(this.text);
  }

  keyError(message: string, hint?: string): void {
    this.#add("error", "key", message, hint);
  }

  warning(message: string, hint?: string): void {
    this.#add("warning", "value", message, hint);
  }

  written(): string | undefined {
    return this.#source.written(this.path);
  }

  /** The keys written here, rightly or not; none where no mapping is. */
  names(): readonly string[] {
    let value: unknown = this.#source.value;
    for (const step of this.path) {
      value = (value as Record<string | number, unknown> | null | undefined)?.[step];
    }
    return typeof value === "object" && value !== null && !Array.isArray(value) ? Object.keys(value) : [];
  }

  has(name: string): boolean {
    return this.names().includes(name);
  }

  /** Errors reported so far, anywhere: compare before and after to learn whether a part was sound. */
  get errorCount(): number {
    return this.#report.errorCount;
  }

  get text(): string {
    return formatPath(this.path);
  }

  /** `file:line` for a message that points at a second place. */
  get where(): string {
    const { line } = this.#source.locate(this.path, "value");
    return line === 0 ? `\`${formatPath(this.path)}\`` : `line ${line}`;
  }

  #child(step: string | number, rule: string): Place {
    return new Place(this.#source, this.#report, [...this.path, step], rule);
  }

  #add(
    severity: Problem["severity"],
    part: "key" | "value",
    message: string,
    hint: string | undefined,
  ): void {
    const { line, column } = this.#source.locate(this.path, part);
    const path = formatPath(this.path);
    this.#report.add({ file: this.#source.file, line, column, path, message, hint, severity });
  }
}

/** `routes[0].match.path`; a name that is no plain word stands in quotes. */
export function formatPath(path: Path): string {
  let text = "";
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`;
    else if (!/^[\w-]+$/.test(step)) text += `[${quote(step)}]`;
    else text += text === "" ? step : `.${step}`;
  }
  return text;
}

/** An error that no line of the file is to blame for: what the configuration names is missing, taken or refused. */
export function errorWithoutLine(
  file: string,
  path: string,
  message: string,
  hint: string | undefined,
): Problem {
  return { file, ...NOWHERE, path, message, hint, severity: "error" };
}

/** One line for people: `file:line:column: what is wrong. hint`. */
export function formatProblem(problem: Problem): string {
  const { file, line, column, path, message, hint, severity } = problem;
  const place = line === 0 ? file : `${file}:${line}:${column}`;
  const kind = severity === "warning" ? "warning: " : "";
  const subject = path === "" || message.startsWith(`\`${path}\``) ? "" : `${path}: `;
  return `${place}: ${kind}${subject}${message}.${hint === undefined ? "" : ` ${hint}`}`;
}

/** A value in quotes, cut to a length that fits a line, with control characters made visible. */
export function quote(text: string): string {
  return JSON.stringify(text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text);
}

/** Names a value of the wrong kind in a message. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a mapping";
  return typeof value === "string" ? quote(value) : String(value);
}
