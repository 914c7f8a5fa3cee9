/**
 * Request kinds: what the load asks for, in which share, and what must come back.
 */
import { pattern } from "./pattern.ts";

export interface RequestKind {
  readonly name: string;
  /** Out of 20. */
  readonly share: number;
  readonly isHead?: boolean;
  /** Everything after the Host field, and what the body of the answer is. */
  request(id: number): { readonly line: string; readonly rest: string; readonly body: string };
}

const get = (path: string, size: number) => (id: number) => ({
  line: `GET /${path}/${id}/${size} HTTP/1.1`,
  rest: "\r\n",
  body: pattern(id, size),
});

function chunked(text: string): string {
  const middle = text.length >> 1;
  const pieces = [text.slice(0, middle), text.slice(middle)];
  return `${pieces.map((piece) => `${piece.length.toString(16)}\r\n${piece}\r\n`).join("")}0\r\n\r\n`;
}

export const REQUEST_KINDS: readonly RequestKind[] = [
  { name: "small", share: 9, request: get("bytes", 120) },
  { name: "10k", share: 3, request: get("bytes", 10_240) },
  { name: "chunked answer", share: 2, request: get("chunks", 3000) },
  {
    name: "head",
    share: 1,
    isHead: true,
    request: (id) => ({ line: `HEAD /bytes/${id}/500 HTTP/1.1`, rest: "\r\n", body: "" }),
  },
  {
    name: "post",
    share: 3,
    request: (id) => ({
      line: `POST /echo/${id} HTTP/1.1`,
      rest: `Content-Length: 1500\r\n\r\n${pattern(id, 1500)}`,
      body: pattern(id, 1500),
    }),
  },
  {
    name: "chunked post",
    share: 2,
    request: (id) => ({
      line: `POST /echo/${id} HTTP/1.1`,
      rest: `Transfer-Encoding: chunked\r\n\r\n${chunked(pattern(id, 2000))}`,
      body: pattern(id, 2000),
    }),
  },
];

const ORDER = REQUEST_KINDS.flatMap((kind) => Array.from({ length: kind.share }, () => kind));

/** The kind of the n-th request: always the same order, every kind spread evenly (7 is prime to 20). */
export function kindOf(id: number): RequestKind {
  return ORDER[(id * 7) % ORDER.length] as RequestKind;
}
