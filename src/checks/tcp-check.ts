/**
 * TCP check: can a connection be made (with TLS: secured and verified), and is what comes back what was expected?
 *
 * bound  the first MAX_ANSWER_BYTES of what comes back
 */
import type { ActiveHealthConfig } from "../config/config.ts";
import type { Talk } from "./conversation.ts";
import { type CheckOutcome, excerpt, failed, passed } from "./outcome.ts";

const MAX_ANSWER_BYTES = 64 * 1024;

export class TcpTalk implements Talk {
  readonly #send: string | undefined;
  readonly #expected: string | undefined;
  readonly #pattern: RegExp | undefined;
  #heard: Buffer = Buffer.alloc(0);

  constructor({ send, body }: Pick<ActiveHealthConfig, "send" | "body">) {
    this.#send = send;
    this.#expected = body;
    this.#pattern = body === undefined ? undefined : new RegExp(body);
  }

  begin(say: (bytes: Uint8Array) => void): CheckOutcome | undefined {
    if (this.#send !== undefined) say(Buffer.from(this.#send));
    return this.#pattern === undefined ? passed("connected") : undefined;
  }

  hear(bytes: Buffer): CheckOutcome | undefined {
    const room = MAX_ANSWER_BYTES - this.#heard.length;
    this.#heard = Buffer.concat([this.#heard, bytes.subarray(0, room)]);
    const text = this.#heard.toString();
    if (this.#pattern?.test(text) !== false) return passed(excerpt(text));
    return this.#heard.length === MAX_ANSWER_BYTES ? this.end() : undefined;
  }

  end(): CheckOutcome {
    if (this.#heard.length === 0) return failed("check_answer", "closed without an answer");
    return failed(
      "check_answer",
      `${excerpt(this.#heard.toString())} does not hold ${this.#expected ?? "what was expected"}`,
    );
  }
}
