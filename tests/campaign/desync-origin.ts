/**
 * Desync origin: reads requests as a pedant, answers each in the way that its path asks for, in pieces, and writes
 * down what it got.
 */
import type { OriginConnection, OriginScript } from "../support/origin.ts";
import { type StrictRequest, strictRequests } from "../wire/strict-requests.ts";
import { bodyFor, type How, type Ledger } from "./desync.ts";

const BODY_BYTES = 700;
const PIECE_PAUSE_MS = 2;
const EARLY = /^POST \/early\/(\w+) HTTP\/1\.1\r\n[\s\S]*?\r\n\r\n/;

interface State {
  isBusy: boolean;
  /** The request at hand was answered before it was whole. */
  isEarly: boolean;
}

/** Pieces to write one after the other. */
type Pieces = readonly string[];

const head = (id: string, ...lines: readonly string[]) =>
  `HTTP/1.1 200 OK\r\nX-Id: ${id}\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`;
const withLength = (id: string, isHead: boolean) =>
  head(id, `Content-Length: ${BODY_BYTES}`) + (isHead ? "" : bodyFor(id, BODY_BYTES));
const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;

const POISON = "HTTP/1.1 200 OK\r\nX-Id: poison\r\nContent-Length: 6\r\n\r\npoison";

function piecesFor(how: How, id: string, isHead: boolean): Pieces {
  const body = bodyFor(id, BODY_BYTES);
  const whole = withLength(id, isHead);
  const chunkedHead = head(id, "Transfer-Encoding: chunked");
  switch (how) {
    case "chunked":
      return isHead
        ? [chunkedHead]
        : [chunkedHead + chunk(body.slice(0, 9)), `${chunk(body.slice(9))}0`, "\r\n\r\n"];
    case "trailers":
      return isHead ? [chunkedHead] : [`${chunkedHead}${chunk(body)}0\r\nX-Sum: ${id}\r\n\r\n`];
    case "until-close":
      return isHead ? [head(id, "Connection: close")] : [head(id), body.slice(0, 30), body.slice(30)];
    case "nothing":
      return [`HTTP/1.1 204 No Content\r\nX-Id: ${id}\r\n\r\n`];
    case "not-modified":
      return [`HTTP/1.1 304 Not Modified\r\nX-Id: ${id}\r\nContent-Length: 44\r\n\r\n`];
    case "hints":
      return ["HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", whole];
    case "lazy":
      return [whole.slice(0, 10), whole.slice(10, 40), whole.slice(40)];
    case "extra":
      return [withLength(id, false) + POISON];
    case "reset":
      return [whole.slice(0, whole.length - 5)];
    default:
      return [whole];
  }
}

export function desyncOrigin(ledger: Ledger): OriginScript {
  const states = new WeakMap<OriginConnection, State>();
  return {
    data(connection) {
      const state = states.get(connection) ?? { isBusy: false, isEarly: false };
      states.set(connection, state);
      try {
        take(connection, state, ledger);
      } catch (error) {
        ledger.problems.push(`the origin got what is no request: ${String(error)}`);
      }
    },
  };
}

function take(connection: OriginConnection, state: State, ledger: Ledger): void {
  const { requests, rest } = strictRequests(connection.received.slice(connection.consumed));
  connection.consumed = connection.received.length - rest.length;
  for (const request of requests) {
    noteRequest(request, ledger);
    if (state.isEarly) state.isEarly = false;
    else answer(request, connection, state, ledger);
  }
  const early = EARLY.exec(rest)?.[1];
  if (early === undefined || state.isEarly) return;
  state.isEarly = true;
  write(connection, state, "early", piecesFor("early", early, false));
}

function answer(request: StrictRequest, connection: OriginConnection, state: State, ledger: Ledger): void {
  if (state.isBusy) ledger.problems.push(`a request before the answer was out: ${request.line}`);
  const [, how = "", id = ""] = /^\w+ \/([\w-]+)\/(\w+)$/.exec(request.line) ?? [];
  write(connection, state, how as How, piecesFor(how as How, id, request.line.startsWith("HEAD ")));
}

function noteRequest(request: StrictRequest, ledger: Ledger): void {
  const [, id = ""] = /\/(\w+)$/.exec(request.line) ?? [];
  const times = (ledger.received.get(id) ?? 0) + 1;
  ledger.received.set(id, times);
  if (!ledger.whole.has(id)) ledger.problems.push(`the origin got what nobody sent: ${request.line}`);
  if (times > 1 && request.line.startsWith("POST ")) ledger.problems.push(`sent twice: ${request.line}`);
  if (request.body !== bodyFor(id, request.body.length)) {
    ledger.problems.push(`${request.line} has another one's body: ${request.body}`);
  }
}

/** The last piece is written with its end, so that whoever is answered may ask again at once. */
function write(connection: OriginConnection, state: State, how: How, pieces: Pieces): void {
  const [piece = "", ...more] = pieces;
  state.isBusy = more.length > 0;
  connection.write(piece);
  if (more.length > 0) {
    setTimeout(() => write(connection, state, how, more), PIECE_PAUSE_MS);
  } else if (how === "until-close" || how === "leave") connection.end();
  else if (how === "reset") connection.reset();
}
