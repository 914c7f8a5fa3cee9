/** Failures: the table is whole and says nothing impossible. */
import { expect, test } from "bun:test";
import { FAILURE_CODES, FAILURE_INDEX, fail, failureMeaning } from "./failure.ts";

test("every code makes a failure with its row's words and the detail given", () => {
  for (const code of FAILURE_CODES) {
    const failure = fail(code, "seen");
    expect([failure.code, failure.detail, fail(code).detail]).toEqual([code, "seen", ""]);
    expect(failureMeaning(code).length).toBeGreaterThan(10);
  }
});

test("each code has a slot of its own, in the order of the table", () => {
  expect([...FAILURE_INDEX.values()]).toEqual(FAILURE_CODES.map((_, index) => index));
});

test("who is at fault shows in the status: clients 4xx or 505 or 501, endpoints 502 to 504, ourselves 5xx", () => {
  for (const code of FAILURE_CODES) {
    const { side, status } = fail(code);
    const isFitting =
      side === "downstream"
        ? (status >= 400 && status < 500) || status === 505 || status === 501
        : side === "upstream"
          ? status >= 502 && status <= 504
          : status >= 500;
    expect([code, isFitting]).toEqual([code, true]);
  }
});

test("nothing that a client did is ever tried again", () => {
  for (const code of FAILURE_CODES) {
    const { side, retry } = fail(code);
    if (side !== "upstream") expect([code, retry]).toEqual([code, "never"]);
  }
});

test("codes are lower_snake words, for they are metric labels", () => {
  for (const code of FAILURE_CODES) expect(code).toMatch(/^[a-z][a-z0-9_]*$/);
});
