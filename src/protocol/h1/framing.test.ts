/** Framing: each way to declare a body, and what is made of it. Sections are those of RFC 9112. */
import { expect, test } from "bun:test";
import { fieldsOfLines } from "../../core/fields.ts";
import {
  declaredLength,
  declaresForbiddenBody,
  FRAMING_CHUNKED,
  FRAMING_NONE,
  FRAMING_TUNNEL,
  FRAMING_UNTIL_CLOSE,
  requestFraming,
  responseFraming,
} from "./framing.ts";

const fieldsOf = (...lines: readonly string[]) => fieldsOfLines(lines.map((line) => `${line}\r\n`).join(""));
const codeOf = (framing: ReturnType<typeof requestFraming>): number | string =>
  typeof framing === "number" ? framing : framing.code;

const CHUNKED = "Transfer-Encoding: chunked";

/** Name, field lines, framing or failure in HTTP/1.1, and in HTTP/1.0 where that differs. */
const REQUESTS: readonly (readonly [
  name: string,
  lines: readonly string[],
  v11: number | string,
  v10?: number | string,
])[] = [
  ["nothing declared is no body (§6.3 rule 7)", [], FRAMING_NONE],
  ["a length (§6.3 rule 6)", ["Content-Length: 5"], 5],
  ["a length of zero", ["Content-Length: 0"], 0],
  ["leading zeros", ["Content-Length: 00005"], 5],
  ["the longest exact length", ["Content-Length: 999999999999999"], 999999999999999],
  ["16 digits", ["Content-Length: 1000000000000000"], "h1_bad_field"],
  ["the same length twice (§6.3 rule 5)", ["Content-Length: 5", "Content-Length: 5"], 5],
  ["a list of the same length", ["Content-Length: 5,5, 5"], 5],
  ["two lengths", ["Content-Length: 5", "Content-Length: 6"], "h1_length_conflict"],
  ["a list of two lengths", ["Content-Length: 5, 6"], "h1_length_conflict"],
  ["one length spelt in two ways", ["Content-Length: 5", "Content-Length: 05"], "h1_length_conflict"],
  ["the same illegal length twice", ["Content-Length: +5", "Content-Length: +5"], "h1_bad_field"],
  ["an empty length", ["Content-Length: "], "h1_bad_field"],
  ["two empty lengths", ["Content-Length: ", "Content-Length: "], "h1_bad_field"],
  ["a comma alone", ["Content-Length: ,"], "h1_bad_field"],
  ["a sign", ["Content-Length: -5"], "h1_bad_field"],
  ["hexadecimal", ["Content-Length: 0x5"], "h1_bad_field"],
  ["a space inside", ["Content-Length: 5 5"], "h1_bad_field"],
  ["chunked (§6.3 rule 4)", [CHUNKED], FRAMING_CHUNKED, "h1_bad_field"],
  ["chunked in other case (§7)", ["Transfer-Encoding: ChUnKeD"], FRAMING_CHUNKED, "h1_bad_field"],
  ["chunked twice", [CHUNKED, CHUNKED], "h1_coding_unknown", "h1_bad_field"],
  ["chunked that is not last", ["Transfer-Encoding: chunked, gzip"], "h1_coding_unknown", "h1_bad_field"],
  ["chunked after another coding", ["Transfer-Encoding: gzip, chunked"], "h1_coding_unknown", "h1_bad_field"],
  ["identity", ["Transfer-Encoding: identity"], "h1_coding_unknown", "h1_bad_field"],
  ["an empty coding", ["Transfer-Encoding: "], "h1_coding_unknown", "h1_bad_field"],
  ["a coding with a parameter", ["Transfer-Encoding: chunked;a=b"], "h1_coding_unknown", "h1_bad_field"],
  ["length and chunked (§6.3 rule 3)", ["Content-Length: 5", CHUNKED], "h1_length_and_chunked"],
  ["chunked and length", [CHUNKED, "Content-Length: 5"], "h1_length_and_chunked"],
  ["chunked and a length of zero", [CHUNKED, "Content-Length: 0"], "h1_length_and_chunked"],
  ["an unknown coding and a length", ["Transfer-Encoding: x", "Content-Length: 5"], "h1_length_and_chunked"],
];

for (const [name, lines, v11, v10 = v11] of REQUESTS) {
  test(`request: ${name}`, () => {
    const fields = fieldsOf("Host: a", ...lines);
    expect([codeOf(requestFraming(fields, false)), codeOf(requestFraming(fields, true))]).toEqual([v11, v10]);
  });
}

/** Name, status, method, field lines, framing or failure. */
const RESPONSES: readonly (readonly [
  name: string,
  status: number,
  method: string,
  lines: readonly string[],
  framing: number | string,
])[] = [
  ["nothing declared lasts until the connection ends (§6.3 rule 8)", 200, "GET", [], FRAMING_UNTIL_CLOSE],
  ["a length", 200, "GET", ["Content-Length: 5"], 5],
  ["chunked", 200, "GET", [CHUNKED], FRAMING_CHUNKED],
  ["an error has a body too", 500, "POST", ["Content-Length: 5"], 5],
  ["HEAD has none (§6.3 rule 1)", 200, "HEAD", ["Content-Length: 5"], FRAMING_NONE],
  ["HEAD without length has none", 200, "HEAD", [], FRAMING_NONE],
  ["HEAD with chunked has none", 200, "HEAD", [CHUNKED], FRAMING_NONE],
  ["204 has none", 204, "GET", ["Content-Length: 5"], FRAMING_NONE],
  ["304 has none", 304, "GET", ["Content-Length: 5"], FRAMING_NONE],
  ["1xx has none", 103, "GET", ["Content-Length: 5"], FRAMING_NONE],
  ["100 has none", 100, "POST", [], FRAMING_NONE],
  [
    "101 is a tunnel (§6.3 rule 2 for what follows an upgrade)",
    101,
    "GET",
    ["Content-Length: 5"],
    FRAMING_TUNNEL,
  ],
  ["a conflict is refused", 200, "GET", ["Content-Length: 5", CHUNKED], "h1_response_framing"],
  [
    "a conflict is refused where no body may be",
    204,
    "GET",
    ["Content-Length: 5", "Content-Length: 6"],
    "h1_response_framing",
  ],
  ["a conflict is refused after HEAD", 200, "HEAD", ["Content-Length: 5", CHUNKED], "h1_response_framing"],
  ["an unknown coding is refused", 200, "GET", ["Transfer-Encoding: gzip, chunked"], "h1_response_framing"],
];

for (const [name, status, method, lines, framing] of RESPONSES) {
  test(`response: ${name}`, () => {
    expect(codeOf(responseFraming(fieldsOf(...lines), status, method, false))).toBe(framing);
  });
}

test("response: chunked in HTTP/1.0 is refused (§6.1)", () => {
  expect(codeOf(responseFraming(fieldsOf(CHUNKED), 200, "GET", true))).toBe("h1_response_framing");
});

test("a failed response says what was wrong with it, for the log", () => {
  const framing = responseFraming(fieldsOf("Content-Length: 5, 6"), 200, "GET", false);
  expect(typeof framing === "number" ? "" : framing.detail).toBe("h1_length_conflict: 5,6");
});

for (const [status, lines, isForbidden] of [
  [200, ["Content-Length: 5"], false],
  [304, ["Content-Length: 5"], false],
  [204, [], false],
  [204, ["Content-Length: 0"], false],
  [204, ["Content-Length: 5"], true],
  [204, [CHUNKED], true],
  [103, ["Content-Length: 5"], true],
] as const) {
  test(`${status} with ${lines.join()} ${isForbidden ? "declares" : "does not declare"} a body where none may be`, () => {
    expect(declaresForbiddenBody(fieldsOf(...lines), status)).toBe(isForbidden);
  });
}

test("the length that a body would have is read where it is legal, and -1 where it is not", () => {
  expect(
    [[], ["Content-Length: 5"], ["Content-Length: 5, 6"], ["Content-Length: x"]].map((lines) =>
      declaredLength(fieldsOf(...lines)),
    ),
  ).toEqual([-1, 5, -1, -1]);
});
