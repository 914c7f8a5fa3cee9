import { expect, test } from "bun:test";
import { MEDIA_TYPES, mediaTypeOf } from "./media-types.table.ts";

test.each([
  ["/a/index.html", "text/html; charset=utf-8"],
  ["app.JS", "text/javascript; charset=utf-8"],
  ["a.min.css", "text/css; charset=utf-8"],
  ["data.json", "application/json"],
  ["photo.JPEG", "image/jpeg"],
  ["archive.tar.gz", "application/gzip"],
  ["README", "application/octet-stream"],
  ["a.unknown", "application/octet-stream"],
  ["/a.html/README", "application/octet-stream"],
  ["a.", "application/octet-stream"],
  ["", "application/octet-stream"],
])("the type of %s is %s", (name, type) => {
  expect(mediaTypeOf(name)).toBe(type);
});

test("every text type says its charset, and every row is lower case", () => {
  for (const [extension, type] of MEDIA_TYPES) {
    expect(extension).toBe(extension.toLowerCase());
    if (type.startsWith("text/")) expect(type).toEndWith("; charset=utf-8");
  }
});
