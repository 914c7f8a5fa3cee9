import { describe, expect, test } from "bun:test";
import { MEDIA_TYPES } from "../protocol/media-types.table.ts";
import { fitsPath } from "./path-type.ts";

const fitting: [path: string, type: string | undefined][] = [
  ["/", "text/html"],
  ["/account", "text/html"],
  ["/account/", "application/json"],
  ["/v1.2/account", "text/html"],
  ["/a.b/", "text/html"],
  ["/x.php", "text/html"],
  ["/x.unknown", "text/html; charset=utf-8"],
  ["/x.", "text/html"],
  ["/.css/x", "text/html"],
  ["/x.html", "TEXT/HTML;charset=utf-8"],
  ["/x.html", "application/xhtml+xml"],
  ["/x.css", "text/css"],
  ["/x.css", "text/css; charset=utf-8"],
  ["/X.CSS", "Text/CSS"],
  // nothing said, or any bytes
  ["/x.css", undefined],
  ["/x.css", ""],
  ["/x.js", "application/octet-stream"],
  ["/x.png", "binary/octet-stream"],
  // synonyms
  ["/x.js", "application/javascript"],
  ["/x.mjs", "application/x-javascript; charset=UTF-8"],
  ["/x.js", "text/ecmascript"],
  ["/x.json", "application/vnd.api+json"],
  ["/x.json", "text/json"],
  ["/x.json", "text/plain"],
  ["/x.webmanifest", "application/json"],
  ["/x.map", "application/json"],
  ["/x.map", "text/plain"],
  ["/x.xml", "application/xml"],
  ["/x.xml", "application/rss+xml"],
  ["/feed.rss", "text/xml"],
  ["/feed.atom", "application/xml"],
  ["/x.svg", "image/svg+xml"],
  ["/x.svg", "text/xml"],
  ["/x.svg", "image/webp"],
  ["/x.jpg", "image/webp"],
  ["/x.jpg", "image/avif"],
  ["/favicon.ico", "image/vnd.microsoft.icon"],
  ["/favicon.ico", "image/png"],
  ["/x.woff", "application/font-woff"],
  ["/x.woff2", "font/woff2"],
  ["/x.ttf", "application/x-font-ttf"],
  ["/x.eot", "application/vnd.ms-fontobject"],
  ["/x.ogg", "video/ogg"],
  ["/x.mp4", "audio/mp4"],
  ["/x.mp3", "application/mp3"],
  ["/x.ts", "video/mp2t"],
  ["/x.ts", "text/typescript"],
  ["/x.ts", "application/javascript"],
  ["/x.m3u8", "application/x-mpegURL"],
  ["/x.m3u8", "audio/mpegurl"],
  ["/x.mpd", "application/dash+xml"],
  ["/x.txt", "text/markdown"],
  ["/x.csv", "application/csv"],
  ["/x.yml", "text/yaml"],
  ["/x.zip", "application/x-zip-compressed"],
  ["/sitemap.xml.gz", "text/xml"],
  ["/x.tgz", "application/x-gzip"],
  ["/x.pdf", "application/x-pdf"],
  ["/ca.pem", "application/x-pem-file"],
  ["/ca.pem", "text/plain"],
];

test.each(fitting)("%p may be %p", (path, type) => {
  expect(fitsPath(path, type)).toBe(true);
});

const deceiving: [path: string, type: string][] = [
  ["/account/x.css", "text/html"],
  ["/account/x.css", "TEXT/HTML; charset=utf-8"],
  ["/account/x.css", "application/xhtml+xml"],
  ["/account/x.css", "application/json"],
  ["/account/x.CSS", "text/html"],
  ["/account;x.css", "text/html"],
  ["/account%2Fx.css", "text/html"],
  ["/account%3bx.css", "text/html"],
  ["/account/x.%63ss", "text/html"],
  ["/account/x.css;jsessionid=1", "text/html"],
  ["/account/..%2fx.js", "text/html"],
  ["/account/x.js", "text/html"],
  ["/account/x.js", "application/json"],
  ["/account/x.mjs", "text/plain"],
  ["/account/x.png", "text/html"],
  ["/account/x.jpeg", "application/json"],
  ["/account/x.ico", "text/html"],
  ["/account/x.svg", "text/html"],
  ["/account/x.woff2", "text/html"],
  ["/account/x.ttf", "application/json"],
  ["/account/x.mp4", "text/html"],
  ["/account/x.pdf", "text/html"],
  ["/account/x.pdf", "text/plain"],
  ["/account/x.zip", "application/json"],
  ["/account/x.txt", "text/html"],
  ["/account/x.xml", "text/html"],
  ["/account/x.json", "text/html"],
  ["/account/x.html", "application/json"],
  ["/account/x.exe", "text/html"],
  ["/account/x.gz", "text/html"],
  ["/account/x.ts", "text/html"],
];

test.each(deceiving)("%p is not %p", (path, type) => {
  expect(fitsPath(path, type)).toBe(false);
});

describe("every end that has a type", () => {
  test("may be of that type", () => {
    for (const [extension, type] of MEDIA_TYPES)
      expect([extension, fitsPath(`/x.${extension}`, type)]).toEqual([extension, true]);
  });

  test("is not a page, unless it says so", () => {
    const pages = new Set(["html", "htm", "shtml", "xhtml"]);
    for (const extension of MEDIA_TYPES.keys()) {
      expect([extension, fitsPath(`/x.${extension}`, "text/html")]).toEqual([
        extension,
        pages.has(extension),
      ]);
    }
  });
});
