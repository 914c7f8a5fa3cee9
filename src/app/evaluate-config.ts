/**
 * Evaluates one `weir.config.ts` and prints its default export as JSON. Runs as a process of its own.
 *
 * why    a module is evaluated once in a process; a fresh process sees every change, also in what it imports,
 *        and a configuration that hangs or exits takes nothing with it
 * in     argv: the file's absolute path, and a mark that no output of the file can hold by accident
 * out    on standard output, after the mark: an Evaluation
 * note   `import { defineConfig } from "weir"` works wherever the file lies, installed beside it or not
 */
import { plugin } from "bun";
import { defineConfig } from "../config/define.ts";

export interface EvaluationError {
  readonly message: string;
  readonly file: string;
  /** 0 when unknown. */
  readonly line: number;
  readonly column: number;
}

export type Evaluation =
  | { readonly kind: "value"; readonly value: unknown }
  | { readonly kind: "failed"; readonly errors: readonly EvaluationError[] };

const MAX_ERRORS = 20;
const MAX_DEPTH = 64;

/** What the runtime throws for a file that it cannot read, and for each of its syntax errors. */
interface BuildError {
  readonly message?: string;
  readonly position?: { readonly file?: string; readonly line: number; readonly column: number } | null;
  readonly errors?: readonly BuildError[];
  readonly stack?: string;
}

async function evaluate(file: string): Promise<Evaluation> {
  try {
    const module = (await import(file)) as { readonly default?: unknown };
    const value = await module.default;
    const wrong =
      value === undefined
        ? "the file has no default export: write `export default defineConfig({ … })`"
        : findForeign(value, "", 0);
    if (wrong === undefined) return { kind: "value", value };
    return { kind: "failed", errors: [{ message: wrong, file, line: 0, column: 0 }] };
  } catch (error) {
    return { kind: "failed", errors: errorsOf(error, file) };
  }
}

/** Names the first value that is not plain data: JSON would drop it without a word. */
function findForeign(value: unknown, path: string, depth: number): string | undefined {
  if (depth > MAX_DEPTH) return `\`${path.slice(0, 60)}…\` is nested too deeply`;
  if (value === null || value === undefined || typeof value === "string" || typeof value === "boolean")
    return undefined;
  if (typeof value === "number" && Number.isFinite(value)) return undefined;
  if (typeof value !== "object" || !isPlain(value)) return `\`${path}\` is not plain data: ${kindOf(value)}`;
  for (const [key, child] of Object.entries(value)) {
    const step = Array.isArray(value) ? `[${key}]` : `${path === "" ? "" : "."}${key}`;
    const wrong = findForeign(child, `${path}${step}`, depth + 1);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return Array.isArray(value) || prototype === Object.prototype || prototype === null;
}

function kindOf(value: unknown): string {
  return typeof value === "object"
    ? `a ${value?.constructor?.name ?? "strange object"}`
    : `a ${typeof value}`;
}

function errorsOf(error: unknown, file: string): readonly EvaluationError[] {
  if (typeof error !== "object" || error === null) {
    return [{ message: String(error), file, line: 0, column: 0 }];
  }
  const { errors, message, position, stack } = error as BuildError;
  if (errors !== undefined && errors.length > 0) {
    return errors.slice(0, MAX_ERRORS).flatMap((each) => errorsOf(each, file));
  }
  const place = position ?? placeOf(stack ?? "");
  const { line, column } = place ?? { line: 0, column: 0 };
  return [{ message: (message ?? "unknown").split("\n")[0] ?? "", file: place?.file ?? file, line, column }];
}

/** The innermost frame outside of this file: `at name (/path/weir.config.ts:3:9)`. */
function placeOf(stack: string): { file: string; line: number; column: number } | undefined {
  for (const line of stack.split("\n")) {
    const frame = /\(?((?:file:\/\/)?\/[^():]+):(\d+):(\d+)\)?\s*$/.exec(line);
    if (frame === null || frame[1] === import.meta.path) continue;
    return {
      file: (frame[1] ?? "").replace(/^file:\/\//, ""),
      line: Number(frame[2]),
      column: Number(frame[3]),
    };
  }
  return undefined;
}

if (import.meta.main) {
  const [file = "", mark = ""] = process.argv.slice(2);
  plugin({
    name: "weir",
    setup(build) {
      build.module("weir", () => ({ exports: { defineConfig }, loader: "object" }));
    },
  });
  const evaluation = await evaluate(file);
  process.stdout.write(`${mark}${JSON.stringify(evaluation)}`, () => process.exit(0));
}
