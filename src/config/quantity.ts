/**
 * Quantities: durations, sizes and shares as people write them.
 *
 * in     `250ms 5s 2m 1h`, `64KiB 10MiB 1GB 4096`, `50%`
 * out    ms, bytes, shares; or why the text is neither
 * never  guess a unit: `30` is thirty of something, and the reader must not have to know of what
 */
export type Quantity = { readonly value: number } | { readonly wrong: string; readonly hint: string };

const MS_BY_UNIT: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const BYTES_BY_UNIT: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  KB: 1000,
  MB: 1000 ** 2,
  GB: 1000 ** 3,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
};

const NUMBER_AND_UNIT = /^(\d{1,15}(?:\.\d{1,6})?)\s?([A-Za-z]*)$/;

function unitOf(units: Readonly<Record<string, number>>, unit: string): number | undefined {
  return Object.hasOwn(units, unit) ? units[unit] : undefined;
}

/** `250ms`, `5s`, `2m`, `1h`, or `0`. out  ms */
export function parseDuration(text: string): Quantity {
  const parts = NUMBER_AND_UNIT.exec(text.trim());
  if (parts === null) {
    const isSum = /^(?:\d+(?:h|ms|m|s)\s?){2,}$/.test(text);
    const hint = isSum ? "Use one unit: 90s, not 1m30s." : "Write 250ms, 5s, 2m or 1h.";
    return { wrong: "is not a duration", hint };
  }
  const [, digits = "", unit = ""] = parts;
  const amount = Number(digits);
  if (unit === "") {
    if (amount === 0) return { value: 0 };
    return { wrong: "has no unit", hint: `Write ${digits}s for seconds or ${digits}ms for milliseconds.` };
  }
  const factor = unitOf(MS_BY_UNIT, unit);
  if (factor === undefined) return { wrong: `has an unknown unit "${unit}"`, hint: "Use ms, s, m or h." };
  const value = amount * factor;
  if (!Number.isInteger(value))
    return { wrong: "is not a whole number of milliseconds", hint: "Write it in ms." };
  return { value };
}

/** `64KiB`, `10MB`, or plain bytes. out  bytes */
export function parseSize(text: string): Quantity {
  const parts = NUMBER_AND_UNIT.exec(text.trim());
  if (parts === null) return { wrong: "is not a size", hint: "Write 64KiB, 10MiB, 2GiB, or plain bytes." };
  const [, digits = "", unit = ""] = parts;
  const factor = unitOf(BYTES_BY_UNIT, unit);
  if (factor === undefined) {
    const letter = /^([KMG])i?B?$/i.exec(unit)?.[1]?.toUpperCase();
    const hint =
      letter === undefined ? "" : `Write ${digits}${letter}iB (by 1024) or ${digits}${letter}B (by 1000).`;
    return {
      wrong: `has an unknown unit "${unit}"`,
      hint: hint || "Use KiB, MiB or GiB (1024), or KB, MB or GB (1000).",
    };
  }
  const value = Number(digits) * factor;
  if (!Number.isSafeInteger(value))
    return { wrong: "is not a whole number of bytes", hint: "Write plain bytes." };
  return { value };
}

/** `50%`, or `0`. out  a share: 0.5 */
export function parsePercent(text: string): Quantity {
  const [, digits, sign] = /^(\d{1,6}(?:\.\d{1,4})?)\s?(%?)$/.exec(text.trim()) ?? [];
  if (digits === undefined) return { wrong: "is not a percentage", hint: "Write 50%." };
  const amount = Number(digits);
  if (sign === "%" || amount === 0) return { value: amount / 100 };
  const isFactor = amount <= 1 || (amount < 10 && digits.includes("."));
  const meant = isFactor ? formatPercent(amount) : `${digits}%`;
  return { wrong: "has no percent sign", hint: `Write ${meant}.` };
}

/** For messages: 0.5 is `50%`. */
export function formatPercent(share: number): string {
  return `${Math.round(share * 1e6) / 1e4}%`;
}

/** The shortest exact spelling, for messages and the printed reference. */
export function formatDuration(ms: number): string {
  for (const unit of ["h", "m", "s"]) {
    const factor = MS_BY_UNIT[unit] as number;
    if (ms >= factor && ms % factor === 0) return `${ms / factor}${unit}`;
  }
  return ms === 0 ? "0" : `${ms}ms`;
}

/** The same for bytes. */
export function formatSize(bytes: number): string {
  for (const unit of ["GiB", "MiB", "KiB"]) {
    const factor = BYTES_BY_UNIT[unit] as number;
    if (bytes >= factor && bytes % factor === 0) return `${bytes / factor}${unit}`;
  }
  return String(bytes);
}
