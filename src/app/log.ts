/**
 * Log: one line an event, for people and for journals: `time level area text` on standard error.
 *
 * why    synchronous, so that the last line before an exit is not lost; events are rare, requests are not
 *        logged here
 */
import { writeSync } from "node:fs";

export type Level = "info" | "warn" | "error";
export type Log = (level: Level, area: string, text: string) => void;

const STDERR = 2;

export function logToStderr(level: Level, area: string, text: string): void {
  const lines = text.split("\n").map((line) => `${new Date().toISOString()} ${level} ${area} ${line}\n`);
  try {
    writeSync(STDERR, lines.join(""));
  } catch {
    // nobody reads: a closed terminal or a full pipe must not stop the proxy
  }
}
