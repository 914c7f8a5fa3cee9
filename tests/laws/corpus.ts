/**
 * Corpus: every message that a table knows, as raw material for the laws.
 */
import { MALFORMED_REQUESTS } from "../wire/malformed-requests.table.ts";
import { MALFORMED_RESPONSES } from "../wire/malformed-responses.table.ts";
import type { Chance } from "./chance.ts";
import type { Role } from "./story.ts";

export interface Sample {
  readonly role: Role;
  readonly name: string;
  readonly text: string;
  /** Of the request that a response answers. */
  readonly method: string;
}

const MORE_REQUESTS = [
  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /a HTTP/1.1\r\nHost: a\r\n\r\nHEAD /b HTTP/1.1\r\nHost: a\r\n\r\n",
  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: a\r\n\r\n",
  'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a="b"\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX-A: b\r\nX-C: d\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n',
];

export const CORPUS: readonly Sample[] = [
  ...MORE_REQUESTS.map((text) => ({ role: "request" as const, name: text, text, method: "GET" })),
  ...MALFORMED_REQUESTS.map(({ name, bytes }) => ({
    role: "request" as const,
    name,
    text: bytes,
    method: "GET",
  })),
  ...MALFORMED_RESPONSES.map(({ name, bytes, late, method }) => ({
    role: "response" as const,
    name,
    text: bytes + (late ?? ""),
    method: method ?? "GET",
  })),
];

const SPICE = [
  "\r",
  "\n",
  "\r\n",
  "\0",
  " ",
  "\t",
  ":",
  ";",
  ",",
  "0",
  "chunked",
  "Content-Length: 5\r\n",
  "Transfer-Encoding: chunked\r\n",
  "\xff",
  "HTTP/1.1",
];

/** The text with one to four random wounds. */
export function mutate(text: string, chance: Chance): string {
  let out = text;
  for (let wounds = 1 + chance.below(4); wounds > 0; wounds--) {
    const at = chance.below(out.length + 1);
    const to = Math.min(out.length, at + chance.below(8));
    const kind = chance.below(5);
    if (kind === 0) out = out.slice(0, at) + chance.pick(SPICE) + out.slice(at);
    else if (kind === 1) out = out.slice(0, at) + out.slice(to);
    else if (kind === 2) out = out.slice(0, at) + String.fromCharCode(chance.below(256)) + out.slice(at + 1);
    else if (kind === 3) out = out.slice(0, at) + out.slice(at, to).repeat(2) + out.slice(to);
    else out = out.slice(0, at) + chance.pick(CORPUS).text.slice(0, 200) + out.slice(at);
  }
  return out;
}
