/**
 * Containers: option types made of others: lists, maps of names, mappings with known keys, and short forms.
 *
 * rule   a key that nobody knows is a mistake with a hint; what comes in a later release is told apart from one
 */
import { describe, type Place, quote } from "../problem.ts";
import { nearest } from "../suggest.ts";
import { LATER_KEYS } from "./later.table.ts";
import { flag, wrongName } from "./scalars.ts";
import type { JsonSchema, Option, Rows, Type, Written } from "./types.ts";
import { hintForKey } from "./unknown-key.ts";

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

/** One of a few words, or the mapping. */
export function wordOr<const W extends string, T>(words: readonly W[], type: Type<T>): Type<W | T> {
  const name = `${words.map((word) => `\`${word}\``).join(" or ")} or a ${type.name}`;
  return {
    ...type,
    name,
    get schema() {
      return { anyOf: [{ enum: words }, type.schema] };
    },
    read(value, place) {
      const word = words.find((one) => one === value);
      if (word !== undefined) return word;
      if (isMapping(value)) return type.read(value, place);
      const meant = typeof value === "string" ? nearest(value, words) : undefined;
      const keys = Object.keys(type.rows ?? {}).join(", ");
      const hint =
        meant === undefined
          ? `Write ${words.join(" or ")}, or a mapping: its keys are ${keys}.`
          : `Did you mean \`${meant}\`?`;
      place.error(`${describe(value)} is not ${name}`, hint);
      return undefined;
    },
  };
}

/** `true` stands for the mapping with every default, `false` for none. */
export function trueOr<R extends Rows>(type: Type<Written<R>>): Type<Written<R> | false> {
  return {
    ...type,
    name: `\`true\` or a ${type.name}`,
    get schema() {
      return { anyOf: [flag.schema, type.schema] };
    },
    read(value, place) {
      if (isMapping(value)) return type.read(value, place);
      if (value === true || value === "true") return {};
      if (value === false || value === "false") return false;
      const keys = Object.keys(type.rows ?? {}).join(", ");
      place.error(
        `${describe(value)} is neither \`true\` nor a mapping`,
        `Write \`true\`, or a mapping: its keys are ${keys}.`,
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

/** JSON Schema of a mapping with the keys of `rows` and no others. */
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

/** True for what `key: value` lines make; false for lists and nothing. */
export function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
