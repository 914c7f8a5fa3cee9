/**
 * Part order: which part of a body a fetch asks for, where it does not ask for all of it.
 *
 * spec   RFC 9111 §3.3, §3.4; RFC 9110 §13.1.5, §14.2
 */
import type { Completion } from "../cache/partial.ts";
import type { StoredResponse } from "../cache/stored.ts";

export type PartOrder =
  /** What the client itself asks for, for it alone: its Range and If-Range are sent as they came. */
  | { readonly kind: "asked" }
  /** What the stored part `of` lacks: the answer is the whole. */
  | { readonly kind: "rest"; readonly of: StoredResponse; readonly completion: Completion }
  /** A slice of so many bytes. */
  | SliceOrder;

export interface SliceOrder {
  readonly kind: "slice";
  /** From 0. */
  readonly number: number;
  readonly sliceBytes: number;
}

/** Field lines that ask for it, besides what the client sent. */
export function rangeLines(part: PartOrder): string {
  if (part.kind === "asked") return "";
  if (part.kind === "rest") return part.completion.lines;
  const first = part.number * part.sliceBytes;
  return `Range: bytes=${first}-${first + part.sliceBytes - 1}\r\n`;
}
