/**
 * Answer reader: takes whole HTTP/1 answers off a growing text, one character a byte.
 *
 * fails  throws on anything that is not an answer as this campaign's origin gives it
 */
export interface Answer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
  readonly isLast: boolean;
  /** Characters used up. */
  readonly length: number;
}

export const MORE = undefined;

/** out  the first answer in the text, or MORE while it is not complete */
export function takeAnswer(text: string, isHead: boolean): Answer | typeof MORE {
  const end = text.indexOf("\r\n\r\n");
  if (end === -1) {
    if (!"HTTP/1.1 ".startsWith(text.slice(0, 9))) throw new Error(`not HTTP: ${text.slice(0, 80)}`);
    return MORE;
  }
  const head = text.slice(0, end + 2).toLowerCase();
  const body = isHead ? { text: "", end: end + 4 } : takeBody(text, head, end + 4);
  if (body === undefined) return MORE;
  const isLast = head.includes("\r\nconnection: close\r\n");
  return { status: Number(text.slice(9, 12)), head, body: body.text, isLast, length: body.end };
}

interface Body {
  readonly text: string;
  readonly end: number;
}

function takeBody(text: string, head: string, start: number): Body | undefined {
  if (head.includes("\r\ntransfer-encoding: chunked\r\n")) return takeChunks(text, start);
  const length = /\r\ncontent-length: (\d+)\r\n/.exec(head)?.[1];
  if (length === undefined) throw new Error(`an answer without length: ${head}`);
  const end = start + Number(length);
  return text.length < end ? undefined : { text: text.slice(start, end), end };
}

function takeChunks(text: string, start: number): Body | undefined {
  let body = "";
  for (let at = start; ; ) {
    const lineEnd = text.indexOf("\r\n", at);
    if (lineEnd === -1) return undefined;
    const size = Number.parseInt(text.slice(at, lineEnd), 16);
    if (Number.isNaN(size)) throw new Error(`not a chunk size: ${text.slice(at, lineEnd)}`);
    const end = lineEnd + 2 + size + 2;
    if (text.length < end) return undefined;
    if (text.slice(end - 2, end) !== "\r\n") throw new Error("a chunk that does not end where it says");
    if (size === 0) return { text: body, end };
    body += text.slice(lineEnd + 2, end - 2);
    at = end;
  }
}
