/**
 * The public suite for HTTP caches (npm `http-cache-tests`): its server, a cache in front of it, its client.
 *
 * out    one row a test, judged as the suite's own pages do: a test whose setup did not come about, or that depends on
 *        one that failed, says nothing
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually, within } from "../support/eventually.ts";
import { freePort } from "../support/ports.ts";
import { ROOT } from "../support/weir.ts";

const PACKAGE = join(ROOT, "node_modules", "http-cache-tests");
const START_MS = 10_000;
/** A few hundred tests, a hundred at once, of which some wait three seconds twice. */
export const SUITE_MS = 110_000;

export type Kind = "required" | "optimal" | "check";
export type Outcome = "pass" | "fail" | "setup" | "depends";

export interface SuiteRow {
  readonly group: string;
  readonly id: string;
  readonly name: string;
  readonly kind: Kind;
  readonly outcome: Outcome;
  /** What the suite says of a failure. */
  readonly detail: string;
}

interface Found {
  readonly group: string;
  readonly id: string;
  readonly name: string;
  readonly kind: Kind;
  readonly dependsOn: readonly string[];
  readonly result: true | readonly [kind: string, message: string] | undefined;
}

export interface SuiteServer {
  readonly port: number;
  stop(): Promise<void>;
}

export async function startSuiteServer(): Promise<SuiteServer> {
  const folder = mkdtempSync(join(tmpdir(), "weir-suite-"));
  const port = await freePort();
  const settings = { protocol: "http", port: String(port), pidfile: join(folder, "pid") };
  const env = Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [`npm_config_${name}`, value]),
  );
  const child = Bun.spawn(["node", join(PACKAGE, "server", "server.mjs")], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ["ignore", "ignore", "inherit"],
  });
  const stop = async () => {
    child.kill();
    await child.exited;
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const answers = async () => (await fetch(`http://127.0.0.1:${port}/state/none`)).status === 404;
    await eventually(answers, START_MS, "the suite's server");
  } catch (error) {
    await stop();
    throw error;
  }
  return { port, stop };
}

/** Runs all of it against the cache at `base`, `http://host:port`. */
export async function runSuite(base: string): Promise<SuiteRow[]> {
  const child = Bun.spawn(["node", join(import.meta.dir, "cache-suite.mjs"), base], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    const text = await within(new Response(child.stdout).text(), SUITE_MS, "the suite to end");
    if ((await child.exited) !== 0) throw new Error(`the suite's client ended with ${child.exitCode}`);
    return judge(JSON.parse(text) as Found[]);
  } finally {
    child.kill();
  }
}

function judge(found: readonly Found[]): SuiteRow[] {
  const byId = new Map(found.map((row) => [row.id, row]));
  return found.map((row) => {
    const { group, id, name, kind, result } = row;
    const detail = result === undefined || result === true ? "" : result[1];
    return { group, id, name, kind, outcome: outcomeOf(row, byId), detail };
  });
}

function outcomeOf({ dependsOn, result }: Found, byId: ReadonlyMap<string, Found>): Outcome {
  const isMet = (id: string) => {
    const needed = byId.get(id);
    return needed !== undefined && outcomeOf(needed, byId) === "pass";
  };
  if (!dependsOn.every(isMet)) return "depends";
  if (result === true) return "pass";
  // without a result it has not run: that is a failure, not an excuse
  return result?.[0] === "Setup" ? "setup" : "fail";
}
