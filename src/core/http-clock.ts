/**
 * HTTP clock: an instant as the Date field wants it.
 *
 * why    a Date field goes out with every answer made here; its text changes once a second
 * spec   RFC 9110 §5.6.7 (IMF-fixdate), §6.6.1 (Date)
 */

/** `Sun, 06 Nov 1994 08:49:37 GMT`; parts of a second are cut off. ECMAScript gives `toUTCString` exactly this form. */
export function httpDate(timeMs: number): string {
  return new Date(timeMs).toUTCString();
}

export class HttpClock {
  #second = Number.NaN;
  #text = "";

  /** The Date value for `nowMs` (since the epoch). cost: one compare within a second */
  date(nowMs: number): string {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#text = httpDate(second * 1000);
    }
    return this.#text;
  }
}
