/**
 * HTTP: a program that answers with a JSON list of endpoints.
 *
 * spec   RFC 9110 §8.8.3, §13.1.2, §15.4.5: an unchanged list is a 304 and is not read again
 */
import { readJsonList } from "./endpoint-list.ts";
import { fetchText } from "./fetch-text.ts";
import { type Found, failure, type Source } from "./source.ts";

export class HttpSource implements Source {
  readonly name: string;
  readonly #url: string;
  readonly #isSecure: boolean;
  #etag = "";

  constructor(url: string, isSecure: boolean) {
    this.name = url;
    this.#url = url;
    this.#isSecure = isSecure;
  }

  async ask(): Promise<Found> {
    const headers: Record<string, string> = { Accept: "application/json" };
    if (this.#etag !== "") headers["If-None-Match"] = this.#etag;
    try {
      const { status, etag, text } = await fetchText({ url: this.#url, headers });
      if (status === 304 && this.#etag !== "") return { kind: "same" };
      this.#etag = "";
      if (status !== 200) return failure(`it answers with status ${status}`);
      const found = readJsonList(text, { name: this.#url, folder: undefined, isSecure: this.#isSecure });
      if (found.kind === "list" && found.endpoints.length > 0) this.#etag = etag;
      return found;
    } catch (error) {
      return failure((error as Error).message);
    }
  }
}
