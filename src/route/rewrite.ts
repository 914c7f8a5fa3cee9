/**
 * Rewrite: the path an endpoint sees, and the place a redirect points to.
 *
 * in     checked templates; a request's normal path, query and host
 * out    a rewritten path is normal again: it starts with one `/`, and whatever a group holds can neither
 *        climb nor make an empty segment, so it stays where the template puts it
 *        a redirect's text goes into Location as it is: no line break, and one that starts with `/` stays on
 *        this host, for `//x` would name another
 * cost   a strip is one slice; a template one join and one look at the result
 * spec   RFC 3986 §3.3, §4.2; RFC 9110 §10.2.2
 */
import { SLASH } from "../core/bytes.ts";
import type { PathTest, RewriteConfig } from "./match.ts";
import { encodeIllegal, normalisePath, normaliseSegment, normaliseWrittenPath } from "./path.ts";
import { compilePathValues, type Part, type PathValues, parseTemplate } from "./template.ts";

/**
 * out  undefined when the path stays as it is
 * rule  `path` wins over `stripPrefix`: the template says the whole path
 */
export function compileRewrite(
  rewrite: RewriteConfig,
  pathTest: PathTest | undefined,
): ((path: string) => string) | undefined {
  if (rewrite.path !== undefined) return compilePath(rewrite.path, pathTest);
  if (rewrite.stripPrefix !== undefined) return compileStrip(rewrite.stripPrefix);
  return undefined;
}

/** Takes the prefix away where it ends at a segment; another path stays as it is. */
function compileStrip(written: string): ((path: string) => string) | undefined {
  const prefix = normaliseWrittenPath(written).replace(/\/$/, "");
  if (prefix === "") return undefined;
  return (path) => {
    if (!path.startsWith(prefix)) return path;
    if (path.length === prefix.length) return "/";
    return path.charCodeAt(prefix.length) === SLASH ? path.slice(prefix.length) : path;
  };
}

function compilePath(template: string, test: PathTest | undefined): (path: string) => string {
  const parts = parseTemplate(template).map((part) =>
    typeof part === "string" ? encodeIllegal(part) : part,
  );
  const valuesOf = compilePathValues(test);
  return (path) => {
    const filled = fill(parts, valuesOf(path), { path, query: "", host: "" });
    // "pass": the listener has judged encoded slashes when the request came in
    const normal = normalisePath(filled, "pass");
    return normal === filled ? filled : contain(filled);
  };
}

export interface RedirectFacts {
  readonly path: string;
  readonly query: string;
  readonly host: string;
}

/** out  the value of Location; the request's query goes along unless the template has a `?` of its own */
export function compileTarget(
  template: string,
  pathTest: PathTest | undefined,
): (request: RedirectFacts) => string {
  const hash = template.indexOf("#");
  const main = hash === -1 ? template : template.slice(0, hash);
  const fragment = hash === -1 ? "" : encodeTarget(template.slice(hash).replaceAll(/[{}]/g, ""));
  const parts = parseTemplate(main).map((part) => (typeof part === "string" ? encodeTarget(part) : part));
  const isAbsolute = /^(?:[a-z][a-z0-9+.-]*:|\/\/)/i.test(main);
  const keepsQuery =
    !main.includes("?") && !parts.some((part) => typeof part !== "string" && part.fill === "query");
  const valuesOf = compilePathValues(pathTest);
  return (request) => {
    const filled = fill(parts, valuesOf(request.path), request);
    const place = isAbsolute ? filled : stayHere(filled);
    return keepsQuery && request.query !== "" ? `${place}?${request.query}${fragment}` : place + fragment;
  };
}

function fill(parts: readonly Part[], values: PathValues, facts: RedirectFacts): string {
  let out = "";
  for (const part of parts) {
    if (typeof part === "string") out += part;
    else if (typeof part.fill === "number") out += values.groups[part.fill] ?? "";
    else out += part.fill === "rest" ? values.rest : facts[part.fill];
  }
  return out;
}

/** One leading slash: `//x` and `/\x` are other hosts to a browser (WHATWG URL, relative slash state). */
function stayHere(place: string): string {
  return /^\/[^/\\]/.test(place) || place === "/" ? place : `/${place.replace(/^[/\\]+/, "")}`;
}

/** Line breaks, spaces, quotes and what is not ASCII never reach a field value (RFC 9110 §5.5). */
function encodeTarget(literal: string): string {
  return literal.toWellFormed().replace(/[^!-~]|["<>\\^`{|}]/gu, encodeURIComponent);
}

/**
 * Makes a path normal that parts of other paths have spoilt: empty, `.` and `..` segments are left out and never
 * followed; what is no legal segment (half of a `%2F`) is encoded once more, so it means its own letters.
 */
function contain(path: string): string {
  const kept: string[] = [];
  let isFolder = false;
  for (const raw of path.split("/")) {
    const segment = normaliseSegment(raw, true) ?? normaliseSegment(encodeURIComponent(raw), true) ?? "";
    isFolder = segment === "" || segment === "." || segment === "..";
    if (!isFolder) kept.push(segment);
  }
  if (kept.length === 0) return "/";
  return isFolder ? `/${kept.join("/")}/` : `/${kept.join("/")}`;
}
