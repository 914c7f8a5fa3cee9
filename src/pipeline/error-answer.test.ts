import { describe, expect, test } from "bun:test";
import { FAILURE_CODES, fail } from "../core/failure.ts";
import { reasonOf } from "../protocol/reasons.table.ts";
import { errorAnswer } from "./error-answer.ts";

const ID = "0af7651916cd43dd8448eb211c80319c";
const TEXT = "text/plain; charset=utf-8";
const JSON_TYPE = "application/json";
const HTML = "text/html; charset=utf-8";
const CHROME =
  "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7";

describe("the form follows Accept (RFC 9110 §12.5.1)", () => {
  const rows: [accept: string | undefined, plain: string, withPage: string][] = [
    [undefined, TEXT, HTML],
    ["", TEXT, HTML],
    ["*/*", TEXT, HTML],
    ["text/html", HTML, HTML],
    ["TEXT/HTML", HTML, HTML],
    [CHROME, HTML, HTML],
    ["application/json", JSON_TYPE, JSON_TYPE],
    ["application/json, text/plain, */*", JSON_TYPE, JSON_TYPE],
    ["text/plain", TEXT, TEXT],
    ["text/*", TEXT, HTML],
    ["application/*", JSON_TYPE, JSON_TYPE],
    ["text/html;q=0.5, application/json", JSON_TYPE, JSON_TYPE],
    ["text/html;q=0.5, application/json;q=0.4", HTML, HTML],
    ["text/html;level=1;q=0.2, text/plain;q=0.3", TEXT, TEXT],
    ["*/*, text/html;q=0", TEXT, JSON_TYPE],
    ["*/*;q=0.1, text/plain;q=0", JSON_TYPE, HTML],
    ["text/html, application/json", HTML, HTML],
    ["application/json, text/html", JSON_TYPE, JSON_TYPE],
    ["application/json;q=5, text/html;q=0.1", HTML, HTML],
    ["image/png", TEXT, HTML],
    [",;,=,q=1", TEXT, HTML],
    [`${"x/y,".repeat(100_000)}text/html`, TEXT, HTML],
  ];
  for (const [accept, plain, withPage] of rows) {
    test(`${accept?.slice(0, 60)} gives ${plain}, and ${withPage} when there is an own page`, () => {
      expect(errorAnswer(502, ID, accept, undefined).contentType).toBe(plain);
      expect(errorAnswer(502, ID, accept, { "5xx": "<p>own" }).contentType).toBe(withPage);
    });
  }
});

describe("every form carries status, phrase and request id, and is small", () => {
  for (const accept of ["text/plain", "application/json", "text/html"]) {
    test(accept, () => {
      const { body } = errorAnswer(504, ID, accept, undefined);
      expect(body).toContain("504");
      expect(body).toContain("Gateway Timeout");
      expect(body).toContain(ID);
      expect(body.endsWith("\n")).toBe(true);
      expect(body.length).toBeLessThan(800);
    });
  }
});

test("JSON is JSON with a hostile id, and HTML does not let it out of its element", () => {
  const hostile = `"</code><script>alert('1')</script>&`;
  const json = errorAnswer(400, hostile, "application/json", undefined).body;
  expect(JSON.parse(json)).toEqual({ status: 400, error: "Bad Request", requestId: hostile });
  const html = errorAnswer(400, hostile, "text/html", undefined).body;
  expect(html).not.toContain("<script>");
  expect(html).toContain("&#34;&#60;/code&#62;&#60;script&#62;alert(&#39;1&#39;)&#60;/script&#62;&#38;");
});

test("own pages are found by status first, then by class", () => {
  const pages = { "404": "exact", "4xx": "class" };
  expect(errorAnswer(404, ID, "text/html", pages).body).toBe("exact");
  expect(errorAnswer(403, ID, "text/html", pages).body).toBe("class");
  expect(errorAnswer(502, ID, "text/html", pages).body).toContain("502 Bad Gateway");
  expect(errorAnswer(404, ID, "application/json", pages).body).toContain(ID);
  expect(errorAnswer(404, ID, "text/html", { "404": "" }).body).toBe("");
});

test("every failure that reaches a client has a phrase of its own", () => {
  for (const code of FAILURE_CODES)
    expect(reasonOf(fail(code).status)).not.toMatch(/^$|Error$(?<!Server Error)/);
});

test("a status that is not registered is named by its class (RFC 9110 §15)", () => {
  expect([199, 299, 399, 420, 599, 600, 0].map(reasonOf)).toEqual([
    "Informational",
    "Success",
    "Redirection",
    "Client Error",
    "Server Error",
    "",
    "",
  ]);
});
