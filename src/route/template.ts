/**
 * Template: text with placeholders, as in `/new/{rest}`, parsed once and filled in for each request.
 *
 * in     literal text and `{rest}`, `{path}`, `{query}`, `{host}`, `{1}`…`{99}`; `{` of anything else is a problem
 * out    parts to join, and the values that a path test gives to `{rest}` and `{1}`
 * fails  `templateProblem` says what is wrong with a template, for the checks of a configuration;
 *        `parseTemplate` throws on one that was not checked
 */
import type { PathTest } from "./match.ts";
import { normaliseWrittenPath } from "./path.ts";

export type Placeholder = "rest" | "path" | "query" | "host" | number;
/** Literal text, or a placeholder in an object. */
export type Part = string | { readonly fill: Placeholder };

const NAMES: ReadonlySet<string> = new Set(["rest", "path", "query", "host"]);

export function parseTemplate(template: string): readonly Part[] {
  const parts: Part[] = [];
  let end = 0;
  for (const found of template.matchAll(/\{([^{}]*)\}/g)) {
    if (found.index > end) parts.push(template.slice(end, found.index));
    parts.push({ fill: toPlaceholder(found[1] as string) });
    end = found.index + found[0].length;
  }
  if (end < template.length) parts.push(template.slice(end));
  return parts;
}

function toPlaceholder(name: string): Placeholder {
  if (/^[1-9]\d?$/.test(name)) return Number(name);
  if (NAMES.has(name)) return name as Placeholder;
  throw new Error(`{${name}} is not a placeholder; known are {rest} {path} {query} {host} {1}`);
}

/** What a path test remembers of the path it matched. */
export interface PathValues {
  readonly rest: string;
  /** [0] is the whole match. */
  readonly groups: readonly (string | undefined)[];
}

const NO_GROUPS: PathValues["groups"] = [];

/** How to get `{rest}` and `{1}` from a path that passed `test`. */
export function compilePathValues(test: PathTest | undefined): (path: string) => PathValues {
  if (test?.kind === "pattern") {
    const pattern = new RegExp(test.source);
    return (path) => ({ rest: "", groups: pattern.exec(path) ?? NO_GROUPS });
  }
  if (test?.kind === "exact") return () => ({ rest: "", groups: NO_GROUPS });
  const prefix = test === undefined || test.path === "" ? "" : normaliseWrittenPath(test.path);
  return (path) => ({ rest: path.slice(prefix.length + 1), groups: NO_GROUPS });
}

/**
 * What is wrong with a template, in words for whoever wrote it, or undefined.
 * in  `known`: the named placeholders that have a value where the template is used
 */
export function templateProblem(
  template: string,
  test: PathTest | undefined,
  known: readonly string[],
): string | undefined {
  if (/[\r\n]/.test(template)) return "a template cannot hold a line break";
  for (const [, name = ""] of template.matchAll(/\{([^{}]*)\}/g)) {
    const problem = placeholderProblem(name, test, known);
    if (problem !== undefined) return problem;
  }
  return /[{}]/.test(template.replaceAll(/\{[^{}]*\}/g, "")) ? "a { or } without its other half" : undefined;
}

function placeholderProblem(
  name: string,
  test: PathTest | undefined,
  known: readonly string[],
): string | undefined {
  if (/^[1-9]\d?$/.test(name)) return groupProblem(Number(name), test);
  if (!known.includes(name)) {
    const list = known.map((word) => `{${word}}`).join(" ");
    return `{${name}} is not a placeholder here; known are ${list} and {1} of a pattern`;
  }
  if (name !== "rest" || test === undefined || test.kind === "prefix") return undefined;
  const kind = test.kind === "exact" ? "an exact path" : "a pattern";
  return `{rest} needs a path such as /x/*: ${kind} leaves no rest`;
}

function groupProblem(group: number, test: PathTest | undefined): string | undefined {
  if (test?.kind !== "pattern") return `{${group}} needs a path pattern such as ~^/x/(.*)$`;
  const count = countGroups(test.source);
  return group > count ? `{${group}} has no group: the pattern has ${count}` : undefined;
}

/** Groups of a pattern: an alternative that matches nothing makes `exec` tell how many there are. */
function countGroups(source: string): number {
  try {
    return (new RegExp(`${source}|`).exec("")?.length ?? 1) - 1;
  } catch {
    return 0;
  }
}
