/**
 * Request kinds: what the load asks for, in which share, and what must come back.
 */
import { pattern } from "./pattern.ts";

/** A request in words that every version of HTTP has, and the body that must come back. */
export interface RequestParts {
  readonly path: string;
  /** What is sent, in one piece or in pieces of unknown total length. */
  readonly content: readonly string[];
  readonly answer: string;
}

export interface RequestKind {
  readonly name: string;
  /** Out of 20. */
  readonly share: number;
  readonly method: "GET" | "HEAD" | "POST";
  parts(id: number): RequestParts;
}

const get = (path: string, size: number) => (id: number) => ({
  path: `/${path}/${id}/${size}`,
  content: [],
  answer: pattern(id, size),
});

function inHalves(text: string): string[] {
  const middle = text.length >> 1;
  return [text.slice(0, middle), text.slice(middle)];
}

export const REQUEST_KINDS: readonly RequestKind[] = [
  { name: "small", share: 9, method: "GET", parts: get("bytes", 120) },
  { name: "10k", share: 3, method: "GET", parts: get("bytes", 10_240) },
  { name: "chunked answer", share: 2, method: "GET", parts: get("chunks", 3000) },
  {
    name: "head",
    share: 1,
    method: "HEAD",
    parts: (id) => ({ path: `/bytes/${id}/500`, content: [], answer: "" }),
  },
  {
    name: "post",
    share: 3,
    method: "POST",
    parts: (id) => ({ path: `/echo/${id}`, content: [pattern(id, 1500)], answer: pattern(id, 1500) }),
  },
  {
    name: "chunked post",
    share: 2,
    method: "POST",
    parts: (id) => ({ path: `/echo/${id}`, content: inHalves(pattern(id, 2000)), answer: pattern(id, 2000) }),
  },
];

const ORDER = REQUEST_KINDS.flatMap((kind) => Array.from({ length: kind.share }, () => kind));

/** The kind of the n-th request: always the same order, every kind spread evenly (7 is prime to 20). */
export function kindOf(id: number): RequestKind {
  return ORDER[(id * 7) % ORDER.length] as RequestKind;
}

/** The request as HTTP/1.1 sends it; `lines` are field lines to send along. */
export function requestText({ method }: RequestKind, { path, content }: RequestParts, lines: string): string {
  const head = `${method} ${path} HTTP/1.1\r\n${lines}`;
  const [first = "", ...others] = content;
  if (method !== "POST") return `${head}\r\n`;
  if (others.length === 0) return `${head}Content-Length: ${first.length}\r\n\r\n${first}`;
  const chunks = content.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`);
  return `${head}Transfer-Encoding: chunked\r\n\r\n${chunks.join("")}0\r\n\r\n`;
}
