/**
 * Scalars: option types of single values: text, words, numbers, durations, sizes, shares.
 *
 * rule   a value that comes from a variable is text, so numbers and flags are read from text as well
 */
import { describe, type Place, quote } from "../problem.ts";
import {
  formatDuration,
  formatPercent,
  formatSize,
  parseDuration,
  parsePercent,
  parseSize,
  type Quantity,
} from "../quantity.ts";
import { didYouMean } from "../suggest.ts";
import { LATER_VALUES } from "./later.table.ts";
import type { JsonSchema, Type } from "./types.ts";

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

/** Why this cannot be a name, and what to do; undefined when it can. */
export function wrongName(written: string): readonly [wrong: string, hint: string] | undefined {
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

/** An upgrade runs two generations at once, and both must fit into the rows of the zone. */
export const MAX_CONFIGURED_WORKERS = 64;

export const workerCount: Type<number | "auto"> = {
  name: `\`auto\`, or a whole number, 1 to ${MAX_CONFIGURED_WORKERS}`,
  get schema() {
    return { anyOf: [{ const: "auto" }, integer(1, MAX_CONFIGURED_WORKERS).schema] };
  },
  read(value, place) {
    if (value === "auto" || typeof value === "number" || /^\d+$/.test(String(value))) {
      return value === "auto" ? "auto" : integer(1, MAX_CONFIGURED_WORKERS).read(value, place);
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

/** A whole number from `min` to `max`, both included. */
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

const PERCENT: QuantityKind = {
  name: "percentage",
  pattern: "^(0|\\d+(\\.\\d+)? ?%)$|\\$\\{",
  parse: parsePercent,
  format: formatPercent,
};

/** In ms. */
export function duration(bounds: Bounds): Type<number> {
  return quantity(DURATION, bounds, { anyOf: [{ type: "string", pattern: DURATION.pattern }, { const: 0 }] });
}

/** As a share: 0.5 is `50%`. */
export function percent(bounds: Bounds): Type<number> {
  return quantity(PERCENT, bounds, { anyOf: [{ type: "string", pattern: PERCENT.pattern }, { const: 0 }] });
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
