/**
 * Sticky: a cookie that keeps a client at its endpoint.
 *
 * why    the cookie's value is a keyed digest of the endpoint's name: nobody can make one up, it tells nothing of the
 *        inside, it means the same to every worker and after a reload, and reading it costs one look into a table
 * rule   a client keeps its endpoint while that may take sessions (draining ones may, broken ones may not); otherwise
 *        it gets another, and another cookie
 */
import { createHmac } from "node:crypto";
import type { StickyConfig } from "../config/config.ts";
import { cookieOf } from "../route/request-text.ts";
import type { Exchange } from "../session/exchange.ts";

/** 96 bits: a client that guesses for a year finds none. */
const TOKEN_LETTERS = 16;

export class Sticky {
  readonly #cookie: string;
  readonly #tokens: readonly string[];
  readonly #indexes: ReadonlyMap<string, number>;
  readonly #attributes: string;

  /** `names` are those of the endpoints. */
  constructor({ cookie, ttlMs, secret = "" }: StickyConfig, upstream: string, names: readonly string[]) {
    const tokenOf = (name: string) =>
      createHmac("sha256", secret).update(`${upstream}\n${name}`).digest("base64url").slice(0, TOKEN_LETTERS);
    this.#cookie = cookie;
    this.#tokens = names.map(tokenOf);
    this.#indexes = new Map(this.#tokens.map((token, index) => [token, index]));
    const age = ttlMs === 0 ? "" : `; Max-Age=${Math.ceil(ttlMs / 1000)}`;
    this.#attributes = `; Path=/; HttpOnly; SameSite=Lax${age}`;
  }

  /** Index of the endpoint that the client's cookie names, or -1. */
  endpointOf(exchange: Exchange): number {
    const token = cookieOf(exchange.requestFields, this.#cookie);
    return token === undefined ? -1 : (this.#indexes.get(token) ?? -1);
  }

  /** Field line that gives the client its cookie; "" when it has it. */
  lineFor(exchange: Exchange, index: number): string {
    if (this.endpointOf(exchange) === index) return "";
    const secure = exchange.downstream.scheme === "https" ? "; Secure" : "";
    return `Set-Cookie: ${this.#cookie}=${this.#tokens[index]}${this.#attributes}${secure}\r\n`;
  }
}
