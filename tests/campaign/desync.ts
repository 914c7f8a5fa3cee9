/**
 * Desync: plays random pipelined conversations, whole and broken, and says what in the answers does not belong.
 *
 * why    the worst a proxy can do is to give one client's answer to another, or to let through a request that
 *        nobody sent; both come from a byte counted twice or not at all, in an order nobody thought of
 * in     a chance, which repeats the conversation; the port to talk to; the ledger that the origin writes as well
 * rule   every request has an id in its path and in its body, and every answer repeats it
 */

import type { Chance } from "../laws/chance.ts";
import { type Bytes, type parseResponse, RawClient } from "../support/raw-client.ts";

/** How an origin answers: `desync-origin.ts` has one row for each. */
export const HOWS = [
  "length",
  "chunked",
  "trailers",
  "until-close",
  "nothing",
  "not-modified",
  "hints",
  "lazy",
  "early",
  "extra",
  "leave",
  "reset",
] as const;
export type How = (typeof HOWS)[number];

/** After these the client's connection need not live on, and the answer need not be whole. */
const FRAGILE: ReadonlySet<string> = new Set(["reset"]);

/** These need not have seen the request's last byte. */
const EARLY: ReadonlySet<string> = new Set(["early", "local"]);

/** What both sides write down. */
export class Ledger {
  /** Requests that a client has sent to their last byte, by id. */
  readonly whole = new Set<string>();
  /** How often the origin got each request whole. */
  readonly received = new Map<string, number>();
  readonly problems: string[] = [];
  answers = 0;
  refusals = 0;
  #next = 0;

  newId(): string {
    return `id${(++this.#next).toString(36)}z`;
  }
}

interface Planned {
  readonly id: string;
  readonly method: "GET" | "HEAD" | "POST";
  readonly how: How | "local";
  readonly bytes: string;
  /** The proxy must refuse it; nothing behind it may be looked at. */
  readonly isBroken: boolean;
}

const MAX_REQUESTS = 7;
const MAX_BODY = 3000;
const QUIET_MS = 5000;

export const bodyFor = (id: string, length: number) =>
  `${id}.`.repeat(Math.ceil(length / 4)).slice(0, length);

function chunked(body: string, chance: Chance): string {
  let text = "";
  for (let at = 0; at < body.length; ) {
    const size = Math.min(body.length - at, 1 + chance.below(900));
    const extension = chance.isTrue(0.1) ? ';name="va;lue"' : "";
    text += `${size.toString(16)}${extension}\r\n${body.slice(at, at + size)}\r\n`;
    at += size;
  }
  return `${text}0\r\n${chance.isTrue(0.2) ? "X-Check: yes\r\n" : ""}\r\n`;
}

function planWhole(ledger: Ledger, chance: Chance): Planned {
  const id = ledger.newId();
  const method = chance.pick(["GET", "GET", "HEAD", "POST", "POST"] as const);
  const how = chance.isTrue(0.15) ? "local" : chance.pick(HOWS);
  const path = how === "local" ? `/local/${id}` : `/${how}/${id}`;
  const head = `${method} ${path} HTTP/1.1\r\nHost: a.test\r\n`;
  if (method !== "POST") return { id, method, how, bytes: `${head}\r\n`, isBroken: false };
  const body = bodyFor(id, chance.below(MAX_BODY));
  const bytes = chance.isTrue(0.5)
    ? `${head}Content-Length: ${body.length}\r\n\r\n${body}`
    : `${head}Transfer-Encoding: chunked\r\n\r\n${chunked(body, chance)}`;
  return { id, method, how, bytes, isBroken: false };
}

/** Each holds a whole request with the id inside, for whoever reads it otherwise than it is meant. */
const BREAKS: readonly ((id: string) => string)[] = [
  (id) => `GET /length/${id} HTTP/1.1\nHost: a.test\n\n`,
  (id) => `GET /length/${id} HTTP/1.1\r\nHost : a.test\r\n\r\n`,
  (id) => `GET /length/${id} HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n`,
  (id) => `GET /length/${id} HTTP/1.1\r\n\r\n`,
  (id) => `GET /length/${id} HTTP/2.0\r\nHost: a.test\r\n\r\n`,
  (id) => `get /length/${id} HTTP/1.1\r\nHost: a.test\r\n\r\n`,
  (id) => `GET /length/${id} HTTP/1.1\r\nHost: a.test\r\nX: a\r\n b\r\n\r\n`,
  (id) => `GET /length/${id} HTTP/1.1\r\nHost: a.test\r\nX: a\0b\r\n\r\n`,
  (id) => `CONNECT /length/${id} HTTP/1.1\r\nHost: a.test\r\n\r\n`,
  (id) => `CONNECT /length/${id} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nab`,
  (id) => `POST /length/${id} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\nContent-Length: 4\r\n\r\n`,
  (id) => `POST /length/${id} HTTP/1.1\r\nHost: a.test\r\nContent-Length: +0\r\n\r\n`,
  (id) => `POST /length/${id} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 99999999\r\n\r\n`,
  (id) =>
    `POST /length/${id} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  (id) => `POST /length/${id} HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
  (id) => `POST /length/${id} HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n`,
  (id) =>
    `POST /length/${id} HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n`,
  (id) =>
    `POST /length/${id} HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\nX: y\r\n\r\n`,
  (id) =>
    `POST /lazy/${id} HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n1;\r\na\r\n0\r\n\r\n`,
];

function planBroken(ledger: Ledger, chance: Chance): Planned {
  const id = ledger.newId();
  const bytes = chance.pick(BREAKS)(id);
  const method = bytes.startsWith("POST") ? "POST" : "GET";
  return { id, method, how: "length", bytes, isBroken: true };
}

function plan(ledger: Ledger, chance: Chance): Planned[] {
  const requests = Array.from({ length: 1 + chance.below(MAX_REQUESTS) }, () => planWhole(ledger, chance));
  if (chance.isTrue(0.4)) {
    requests.splice(chance.below(requests.length + 1), 0, planBroken(ledger, chance));
  }
  return requests;
}

/** One conversation: sends, waits for the end, judges. */
export async function converse(port: number, ledger: Ledger, chance: Chance): Promise<void> {
  const requests = plan(ledger, chance);
  const isCut = chance.isTrue(0.15);
  const all = requests.map(({ bytes }) => bytes).join("");
  const sentBytes = isCut ? chance.below(all.length) : all.length;
  note(requests, sentBytes, ledger);
  const client = await RawClient.connect(port);
  try {
    await send(client, all.slice(0, sentBytes), chance);
    if (isCut && chance.isTrue(0.5)) {
      client.reset();
      return;
    }
    if (isCut || chance.isTrue(0.5)) client.end();
    await judge(client, requests, sentBytes, ledger);
  } finally {
    client.close();
  }
}

/** Which of the requests may reach the origin: those that are sent whole, up to the first broken one. */
function note(requests: readonly Planned[], sentBytes: number, ledger: Ledger): void {
  let end = 0;
  for (const { id, bytes, isBroken } of requests) {
    end += bytes.length;
    if (isBroken || end > sentBytes) return;
    ledger.whole.add(id);
  }
}

async function send(client: RawClient, text: Bytes, chance: Chance): Promise<void> {
  await client.send(text, chance.cuts(Math.max(1, text.length), chance.below(6)));
}

async function judge(
  client: RawClient,
  requests: readonly Planned[],
  sentBytes: number,
  ledger: Ledger,
): Promise<void> {
  let end = 0;
  for (const request of requests) {
    end += request.bytes.length;
    const isSent = end <= sentBytes;
    const answer = await nextAnswer(client, request.method);
    const problem = problemWith(answer, request, isSent);
    if (problem !== "") complain(ledger, request, problem, client.text);
    if (answer === undefined) return;
    ledger.answers++;
    if (request.isBroken) ledger.refusals++;
    if (request.isBroken || answer.field("connection") === "close") {
      await client.untilClose(QUIET_MS);
      if (client.unreadText !== "") complain(ledger, request, "bytes behind the last answer", client.text);
      return;
    }
  }
}

/** out  "" when that is how this request may be answered */
function problemWith(answer: Answer | undefined, request: Planned, isSent: boolean): string {
  if (answer === undefined) return isSent && !FRAGILE.has(request.how) ? "no answer" : "";
  if (!request.isBroken && isSent) return answerProblem(request, answer);
  // who answers early may do so before anybody knows that the request is broken or cut
  return answer.status >= 400 || EARLY.has(request.how) ? "" : `answered with ${answer.status}`;
}

type Answer = NonNullable<ReturnType<typeof parseResponse>>;

/** The next final answer, or undefined when the connection ends before. */
async function nextAnswer(client: RawClient, method: string): Promise<Answer | undefined> {
  for (;;) {
    try {
      const answer = await client.response(method, QUIET_MS);
      if (answer.status >= 200) return answer;
    } catch (error) {
      if (!client.isEnded && !client.isClosed) throw error;
      return undefined;
    }
  }
}

function answerProblem(request: Planned, answer: Answer): string {
  const { id, how, method } = request;
  if (how === "local") return answer.status === 200 ? "" : `local: ${answer.status}`;
  // a POST may not be sent again when its connection turns out to be closed
  const mayFail = FRAGILE.has(how) || method === "POST";
  if (answer.status === 502 && mayFail) return "";
  if (answer.field("x-id") !== id) return `the answer ${answer.status} of ${answer.field("x-id")}`;
  const hasBody = method !== "HEAD" && answer.status === 200;
  if (answer.body !== (hasBody ? bodyFor(id, answer.body.length) : "")) return "another one's body";
  return "";
}

function complain(ledger: Ledger, { id, how, method }: Planned, what: string, text: string): void {
  ledger.problems.push(`${method} /${how}/${id}: ${what}; received ${JSON.stringify(text.slice(-600))}`);
}
