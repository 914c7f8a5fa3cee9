/**
 * Log text: values as they may stand in a log line, so that no byte a client sends can end a line or a field.
 *
 * why    a log is read by programs; what it holds came from strangers
 * rule   a line is ASCII: everything else is written as an escape, so byte length is text length and no reader
 *        has to guess an encoding
 */

/** Turns a value into what may be written. */
export type Escape = (text: string) => string;

const JSON_UNSAFE = /[^\x20\x21\x23-\x5b\x5d-\x7e]/;
const JSON_UNSAFE_ALL = /[^\x20\x21\x23-\x5b\x5d-\x7e]/g;

/** The inside of a JSON string. */
export function jsonText(text: string): string {
  return JSON_UNSAFE.test(text) ? text.replace(JSON_UNSAFE_ALL, jsonEscape) : text;
}

function jsonEscape(character: string): string {
  if (character === '"') return '\\"';
  return character === "\\" ? "\\\\" : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/**
 * Escape for a line that is no JSON: `\xHH` for controls, quotes, backslash, what lies past ASCII, and `end`,
 * the character by which a reader finds the end of this value. An empty value is "-".
 */
export function plainText(end: string): Escape {
  const safe = `[^\\x20\\x21\\x23-\\x5b\\x5d-\\x7e]${end === "" ? "" : `|\\x${hexOf(end)}`}`;
  const unsafe = new RegExp(safe);
  const unsafeAll = new RegExp(safe, "g");
  return (text) => {
    if (text === "") return "-";
    return unsafe.test(text) ? text.replace(unsafeAll, hexEscape) : text;
  };
}

const hexOf = (character: string) => character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0");

function hexEscape(character: string): string {
  return character.charCodeAt(0) > 255 ? `\\u${hexOf(character).padStart(4, "0")}` : `\\x${hexOf(character)}`;
}

/** Remembers the last answer: names of routes and browsers repeat from line to line. */
export function remember(toText: Escape): Escape {
  let last = "";
  let answer = joined(toText(""));
  return (text) => {
    if (text === last) return answer;
    last = text;
    answer = joined(toText(text));
    return answer;
  };
}

/** Searching makes the engine join a concatenated text once, instead of again in every line that holds it. */
function joined(text: string): string {
  text.indexOf("\0");
  return text;
}

/** ".000" … ".999". */
const THOUSANDTHS: readonly string[] = Array.from(
  { length: 1000 },
  (_, value) => `.${String(value).padStart(3, "0")}`,
);

/** A time in ms with three decimals; `absent` for one that was not reached (negative or no number). */
export function decimalMs(durationMs: number, absent: string): string {
  if (!(durationMs >= 0)) return absent;
  const micros = Math.round(durationMs * 1000);
  const whole = Math.floor(micros / 1000);
  return whole + (THOUSANDTHS[micros - whole * 1000] as string);
}

/** The same time in seconds. */
export function decimalSeconds(durationMs: number, absent: string): string {
  return decimalMs(durationMs / 1000, absent);
}

/** Writes instants as `2026-01-31T23:59:59.123Z`. cost: one table load within a second */
export function isoClock(): (timeMs: number) => string {
  let second = Number.NaN;
  let text = "";
  return (timeMs) => {
    const whole = Math.floor(timeMs / 1000);
    if (whole !== second) {
      second = whole;
      text = new Date(whole * 1000).toISOString().slice(0, 19);
    }
    return `${text}${THOUSANDTHS[Math.floor(timeMs - whole * 1000)]}Z`;
  };
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"] as const;

/** Writes instants as the common log format does: `31/Jan/2026:23:59:59 +0000`. */
export function commonClock(): (timeMs: number) => string {
  let second = Number.NaN;
  let text = "";
  return (timeMs) => {
    const whole = Math.floor(timeMs / 1000);
    if (whole !== second) {
      second = whole;
      const iso = new Date(whole * 1000).toISOString();
      const month = MONTHS[Number(iso.slice(5, 7)) - 1];
      text = `${iso.slice(8, 10)}/${month}/${iso.slice(0, 4)}:${iso.slice(11, 19)} +0000`;
    }
    return text;
  };
}
