/**
 * Floors: every import under src/ points down, and the lower floors do no I/O.
 *
 * why    a direction that only a document knows is lost within a year
 * in     the tables below; `bun tools/floors.ts [root]`
 * out    one line for each break, as `file:line: what`, and exit code 1; or a count and exit code 0
 * never  an exception list; if the arrow must point up, the thing is on the wrong floor
 */
import { dirname, join, normalize } from "node:path";
import { Glob } from "bun";
import { lineAt, partsOf } from "./source-text.ts";

/** Ground floor first. Folders on one floor may not import each other. */
export const FLOORS: readonly (readonly string[])[] = [
  ["core"],
  ["protocol", "observe"],
  ["route", "balance", "health", "cache", "limit", "tls"],
  ["config", "transport", "zone"],
  ["session"],
  ["pipeline"],
  ["control"],
  ["discovery", "kubernetes", "checks", "acme", "cluster", "admin"],
  ["app"],
  ["cli"],
];

/** Plain synchronous code: time and chance are parameters. Floors 0 to 2, and config. */
const PURE = new Set([...FLOORS.slice(0, 3).flat(), "config"]);
/** Up to the pipeline, only these talk to the runtime: what Bun changes is then found in two places. */
const MAY_USE_BUN = new Set(["transport", "zone", ...FLOORS.slice(6).flat()]);
/** Up to the pipeline nothing comes from npm, but for the readers of the configuration. */
const MAY_USE_PACKAGES = new Set(["config", ...FLOORS.slice(6).flat()]);
/** Node modules that only compute. */
const PURE_MODULES = new Set([
  "node:path",
  "node:path/posix",
  "node:url",
  "node:util",
  "node:buffer",
  "node:crypto", // digests and certificates; its chance is forbidden below
]);

/** What pure code may not say; each with its reason. */
const FORBIDDEN: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [
    /(?<![.\w$])Date\.now\b|(?<![.\w$])new Date\(\s*\)|(?<![.\w$])performance\./g,
    "reads a clock: take the time as a parameter",
  ],
  [
    /(?<![.\w$])Math\.random\b|(?<![.\w$])crypto\.|(?<![.\w$])(?:random[A-Z]\w*|generate[A-Z]\w*)\(/g,
    "draws chance: take it as a parameter",
  ],
  [/(?<![.\w$])(?:setTimeout|setInterval|setImmediate|queueMicrotask)\b/g, "starts a timer"],
  [/(?<![.\w$])process\./g, "looks at the process"],
  [/(?<![.\w$])console\./g, "logs: return the fact instead"],
  [/(?<![.\w$])fetch\(/g, "does I/O"],
  [/(?<![.\w$])(?:async|await)\s|(?<![.\w$])new Promise\b/g, "is asynchronous"],
];
const BUN = /(?<![.\w$])Bun\./g;

const IMPORT =
  /(?<![.\w$])(?:import|export)\b[^;'"`]*?from\s*["']([^"']+)["']|(?<![.\w$])import\s*\(?\s*["']([^"']+)["']/g;

export interface Break {
  readonly file: string;
  readonly line: number;
  readonly reason: string;
}

/** Everything under `root` that breaks a rule of the floors. */
export async function breaksUnder(root: string): Promise<Break[]> {
  const found: Break[] = [];
  const files = [...new Glob("**/*.ts").scanSync(root)].sort();
  for (const file of files) found.push(...breaksIn(file, await Bun.file(join(root, file)).text()));
  return found;
}

/** in  a path relative to src/, and its text */
export function breaksIn(file: string, source: string): Break[] {
  const { code } = partsOf(source);
  const isTest = file.endsWith(".test.ts") || file.endsWith(".cases.ts");
  const found: Break[] = [];
  const add = (offset: number, reason: string | undefined) => {
    if (reason !== undefined) found.push({ file, line: lineAt(source, offset), reason });
  };
  for (const match of source.matchAll(IMPORT)) {
    if (code[match.index] === " ") continue; // inside a comment or a string
    add(match.index, whyBroken(file, match[1] ?? match[2] ?? "", isTest));
  }
  if (isTest) return found;
  const folder = folderOf(file);
  if (PURE.has(folder)) {
    for (const [pattern, reason] of FORBIDDEN) {
      for (const match of code.matchAll(pattern)) add(match.index, `${match[0].trim()} ${reason}`);
    }
  }
  if (!MAY_USE_BUN.has(folder)) {
    for (const match of code.matchAll(BUN)) add(match.index, "Bun belongs in transport/ or zone/");
  }
  return found;
}

function whyBroken(file: string, target: string, isTest: boolean): string | undefined {
  if (!target.startsWith(".")) return isTest ? undefined : whyForbiddenModule(folderOf(file), target);
  const path = normalize(join(dirname(file), target));
  if (path.startsWith("..")) {
    return isTest || path === "../package.json" ? undefined : `${target} lies outside src/`;
  }
  return whyNotDown(folderOf(file), folderOf(path));
}

function whyForbiddenModule(folder: string, name: string): string | undefined {
  if (name === "bun" || name.startsWith("bun:")) {
    return MAY_USE_BUN.has(folder) ? undefined : `${name} belongs in transport/ or zone/`;
  }
  if (name.startsWith("node:")) {
    return PURE.has(folder) && !PURE_MODULES.has(name) ? `${name} on a floor without I/O` : undefined;
  }
  return MAY_USE_PACKAGES.has(folder) ? undefined : `package ${name} below the control floor`;
}

function whyNotDown(from: string, to: string): string | undefined {
  if (from === to) return undefined;
  const [here, there] = [floorOf(from), floorOf(to)];
  if (here === -1 || there === -1) return `folder ${here === -1 ? from : to} has no floor`;
  if (there < here) return undefined;
  if (there === here) return `${from} and ${to} share floor ${here}`;
  return `${from} (floor ${here}) reaches up to ${to} (floor ${there})`;
}

const folderOf = (path: string) => path.split("/")[0] ?? "";
const floorOf = (folder: string) => FLOORS.findIndex((floor) => floor.includes(folder));

if (import.meta.main) {
  const root = Bun.argv[2] ?? "src";
  const breaks = await breaksUnder(root);
  for (const { file, line, reason } of breaks) console.log(`${join(root, file)}:${line}: ${reason}`);
  console.log(
    breaks.length === 0 ? "all imports point down, the lower floors are pure" : `${breaks.length} breaks`,
  );
  process.exit(breaks.length === 0 ? 0 : 1);
}
