/**
 * HTTP check: one request over HTTP/1.1, and is the answer what a fit endpoint answers?
 *
 * rule   redirects are answers like others, not followed. Without a pattern for the body the head decides, and the body
 *        is not waited for
 * bound  the head to 32 KiB and 100 fields, the body to the first MAX_BODY_BYTES
 */
import type { ActiveHealthConfig } from "../config/config.ts";
import {
  EVENT_BODY,
  EVENT_END,
  EVENT_FAILED,
  EVENT_HEAD,
  EVENT_MORE,
  Reader,
} from "../protocol/h1/reader.ts";
import type { Talk } from "./conversation.ts";
import { type CheckOutcome, excerpt, failed, passed } from "./outcome.ts";

const MAX_BODY_BYTES = 64 * 1024;
const LIMITS = { headBytes: 32 * 1024, headers: 100 };
const WITHOUT_CONTENT: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "DELETE", "TRACE"]);

export type HttpQuestion = Pick<ActiveHealthConfig, "path" | "method" | "headers" | "statuses" | "body">;

export class HttpTalk implements Talk {
  readonly #question: HttpQuestion;
  readonly #host: string;
  readonly #pattern: RegExp | undefined;
  readonly #reader = new Reader("response", LIMITS);
  readonly #body: Buffer[] = [];
  #bodyBytes = 0;
  #status = 0;

  constructor(question: HttpQuestion, host: string) {
    this.#question = question;
    this.#host = host;
    this.#pattern = question.body === undefined ? undefined : new RegExp(question.body);
    this.#reader.expect(question.method);
  }

  begin(say: (bytes: Uint8Array) => void): undefined {
    say(Buffer.from(requestText(this.#question, this.#host), "latin1"));
  }

  hear(bytes: Buffer): CheckOutcome | undefined {
    this.#reader.feed(bytes);
    for (;;) {
      switch (this.#reader.next()) {
        case EVENT_MORE:
          return undefined;
        case EVENT_FAILED:
          return failed(
            "check_answer",
            `not an HTTP answer: ${excerpt(this.#reader.failure?.detail.trim() ?? "")}`,
          );
        case EVENT_HEAD: {
          const outcome = this.#judgeHead(this.#reader.statusLine.status);
          if (outcome !== undefined) return outcome;
          break;
        }
        case EVENT_BODY:
          if (this.#keep(this.#reader.body)) return this.#judgeBody();
          break;
        case EVENT_END:
          if (this.#status !== 0) return this.#judgeBody();
      }
    }
  }

  end(isReset: boolean): CheckOutcome {
    if (this.#reader.endOfInput(isReset) === EVENT_END) return this.#judgeBody();
    const text = this.#status === 0 ? "closed without an answer" : "closed in the middle of the answer";
    return failed("check_answer", text);
  }

  #judgeHead(status: number): CheckOutcome | undefined {
    if (status < 200 && status !== 101) return undefined; // the answer is still to come (RFC 9110 §15.2)
    this.#status = status;
    const { statuses } = this.#question;
    if (!statuses.some(([from, to]) => from <= status && status <= to)) {
      return failed("check_status", `HTTP ${status}, not ${statusesText(statuses)}`);
    }
    return this.#pattern === undefined ? passed(`HTTP ${status}`) : undefined;
  }

  /** out  true when there is enough to judge by */
  #keep(bytes: Buffer): boolean {
    const kept = bytes.subarray(0, MAX_BODY_BYTES - this.#bodyBytes);
    this.#body.push(Buffer.from(kept)); // the reader may move what it was fed
    this.#bodyBytes += kept.length;
    return this.#bodyBytes === MAX_BODY_BYTES;
  }

  #judgeBody(): CheckOutcome {
    const text = Buffer.concat(this.#body).toString();
    const { body } = this.#question;
    if (this.#pattern?.test(text) !== false) return passed(`HTTP ${this.#status}`);
    return failed("check_answer", `HTTP ${this.#status}, but ${excerpt(text)} does not hold ${body}`);
  }
}

function requestText({ method, path, headers }: HttpQuestion, host: string): string {
  const own: [name: string, value: string][] = [
    ["Host", host],
    ["User-Agent", "weir-check"],
    ["Accept", "*/*"],
  ];
  if (!WITHOUT_CONTENT.has(method)) own.push(["Content-Length", "0"]);
  const named = new Set(headers.map(([name]) => name.toLowerCase()));
  const lines = [...own.filter(([name]) => !named.has(name.toLowerCase())), ...headers];
  const text = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return `${method} ${path} HTTP/1.1\r\n${text}Connection: close\r\n\r\n`;
}

export function statusesText(statuses: ActiveHealthConfig["statuses"]): string {
  return statuses.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`)).join(", ");
}
