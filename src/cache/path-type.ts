/**
 * Path and type: does what came fit the end of the path that was asked for?
 *
 * why    an origin that answers `/account/x.css` with the account page would have it stored as a style sheet, under
 *        a path that an attacker chose and then asks for himself (web cache deception)
 * in     the path as it was received, without its query; the value of Content-Type
 * rule   generous: synonyms fit, as do all images for an image; a path whose end says nothing, and a response that
 *        does not name a type or names any bytes, always fit
 * spec   RFC 9111 §7.2; RFC 9239 (names of JavaScript), RFC 8081 (fonts), RFC 7303 (XML)
 */
import { MEDIA_TYPES } from "../protocol/media-types.table.ts";

type Kind = "html" | "script" | "style" | "json" | "xml" | "image" | "media" | "font" | "text" | "binary";

/** What may come for what a path promises. */
const FITTING: Readonly<Record<Kind, readonly Kind[]>> = {
  html: ["html", "xml", "text"],
  script: ["script"],
  style: ["style"],
  json: ["json", "text"],
  xml: ["xml", "text"],
  image: ["image"],
  media: ["media", "binary"],
  font: ["font", "binary"],
  text: ["text", "binary"],
  binary: ["binary", "media"],
};

/** Ends that mean several things: TypeScript or a film, a play list, a packed page or the page with a coding. */
const AMBIGUOUS: ReadonlyMap<string, readonly Kind[]> = new Map([
  ["ts", ["media", "script", "text"]],
  ["svg", ["image", "xml"]],
  ["gz", ["binary", "xml", "text", "json", "style", "script"]],
  ["zst", ["binary", "xml", "text", "json", "style", "script"]],
  ["map", ["json", "text", "script"]],
  ["yaml", ["binary", "text"]],
  ["yml", ["binary", "text"]],
  ["toml", ["binary", "text"]],
  ["sql", ["binary", "text"]],
  ["rtf", ["binary", "text"]],
  ["ps", ["binary", "text"]],
  ["eps", ["binary", "text", "image"]],
  ["ai", ["binary", "text", "image"]],
  ["pem", ["binary", "text"]],
  ["crt", ["binary", "text"]],
  ["jsonl", ["json", "text", "binary"]],
  ["ndjson", ["json", "text", "binary"]],
]);

/** Types that say "bytes, of whatever kind". */
const ANY_BYTES = new Set([
  "application/octet-stream",
  "binary/octet-stream",
  "application/x-download",
  "application/force-download",
]);

/** Ordered: the first that matches tells the kind. */
const KINDS: readonly (readonly [RegExp, Kind])[] = [
  [/^(?:text\/html|application\/xhtml\+xml)$/, "html"],
  [/^(?:text|application)\/(?:x-)?(?:java|ecma|j|live|type)script(?:1\.\d)?$/, "script"],
  [/^text\/css$/, "style"],
  [/^image\//, "image"],
  [/^(?:audio|video)\//, "media"],
  [/^(?:font\/|application\/(?:x-)?font-|application\/vnd\.ms-fontobject$)/, "font"],
  [/^(?:application|text)\/(?:x-)?(?:json|ndjson|jsonlines|jsonl)$|\+json$/, "json"],
  [/^(?:application|text)\/(?:x-)?xml(?:-dtd)?$|\+xml$|^application\/vnd\.apple\.mpegurl\+xml$/, "xml"],
  [/^text\//, "text"],
];

/** out  false when the type is another than the path promises */
export function fitsPath(path: string, contentType: string | undefined): boolean {
  const type = essenceOf(contentType);
  if (type === "" || ANY_BYTES.has(type)) return true;
  const extension = extensionOf(path);
  const promised = MEDIA_TYPES.get(extension);
  if (promised === undefined || essenceOf(promised) === type) return true;
  const kinds = AMBIGUOUS.get(extension) ?? FITTING[kindOf(essenceOf(promised))];
  return kinds.includes(kindOf(type));
}

/** Type without parameters, lower case. */
function essenceOf(contentType: string | undefined): string {
  if (contentType === undefined) return "";
  const end = contentType.indexOf(";");
  return (end === -1 ? contentType : contentType.slice(0, end)).trim().toLowerCase();
}

/** What is behind the last dot of the last segment, decoded: some origins end a path at ";", others do not. */
function extensionOf(path: string): string {
  const dot = path.lastIndexOf(".");
  if (dot === -1 || path.indexOf("/", dot) !== -1) return "";
  const end = path.indexOf(";", dot);
  const extension = path
    .slice(dot + 1, end === -1 ? path.length : end)
    .replace(/%([0-9a-fA-F]{2})/g, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return extension.toLowerCase();
}

function kindOf(type: string): Kind {
  return KINDS.find(([pattern]) => pattern.test(type))?.[1] ?? "binary";
}
