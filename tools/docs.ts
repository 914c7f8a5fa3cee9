/**
 * Docs check: what the documentation names exists.
 *
 * why    prose rots where it names things; a name that a machine follows is repaired the day it breaks
 * in     README.md, CONTRIBUTING.md, CHANGELOG.md, docs/**, examples/**, bench/** (*.md); comments of all sources
 * out    one line for each break, as `file:line: what`, and exit code 1; or a count and exit code 0
 * checks paths, npm scripts, metric names and configuration keys in code spans; links between files and to
 *        headings; that a to-do mark names an issue
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { Glob } from "bun";
import { BLOCKS, PROCESS } from "../src/observe/metrics.table.ts";
import { type KeyTree, keyTreeOf, unknownKey } from "./config-keys.ts";
import { lineAt, partsOf } from "./source-text.ts";

const DOCS = ["*.md", "docs/**/*.md", "examples/**/*.md", "bench/**/*.md"];
const SOURCES = ["src/**/*.ts", "tests/**/*.{ts,mjs}", "tools/**/*.ts", "bench/**/*.ts", "examples/**/*.ts"];

const SPAN = /`([^`\n]+)`/g;
const PATH = /^(?:src|docs|examples|tools|tests|bench|bin|\.ci)\/[\w./*@-]*$/;
const SCRIPT = /\bnpm (?:run (?:-s |--silent )?([\w:-]+)|(test|start)\b)/g;
const METRIC = /^weir_[a-z0-9_]+$/;
const METRIC_SUFFIX = /_(?:bucket|sum|count)$/;
const LINK = /\[[^\]\n]*\]\(([^)\s]+)\)/g;
const HEADING = /^#{1,6}\s+(.+?)\s*$/gm;
const TODO = /\b(?:TODO|FIXME|XXX)\b(?!\(#\d+\))/g;

/** What exists, for the check to ask. */
export interface Known {
  exists(path: string): boolean;
  /** Text of a Markdown file, undefined when there is none. */
  read(path: string): string | undefined;
  readonly scripts: ReadonlySet<string>;
  readonly metrics: ReadonlySet<string>;
  /** undefined = the schema cannot be had, keys are not checked. */
  readonly keys: KeyTree | undefined;
}

export interface Break {
  readonly file: string;
  readonly line: number;
  readonly reason: string;
}

/** in  a path relative to the root of the repository, and its text */
export function breaksInDoc(file: string, text: string, known: Known): Break[] {
  const found: Break[] = [];
  const add = (offset: number, reason: string | undefined) => {
    if (reason !== undefined) found.push({ file, line: lineAt(text, offset), reason });
  };
  // Fenced blocks hold examples, not references; only the npm scripts in them are promises.
  const prose = text.replace(/^(```|~~~)[\s\S]*?^\1/gm, (block) => block.replace(/[^\n]/g, " "));
  for (const match of prose.matchAll(SPAN)) add(match.index, whyUnknown(match[1] ?? "", known));
  for (const match of text.matchAll(SCRIPT)) {
    const name = match[1] ?? match[2] ?? "";
    if (!known.scripts.has(name)) add(match.index, `npm script ${name} does not exist`);
  }
  const links = prose.replace(SPAN, (span) => " ".repeat(span.length));
  for (const match of links.matchAll(LINK)) add(match.index, whyDeadLink(file, match[1] ?? "", known));
  return found;
}

function whyUnknown(span: string, known: Known): string | undefined {
  if (PATH.test(span)) return known.exists(span) ? undefined : `${span} does not exist`;
  if (METRIC.test(span)) {
    const isKnown = known.metrics.has(span) || known.metrics.has(span.replace(METRIC_SUFFIX, ""));
    return isKnown ? undefined : `there is no metric ${span}`;
  }
  return known.keys === undefined ? undefined : unknownKey(span, known.keys);
}

function whyDeadLink(file: string, link: string, known: Known): string | undefined {
  if (/^[a-z][a-z0-9+.-]*:/i.test(link)) return undefined; // another site: not ours to check
  const [target = "", anchor] = link.split("#");
  const path = target === "" ? file : relative(".", join(dirname(file), decodeURI(target)));
  if (!known.exists(path)) return `link to ${path}, which does not exist`;
  if (anchor === undefined || !path.endsWith(".md")) return undefined;
  return anchorsOf(known.read(path) ?? "").has(anchor) ? undefined : `${path} has no heading #${anchor}`;
}

function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ""] of text.matchAll(HEADING)) {
    const words = heading.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "");
    anchors.add(words.trim().replace(/\s/g, "-"));
  }
  return anchors;
}

/** A to-do mark without an open issue is a wish that nobody will find again. */
export function breaksInSource(file: string, text: string): Break[] {
  const { comments } = partsOf(text);
  return [...comments.matchAll(TODO)].map((match) => ({
    file,
    line: lineAt(comments, match.index),
    reason: `${match[0]} needs the number of an issue: ${match[0]}(#123)`,
  }));
}

function pathExists(path: string): boolean {
  if (!path.includes("*")) return existsSync(path);
  return !new Glob(path).scanSync({ dot: true, onlyFiles: false }).next().done;
}

async function knownOf(): Promise<Known> {
  const scripts = Object.keys(JSON.parse(readFileSync("package.json", "utf8")).scripts);
  const rows = [
    ...Object.values(BLOCKS).flatMap((block) => Object.values(block.rows)),
    ...Object.values(PROCESS),
  ];
  return {
    exists: pathExists,
    read: (path) => (existsSync(path) ? readFileSync(path, "utf8") : undefined),
    scripts: new Set(scripts),
    metrics: new Set(rows.map((row) => row.name)),
    keys: await keyTreeOf(),
  };
}

function filesOf(patterns: readonly string[]): string[] {
  const files = patterns.flatMap((pattern) => [...new Glob(pattern).scanSync({ dot: true })]);
  return [...new Set(files)].filter((file) => !file.includes("node_modules/")).sort();
}

if (import.meta.main) {
  process.chdir(join(import.meta.dir, ".."));
  const known = await knownOf();
  const docs = filesOf(DOCS);
  const sources = filesOf(SOURCES);
  const breaks = [
    ...docs.flatMap((file) => breaksInDoc(file, readFileSync(file, "utf8"), known)),
    ...sources.flatMap((file) => breaksInSource(file, readFileSync(file, "utf8"))),
  ];
  for (const { file, line, reason } of breaks) console.log(`${file}:${line}: ${reason}`);
  const count = `${docs.length} documents, ${sources.length} sources`;
  console.log(breaks.length === 0 ? `${count}: every name exists` : `${count}: ${breaks.length} breaks`);
  process.exit(breaks.length === 0 ? 0 : 1);
}
