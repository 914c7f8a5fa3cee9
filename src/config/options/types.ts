/**
 * Option types: what may stand under a key, and how it is read.
 *
 * shape  a Type reads one value at one Place: the value, or undefined after saying what is wrong there;
 *        `scalars.ts` has those of single values, `containers.ts` lists and mappings of them
 * rule   reading goes on after a mistake, so that every mistake of a file is reported at once; defaults are
 *        filled in later (`withDefaults`), so that "written" and "left out" stay apart until policies are merged
 */
import type { Place } from "../problem.ts";

export type JsonSchema = Readonly<Record<string, unknown>>;

export interface Type<T> {
  /** For the reference: `duration`, `list of names`. */
  readonly name: string;
  readonly schema: JsonSchema;
  /** Keys below, for the reference. */
  readonly rows?: Rows;
  read(value: unknown, place: Place): T | undefined;
}

/** One key of the configuration. */
export interface Option<T, D = T | undefined> {
  readonly type: Type<T>;
  readonly help: string;
  /** As a person would write it; undefined = left out means nothing. */
  readonly written: unknown;
  /** The default as read. */
  readonly value: D;
  readonly isRequired: boolean;
}

export type Rows = Readonly<Record<string, Option<unknown, unknown>>>;
/** Rows with exactly the keys of an input type. */
export type RowsFor<I> = { readonly [K in keyof Required<I>]: Option<unknown, unknown> };
/** What reading gives: only the keys that were written, and written right. */
export type Written<R extends Rows> = {
  readonly [K in keyof R]?: R[K] extends Option<infer T, unknown> ? T : never;
};
/** The same with every default filled in. */
export type Filled<R extends Rows> = {
  readonly [K in keyof R]: R[K] extends Option<infer T, infer D> ? T | D : never;
};

/** A key that may be left out. */
export function optional<T>(type: Type<T>, help: string): Option<T, undefined> {
  return { type, help, written: undefined, value: undefined, isRequired: false };
}

/** A key that stands for `written` when it is left out; the default is read by the same rules. */
export function defaulted<T>(type: Type<T>, written: unknown, help: string): Option<T, T> {
  return { type, help, written, value: readDefault(type, written), isRequired: false };
}

export function required<T>(type: Type<T>, help: string): Option<T, undefined> {
  return { type, help, written: undefined, value: undefined, isRequired: true };
}

function readDefault<T>(type: Type<T>, written: unknown): T {
  const value = type.read(written, UNWRITTEN);
  if (value === undefined) throw new Error(`a default is no ${type.name}`);
  return value;
}

/** Stands where no document is: reading a default must not have anything to complain about. */
const UNWRITTEN = {
  error: (message: string) => {
    throw new Error(`a default is refused: ${message}`);
  },
  written: () => undefined,
  has: () => false,
  key: () => UNWRITTEN,
  item: () => UNWRITTEN,
  withRule: () => UNWRITTEN,
} as unknown as Place;

export function withDefaults<R extends Rows>(rows: R, written: Written<R> | undefined): Filled<R> {
  const entries = Object.entries(rows).map(([key, option]) => [
    key,
    (written as Readonly<Record<string, unknown>> | undefined)?.[key] ?? option.value,
  ]);
  return Object.fromEntries(entries) as Filled<R>;
}
