/**
 * Strict requests: what an endpoint got, split into requests as a pedant would.
 *
 * why    a test that says "passed on unambiguously" must not read leniently what the proxy wrote
 * in     all bytes of one connection, as latin1 text
 * out    the whole requests, and what is left of one that is not whole
 * fails  throws on anything but one CRLF head with at most one framing field in its plainest form
 */
export interface StrictRequest {
  /** Method and target. */
  readonly line: string;
  /** Field lines as received, in order. */
  readonly fields: readonly string[];
  readonly body: string;
  /** Trailer lines of a chunked body. */
  readonly trailers: readonly string[];
  /** Value of the only field with this name; throws when there are several. */
  field(name: string): string | undefined;
}

export interface Received {
  readonly requests: readonly StrictRequest[];
  readonly rest: string;
}

const LINE = /^([A-Z0-9_-]+ [!-~]+) HTTP\/1\.1$/;
const FIELD = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):(?: (.*))?$/;

export function strictRequests(text: string): Received {
  const requests: StrictRequest[] = [];
  let at = 0;
  for (;;) {
    const found = takeRequest(text, at);
    if (found === undefined) return { requests, rest: text.slice(at) };
    requests.push(found.request);
    at = found.end;
  }
}

/** True when the text begins with one whole request and holds nothing else. */
export function isWhole(text: string): boolean {
  const { requests, rest } = strictRequests(text);
  return requests.length > 0 && rest === "";
}

function takeRequest(text: string, start: number): { request: StrictRequest; end: number } | undefined {
  const headEnd = text.indexOf("\r\n\r\n", start);
  if (headEnd === -1) return undefined;
  const [first = "", ...fields] = text.slice(start, headEnd).split("\r\n");
  const line = LINE.exec(first)?.[1];
  if (line === undefined) throw new Error(`not a request line: ${JSON.stringify(first)}`);
  const values = new Map<string, string[]>();
  for (const field of fields) {
    const parts = FIELD.exec(field);
    if (parts === null) throw new Error(`not a field line: ${JSON.stringify(field)}`);
    const name = (parts[1] as string).toLowerCase();
    values.set(name, [...(values.get(name) ?? []), parts[2] ?? ""]);
  }
  const field = (name: string) => only(name, values.get(name));
  const body = takeBody(text, headEnd + 4, field("content-length"), field("transfer-encoding"));
  if (body === undefined) return undefined;
  return { request: { line, fields, body: body.text, trailers: body.trailers, field }, end: body.end };
}

function only(name: string, values: readonly string[] | undefined): string | undefined {
  if (values !== undefined && values.length > 1) throw new Error(`several ${name}: ${values.join(" | ")}`);
  return values?.[0];
}

interface Body {
  readonly text: string;
  readonly trailers: readonly string[];
  readonly end: number;
}

function takeBody(
  text: string,
  start: number,
  length: string | undefined,
  coding: string | undefined,
): Body | undefined {
  if (length !== undefined && coding !== undefined) throw new Error("two framings");
  if (coding !== undefined) {
    if (coding !== "chunked") throw new Error(`a coding other than chunked: ${coding}`);
    return takeChunks(text, start);
  }
  if (length !== undefined && !/^(?:0|[1-9]\d*)$/.test(length)) throw new Error(`a length such as ${length}`);
  const end = start + Number(length ?? 0);
  return text.length < end ? undefined : { text: text.slice(start, end), trailers: [], end };
}

function takeChunks(text: string, start: number): Body | undefined {
  let body = "";
  let at = start;
  for (;;) {
    const lineEnd = text.indexOf("\r\n", at);
    if (lineEnd === -1) return undefined;
    const line = text.slice(at, lineEnd);
    if (!/^(?:0|[1-9a-f][0-9a-f]*)$/.test(line))
      throw new Error(`a chunk size such as ${JSON.stringify(line)}`);
    const size = Number.parseInt(line, 16);
    at = lineEnd + 2;
    if (size === 0) break;
    if (text.length < at + size + 2) return undefined;
    body += text.slice(at, at + size);
    if (text.slice(at + size, at + size + 2) !== "\r\n") throw new Error("a chunk without its CRLF");
    at += size + 2;
  }
  const end = text.startsWith("\r\n", at) ? at : text.indexOf("\r\n\r\n", at) + 2;
  if (end === 1 || text.length < end + 2) return undefined;
  const trailers = text
    .slice(at, end)
    .split("\r\n")
    .filter((line) => line !== "");
  return { text: body, trailers, end: end + 2 };
}
