/**
 * Story: what a reader tells about some bytes, as text that can be compared.
 *
 * why    the laws compare two tellings of the same bytes: neighbouring body pieces are joined, all else stays
 * rule   checks on the way that nothing follows a failure, and that fields last until their message's end
 */
import { expect } from "bun:test";
import {
  EVENT_BODY,
  EVENT_END,
  EVENT_FAILED,
  EVENT_HEAD,
  EVENT_MORE,
  Reader,
} from "../../src/protocol/h1/reader.ts";
import { HEAD_BYTES, HEADERS } from "../wire/malformed-requests.table.ts";

export type Role = "request" | "response";
export const LIMITS = { headBytes: HEAD_BYTES, headers: HEADERS };

/** The most a reader may take without telling anything: a head, or a chunk's size line. */
export const MAX_SILENT_BYTES = HEAD_BYTES + 16;

export class Story {
  readonly reader: Reader;
  readonly #role: Role;
  readonly events: string[] = [];
  body = "";
  #fields = "";
  #silentBytes = 0;

  constructor(role: Role, method = "GET") {
    this.#role = role;
    this.reader = new Reader(role, LIMITS);
    this.reader.expect(method);
  }

  /** After a failure nothing is fed any more, as in the sessions. */
  feed(piece: Buffer): void {
    if (this.events.at(-1)?.startsWith("failed ") === true) return;
    this.reader.feed(piece);
    this.#silentBytes += piece.length;
  }

  /** Takes events until the bytes are used up. */
  pull(): void {
    for (;;) {
      const event = this.reader.next();
      if (event === EVENT_MORE) break;
      if (event === EVENT_FAILED) {
        this.#tellFailure();
        return;
      }
      this.#silentBytes = this.reader.unread;
      if (event === EVENT_HEAD) this.#tellHead();
      else if (event === EVENT_BODY) this.#tellBody();
      else if (event === EVENT_END) this.#tellEnd();
    }
    expect(this.#silentBytes).toBeLessThanOrEqual(MAX_SILENT_BYTES);
  }

  #tellHead(): void {
    const { reader } = this;
    const { method, target, isHttp10 } = reader.requestLine;
    const { status, reason } = reader.statusLine;
    const line =
      this.#role === "request"
        ? `${method} ${target} ${isHttp10}`
        : `${status} ${reason} ${reader.statusLine.isHttp10}`;
    this.#fields = reader.fields.linesWithout(0, 0);
    this.#say(`head ${line} ${reader.bodyKind} ${reader.bodyLength} ${reader.isSuspect}\n${this.#fields}`);
  }

  #tellBody(): void {
    const piece = this.reader.bodyBytes.toString("latin1", this.reader.bodyStart, this.reader.bodyEnd);
    expect(this.reader.body.toString("latin1")).toBe(piece);
    this.body += piece;
    if (this.events.at(-1)?.startsWith("body ") === true) this.events[this.events.length - 1] += piece;
    else this.#say(`body ${piece}`);
  }

  #tellEnd(): void {
    expect(this.reader.fields.linesWithout(0, 0)).toBe(this.#fields);
    this.#say(`end ${this.reader.trailers}`);
  }

  #tellFailure(): void {
    if (this.events.at(-1)?.startsWith("failed ") === true) return;
    this.#say(`failed ${this.reader.failure?.code}`);
    expect(this.reader.next()).toBe(EVENT_FAILED);
  }

  #say(event: string): void {
    if (this.events.at(-1)?.startsWith("failed ") === true) throw new Error(`after a failure: ${event}`);
    this.events.push(event);
  }

  /** The connection has ended. */
  end(): string[] {
    const event = this.reader.endOfInput();
    if (event === EVENT_FAILED) this.#tellFailure();
    else if (event === EVENT_END) this.#say("end of connection");
    else this.#say(this.reader.isIdle ? "idle" : "open");
    return this.events;
  }
}

/** Tells `text`, fed in pieces that begin at 0 and at the cuts; pieces are pulled at once unless `isLazy` says so. */
export function tell(
  role: Role,
  text: string,
  cuts: readonly number[],
  options: { readonly method?: string; readonly isLazy?: () => boolean } = {},
): string[] {
  const story = new Story(role, options.method);
  const starts = [0, ...cuts];
  for (const [index, start] of starts.entries()) {
    // a copy: the reader may move bytes inside of what it was fed
    story.feed(Buffer.from(text.slice(start, starts[index + 1] ?? text.length), "latin1"));
    if (options.isLazy?.() !== true) story.pull();
  }
  story.pull();
  return story.end();
}
