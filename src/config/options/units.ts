/**
 * Units in which bounds of options are written: ms and bytes.
 */
export const MS = 1;
export const SECOND = 1000;
export const MINUTE = 60_000;
export const HOUR = 3_600_000;
/** A day is far beyond any request; it keeps timers within the runtime's 31 bits. */
export const DAY = 24 * HOUR;

export const KIB = 1024;
export const MIB = 1024 ** 2;
export const TIB = 1024 ** 4;
