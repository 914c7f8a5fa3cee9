/**
 * Option types: what may stand under a key, and how it is read.
 *
 * shape  a Type reads one value at one Place: the value, or undefined after saying what is wrong there
 * rule   reading goes on after a mistake, so that every mistake of a file is reported at once; defaults are
 *        filled in later (`withDefaults`), so that "written" and "left out" stay apart until policies are merged
 */
import { describe, type Place, quote } from "../problem.ts";
import { formatDuration, formatSize, parseDuration, parseSize, type Quantity } from "../quantity.ts";
import { didYouMean } from "../suggest.ts";
import { LATER_KEYS, LATER_VALUES } from "./later.table.ts";
import { hintForKey } from "./unknown-key.ts";

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
  item: () => UNWRITTEN,
} as unknown as Place;

export function withDefaults<R extends Rows>(rows: R, written: Written<R> | undefined): Filled<R> {
  const entries = Object.entries(rows).map(([key, option]) => [
    key,
    (written as Readonly<Record<string, unknown>> | undefined)?.[key] ?? option.value,
  ]);
  return Object.fromEntries(entries) as Filled<R>;
}

// scalars

/** Where `${NAME}` may still stand instead of a number: an editor checks the file before it is filled in. */
const VARIABLE_SCHEMA: JsonSchema = { type: "string", pattern: "\\$\\{" };

/** Text. A number or a word like `true` is taken as it was written: `1.0` stays `1.0`. */
export function text(
  name: string,
  check?: (value: string, place: Place) => boolean,
  schema?: JsonSchema,
): Type<string> {
  return {
    name,
    schema: { type: ["string", "number", "boolean"], ...schema },
    read(value, place) {
      const isScalar = typeof value === "string" || typeof value === "number" || typeof value === "boolean";
      if (!isScalar) {
        place.error(`${describe(value)} stands where ${name} is expected`);
        return undefined;
      }
      const content = typeof value === "string" ? value : (place.written() ?? String(value));
      return check === undefined || check(content, place) ? content : undefined;
    },
  };
}

/** One of a few words. Words of later releases are told apart from mistakes. */
export function choice<W extends string>(...words: readonly W[]): Type<W> {
  const name = words.map((word) => `\`${word}\``).join(" or ");
  return {
    name,
    schema: { enum: words },
    read(value, place) {
      const found = words.find((word) => word === value);
      if (found !== undefined) return found;
      const later = LATER_VALUES[place.rule];
      if (typeof value === "string" && later?.includes(value)) {
        place.error(`${quote(value)} is not supported yet`, `Use ${name}.`);
      } else if (typeof value === "string") {
        place.error(`${quote(value)} is not known here`, didYouMean(value, words));
      } else place.error(`${describe(value)} is not ${name}`);
      return undefined;
    },
  };
}

const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;

function wrongName(written: string): readonly [wrong: string, hint: string] | undefined {
  if (NAME.test(written)) return undefined;
  return [
    `${quote(written)} cannot be a name`,
    "Use up to 64 letters, digits, dots, dashes and underscores.",
  ];
}

/** A reference to something named, or an address in its place: judged where it is looked up. */
export const name: Type<string> = text("a name", undefined, { type: "string" });

/** A name that is given here. */
export const ownName: Type<string> = text(
  "a name",
  (value, place) => {
    const wrong = wrongName(value);
    if (wrong !== undefined) place.error(...wrong);
    return wrong === undefined;
  },
  { type: "string" },
);

const MAX_WORKERS = 256;

export const workerCount: Type<number | "auto"> = {
  name: `\`auto\`, or a whole number, 1 to ${MAX_WORKERS}`,
  get schema() {
    return { anyOf: [{ const: "auto" }, integer(1, MAX_WORKERS).schema] };
  },
  read(value, place) {
    if (value === "auto" || typeof value === "number" || /^\d+$/.test(String(value))) {
      return value === "auto" ? "auto" : integer(1, MAX_WORKERS).read(value, place);
    }
    place.error(`${describe(value)} is neither \`auto\` nor a number`, "Write auto for one a core.");
    return undefined;
  },
};

export const flag: Type<boolean> = {
  name: "true or false",
  schema: { anyOf: [{ type: "boolean" }, VARIABLE_SCHEMA] },
  read(value, place) {
    if (value === true || value === "true") return true;
    if (value === false || value === "false") return false;
    const meant = value === "on" || value === "yes" ? "true" : "false";
    const isWord = value === "on" || value === "yes" || value === "off" || value === "no";
    place.error(
      `${describe(value)} is neither true nor false`,
      isWord ? `Write ${meant}.` : "Write true or false.",
    );
    return undefined;
  },
};

export function integer(min: number, max: number): Type<number> {
  return {
    name: `whole number, ${min} to ${max}`,
    schema: { anyOf: [{ type: "integer", minimum: min, maximum: max }, VARIABLE_SCHEMA] },
    read(value, place) {
      const number = typeof value === "string" && /^-?\d{1,15}$/.test(value) ? Number(value) : value;
      if (typeof number !== "number" || !Number.isInteger(number)) {
        const [, share] = /^(\d{1,15}) ?%$/.exec(String(value)) ?? [];
        const hint =
          share === undefined ? `Write a number from ${min} to ${max}.` : `Write ${share}, without %.`;
        place.error(`${describe(value)} is not a whole number`, hint);
        return undefined;
      }
      if (number >= min && number <= max) return number;
      const which = number < min ? "small" : "large";
      place.error(`${number} is too ${which}`, `Write a number from ${min} to ${max}.`);
      return undefined;
    },
  };
}

interface Bounds {
  readonly min: number;
  readonly max: number;
  /** What 0 means, where 0 is allowed below `min`. */
  readonly zero?: string;
}

interface QuantityKind {
  readonly name: string;
  readonly pattern: string;
  readonly parse: (text: string) => Quantity;
  readonly format: (value: number) => string;
}

const DURATION: QuantityKind = {
  name: "duration",
  pattern: "^(0|\\d+(\\.\\d+)? ?(ms|s|m|h))$|\\$\\{",
  parse: parseDuration,
  format: formatDuration,
};
const SIZE: QuantityKind = {
  name: "size",
  pattern: "^\\d+(\\.\\d+)? ?(B|KB|MB|GB|KiB|MiB|GiB)?$|\\$\\{",
  parse: parseSize,
  format: formatSize,
};

/** In ms. */
export function duration(bounds: Bounds): Type<number> {
  return quantity(DURATION, bounds, { anyOf: [{ type: "string", pattern: DURATION.pattern }, { const: 0 }] });
}

/** In bytes. */
export function size(bounds: Bounds): Type<number> {
  return quantity(SIZE, bounds, {
    anyOf: [
      { type: "string", pattern: SIZE.pattern },
      { type: "integer", minimum: 0 },
    ],
  });
}

function quantity(kind: QuantityKind, bounds: Bounds, schema: JsonSchema): Type<number> {
  const { min, max, zero } = bounds;
  const range = `${kind.format(min)} to ${kind.format(max)}`;
  const name = `${kind.name}, ${range}${zero === undefined ? "" : `, or 0 = ${zero}`}`;
  const rangeHint = `Write ${range}${zero === undefined ? "" : `, or 0 for ${zero}`}.`;
  return {
    name,
    schema,
    read(value, place) {
      if (typeof value !== "string" && typeof value !== "number") {
        place.error(`${describe(value)} is not a ${kind.name}`, rangeHint);
        return undefined;
      }
      const parsed = kind.parse(String(value));
      if ("wrong" in parsed) {
        place.error(`${describe(value)} ${parsed.wrong}`, parsed.hint);
        return undefined;
      }
      if (parsed.value === 0 && zero !== undefined) return 0;
      if (parsed.value >= min && parsed.value <= max) return parsed.value;
      place.error(`${describe(value)} is too ${parsed.value < min ? "small" : "large"}`, rangeHint);
      return undefined;
    },
  };
}

// containers

/** A bound for every list and map of a configuration: far above real use, far below trouble. */
const MAX_ENTRIES = 100_000;

/** A list, where one value alone may stand for a list of one. */
export function list<T>(type: Type<T>, plural: string): Type<readonly T[]> {
  return {
    name: plural,
    schema: { anyOf: [type.schema, { type: "array", items: type.schema }] },
    ...(type.rows === undefined ? {} : { rows: type.rows }),
    read(value, place) {
      if (!Array.isArray(value)) {
        const only = type.read(value, place.withRule(`${place.rule}[]`));
        return only === undefined ? undefined : [only];
      }
      return readItems(type, value, place);
    },
  };
}

/** A list that must be written as one. */
export function strictList<T>(type: Type<T>, plural: string): Type<readonly T[]> {
  return {
    name: plural,
    schema: { type: "array", items: type.schema },
    ...(type.rows === undefined ? {} : { rows: type.rows }),
    read(value, place) {
      if (Array.isArray(value)) return readItems(type, value, place);
      place.error(`${describe(value)} stands where ${plural} is expected`, "Begin each entry with `- `.");
      return undefined;
    },
  };
}

function readItems<T>(type: Type<T>, values: readonly unknown[], place: Place): readonly T[] | undefined {
  if (values.length > MAX_ENTRIES) {
    place.error(`${values.length} entries are too many`, `Keep to ${MAX_ENTRIES}.`);
    return undefined;
  }
  const items = values.map((value, index) => type.read(value, place.item(index)));
  return items.filter((item) => item !== undefined);
}

export interface Entry<T> extends Placed<T> {
  readonly name: string;
}

/** A mapping from names of the user's choice; `checkName` says what is wrong with a name. */
export function map<T>(
  type: Type<T>,
  name: string,
  checkName: (name: string) => readonly [wrong: string, hint: string] | undefined = wrongName,
): Type<readonly Entry<T>[]> {
  return {
    name,
    schema: { type: "object", additionalProperties: type.schema },
    ...(type.rows === undefined ? {} : { rows: type.rows }),
    read(value, place) {
      if (!isMapping(value)) {
        place.error(`${describe(value)} stands where a mapping of names is expected`, "Write `name: …`.");
        return undefined;
      }
      const entries = Object.entries(value).slice(0, MAX_ENTRIES);
      return entries.flatMap(([key, child]) => {
        const at = place.entry(key);
        const wrong = checkName(key);
        if (wrong !== undefined) at.keyError(...wrong);
        const errorsBefore = at.errorCount;
        const read = child === null ? noValue(at) : type.read(child, at);
        const isSound = at.errorCount === errorsBefore;
        return read === undefined || wrong !== undefined
          ? []
          : [{ name: key, value: read, place: at, isSound }];
      });
    },
  };
}

/** A mapping with the keys of `rows` and no others. */
export function object<R extends Rows>(rows: R): Type<Written<R>> {
  return {
    name: "mapping",
    rows,
    get schema() {
      return objectSchema(rows);
    },
    read(value, place) {
      if (!isMapping(value)) {
        const keys = Object.keys(rows).slice(0, 8).join(", ");
        place.error(`${describe(value)} stands where a mapping is expected`, `Its keys are ${keys}.`);
        return undefined;
      }
      const written: Record<string, unknown> = {};
      for (const [key, child] of Object.entries(value)) {
        const read = readKey(rows, key, child, place);
        if (read !== undefined) written[key] = read;
      }
      for (const [key, option] of Object.entries(rows)) {
        if (option.isRequired && !Object.hasOwn(value, key)) {
          place.error(
            `\`${key}\` is missing`,
            `Add it: ${option.help.charAt(0).toLowerCase()}${option.help.slice(1)}.`,
          );
        }
      }
      return written as Written<R>;
    },
  };
}

/** `x` stands for `{ key: x }`: the short form of a mapping of which mostly one key is needed. */
export function shortFor<R extends Rows>(rows: R, key: keyof R & string, name: string): Type<Written<R>> {
  const full = object(rows);
  const { type } = rows[key] as Option<unknown, unknown>;
  return {
    name,
    rows,
    get schema() {
      return { anyOf: [type.schema, full.schema] };
    },
    read(value, place) {
      if (isMapping(value)) return full.read(value, place);
      const only = type.read(value, place.withRule(`${place.rule}.${key}`));
      return only === undefined ? undefined : ({ [key]: only } as Written<R>);
    },
  };
}

export interface Placed<T> {
  readonly value: T;
  readonly place: Place;
  /** False when something in it was wrong: what was left out must not be blamed for a second time. */
  readonly isSound: boolean;
}

/** Keeps the place, for a value that can only be judged when the whole file is known. */
export function placed<T>(type: Type<T>): Type<Placed<T>> {
  return {
    ...type,
    read(value, place) {
      const errorsBefore = place.errorCount;
      const read = type.read(value, place);
      return read === undefined
        ? undefined
        : { value: read, place, isSound: place.errorCount === errorsBefore };
    },
  };
}

/** `off`, or the mapping. */
export function offOr<T>(type: Type<T>): Type<T | "off"> {
  return {
    ...type,
    name: `\`off\` or a ${type.name}`,
    get schema() {
      return { anyOf: [{ const: "off" }, type.schema] };
    },
    read(value, place) {
      if (value === "off") return "off";
      if (isMapping(value)) return type.read(value, place);
      const isOff = value === false || value === "false" || value === "no";
      const keys = Object.keys(type.rows ?? {}).join(", ");
      place.error(
        `${describe(value)} is neither \`off\` nor a mapping`,
        isOff ? "Write `off`." : `Write \`off\`, or a mapping: its keys are ${keys}.`,
      );
      return undefined;
    },
  };
}

function readKey(rows: Rows, key: string, value: unknown, place: Place): unknown {
  const at = place.key(key);
  const option = Object.hasOwn(rows, key) ? rows[key] : undefined;
  if (option !== undefined) {
    if (value !== null) return option.type.read(value, at);
    return noValue(at);
  }
  if (Object.hasOwn(LATER_KEYS, at.rule)) {
    at.keyError(`\`${at.text}\` is not supported yet`, "Remove it for now.");
  } else {
    at.keyError(`unknown key ${quote(key)}`, hintForKey(key, rows, place.rule));
  }
  return undefined;
}

function noValue(place: Place): undefined {
  place.error("this key has no value", "Give it one, or remove the key.");
  return undefined;
}

export function objectSchema(rows: Rows): JsonSchema {
  const properties = Object.entries(rows).map(([key, option]) => [
    key,
    {
      ...option.type.schema,
      description: `${option.help}.`,
      ...(option.written === undefined ? {} : { default: option.written }),
    },
  ]);
  const needed = Object.entries(rows).filter(([, option]) => option.isRequired);
  return {
    type: "object",
    properties: Object.fromEntries(properties),
    additionalProperties: false,
    ...(needed.length === 0 ? {} : { required: needed.map(([key]) => key) }),
  };
}

export function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
