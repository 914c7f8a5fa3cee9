/**
 * Bench: the same work through nginx, HAProxy, Varnish (caches only) and Weir, and what each of them costs.
 *
 * in     `npm run bench -- [CASE…] [--quick] [--save] [--list] [--also NAME=COMMAND]`
 * out    a Markdown table a case on stdout, and in bench/results/ with --save; a full run saves by itself, with
 *        a summary of all and JSON; exit code 1 when a case failed, 0 when bars were only missed
 * never  leaves a process behind: everything started is stopped, also on an error and on Ctrl-C
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { isInstalled, provide } from "../tests/packages.mjs";
import { memoryFolder } from "./cache-peers.ts";
import type { Bench, Case } from "./case.ts";
import { CACHE_CASES } from "./cases/cache.ts";
import { COMPRESS_CASES } from "./cases/compress.ts";
import { CONNECTION_CASES } from "./cases/connections.ts";
import { REQUEST_CASES } from "./cases/requests.ts";
import { SECURE_CASES } from "./cases/secure.ts";
import { TRANSFER_CASES } from "./cases/transfers.ts";
import { startOrigins } from "./origin.ts";
import type { PeerKind } from "./peers.ts";
import { LOAD_CORE, ORIGIN_CORE, PROXY_CORE } from "./processes.ts";
import { caseMarkdown, type Finished, fullMarkdown, preamble } from "./report.ts";

const CASES: readonly Case[] = [
  ...REQUEST_CASES,
  ...TRANSFER_CASES,
  ...CONNECTION_CASES,
  ...SECURE_CASES,
  ...CACHE_CASES,
  ...COMPRESS_CASES,
];
/** Kinds whose program has another name. */
const PROGRAMS: Partial<Record<PeerKind, string>> = { varnish: "varnishd" };
const RESULTS = join(import.meta.dir, "results");

const HELP = `npm run bench -- [CASE…] [options]

  --quick              one short round each: to see that all works
  --save               write bench/results/CASE.md (a full run does so by itself, with a summary and JSON)
  --without NAME       leave a peer out: nginx, haproxy, varnish or weir
  --also NAME=COMMAND  measure another program too; it reads PORT and ORIGIN from its environment
  --list               name the cases

cases: ${CASES.map(({ name }) => name).join(" ")}
`;

interface Options {
  readonly cases: readonly Case[];
  readonly quick: boolean;
  readonly save: boolean;
  readonly without: readonly string[];
  readonly others: readonly { readonly name: string; readonly command: string }[];
}

function wrongUse(what: string): never {
  console.error(`${what}\n\n${HELP}`);
  process.exit(2);
}

function argumentsOf(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        quick: { type: "boolean", default: false },
        save: { type: "boolean", default: false },
        list: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
        without: { type: "string", multiple: true, default: [] },
        also: { type: "string", multiple: true, default: [] },
      },
    });
  } catch (error) {
    return wrongUse(error instanceof Error ? error.message : String(error));
  }
}

function parse(args: readonly string[]): Options {
  const { values, positionals: names } = argumentsOf(args);
  if (values.help || values.list) {
    console.log(
      values.help ? HELP : CASES.map(({ name, title }) => `${name.padEnd(20)} ${title}`).join("\n"),
    );
    process.exit(0);
  }
  const unknown = names.filter((name) => !CASES.some((one) => one.name === name));
  if (unknown.length > 0) wrongUse(`unknown case ${unknown.join(", ")}`);
  const cases = names.length === 0 ? CASES : CASES.filter(({ name }) => names.includes(name));
  const { quick, without } = values;
  const isFull = names.length === 0 && !quick && without.length === 0 && values.also.length === 0;
  return { cases, quick, save: values.save || isFull, without, others: values.also.map(otherOf) };
}

function otherOf(text: string): { name: string; command: string } {
  const [, name, command] = /^([\w-]+)=(.+)$/.exec(text) ?? wrongUse("--also needs NAME=COMMAND");
  return { name: name ?? "", command: command ?? "" };
}

const outputOf = (...command: string[]): string => {
  const { stdout, stderr } = Bun.spawnSync(command);
  return `${stdout.toString()}${stderr.toString()}`.trim().split("\n")[0] ?? "";
};

function factsOf(kinds: readonly PeerKind[], quick: boolean): Record<string, string> {
  const { version } = JSON.parse(readFileSync(join(import.meta.dir, "..", "package.json"), "utf8"));
  const facts: Record<string, string> = {
    when: new Date().toISOString().slice(0, 10) + (quick ? ", a quick run: not to be quoted" : ""),
    machine: `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}, Linux ${release()}`,
    cores: `proxy ${PROXY_CORE}, load ${LOAD_CORE}, origin ${ORIGIN_CORE}; one worker each`,
    weir: `${version} on Bun ${Bun.version}`,
  };
  if (kinds.includes("nginx")) facts["nginx"] = outputOf("nginx", "-v").replace(/^.*nginx\//, "");
  if (kinds.includes("haproxy"))
    facts["haproxy"] = outputOf("haproxy", "-v").replace(/^HAProxy version (\S+).*/, "$1");
  if (kinds.includes("varnish"))
    facts["varnish"] = outputOf("varnishd", "-V").replace(/^varnishd \(varnish-(\S+).*/, "$1");
  return facts;
}

function save(facts: Record<string, string>, finished: readonly Finished[]): void {
  mkdirSync(RESULTS, { recursive: true });
  for (const one of finished) {
    const text = `# Benchmark ${one.what.name}\n\n${caseMarkdown(one)}\n\n${preamble(facts)}\n`;
    writeFileSync(join(RESULTS, `${one.what.name}.md`), text);
  }
  console.log(`\nsaved ${finished.length} cases in bench/results/`);
  // A summary of some cases beside the files of all would read as if the others had been dropped.
  if (finished.length < CASES.length) return;
  const cases = finished.map(({ what, result }) => ({ name: what.name, title: what.title, ...result }));
  writeFileSync(join(RESULTS, "README.md"), fullMarkdown(facts, finished));
  writeFileSync(join(RESULTS, "results.json"), `${JSON.stringify({ facts, cases }, null, 1)}\n`);
}

async function runCases(bench: Bench, cases: readonly Case[]) {
  const finished: Finished[] = [];
  let failed = 0;
  for (const what of cases) {
    const startedAt = performance.now();
    bench.say(`${what.name}: ${what.title} …`);
    try {
      const one = { what, result: await what.run(bench) };
      finished.push(one);
      console.log(`\n${caseMarkdown(one)}\n`);
    } catch (error) {
      failed++;
      console.error(`${what.name} FAILED: ${error instanceof Error ? error.message : String(error)}`);
    }
    bench.say(`${what.name} took ${((performance.now() - startedAt) / 1000).toFixed(0)} s`);
  }
  return { finished, failed };
}

async function main(): Promise<number> {
  const options = parse(process.argv.slice(2));
  const say = (line: string) => console.error(line);
  for (const line of provide("bench", say)) say(`missing: ${line}`);
  for (const program of ["nginx", "wrk"]) {
    if (!isInstalled(program)) {
      say(`${program} is needed as ${program === "wrk" ? "load" : "origin"}: install it and try again`);
      return 1;
    }
  }
  const all: readonly PeerKind[] = ["nginx", "haproxy", "varnish", "weir"];
  const kinds = all.filter(
    (kind) => !options.without.includes(kind) && (kind === "weir" || isInstalled(PROGRAMS[kind] ?? kind)),
  );
  const folder = mkdtempSync(join(tmpdir(), "weir-bench-"));
  process.on("exit", () => {
    for (const path of [folder, memoryFolder(folder)]) rmSync(path, { recursive: true, force: true });
  });
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => process.exit(1));
  const origins = await startOrigins(folder);
  try {
    const bench: Bench = { folder, origins, quick: options.quick, kinds, others: options.others, say };
    const { finished, failed } = await runCases(bench, options.cases);
    if (options.save && finished.length > 0) save(factsOf(kinds, options.quick), finished);
    return failed === 0 ? 0 : 1;
  } finally {
    await origins.stop();
  }
}

process.exit(await main());
