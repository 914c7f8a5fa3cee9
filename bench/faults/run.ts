/**
 * Faults: the same endpoints fail in the same ways behind nginx, HAProxy and Weir.
 *
 * in     `npm run faults -- [FAULT…] [--proxy NAME]… [--quick] [--save] [--list]`; `overload` is a fault too
 * out    tables on stdout, and in bench/results/faults.md and .json with --save; a full run saves by itself; exit code 1 when
 *        Weir missed a bar
 * never  leaves a process behind: everything started is stopped, also on an error and on Ctrl-C
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { isInstalled } from "../../tests/packages.mjs";
import type { ProxyKind } from "../peers.ts";
import { type FaultPlan, type FaultReport, type FaultTimes, runFault } from "./fault-run.ts";
import { FAULTS } from "./faults.table.ts";
import { type OverloadReport, type OverloadTimes, runOverload } from "./overload.ts";
import { type Found, markdown, overloadVerdicts, type Verdict, verdictsOf } from "./report.ts";

const RESULTS = join(import.meta.dir, "..", "results");
const OVERLOAD = "overload";
const NAMES = [...FAULTS.map(({ name }) => name), OVERLOAD];
const KINDS: readonly ProxyKind[] = ["nginx", "haproxy", "weir"];

const FULL: FaultTimes = { ratePerSec: 2000, beforeMs: 3000, faultMs: 7000, afterMs: 8000 };
const QUICK: FaultTimes = { ratePerSec: 2000, beforeMs: 1500, faultMs: 4500, afterMs: 7000 };
const FULL_OVERLOAD: OverloadTimes = { normalMs: 5000, overloadMs: 60_000, afterMs: 6000, factor: 20 };
const QUICK_OVERLOAD: OverloadTimes = { normalMs: 3000, overloadMs: 10_000, afterMs: 4000, factor: 20 };

/** A p99 above says that the machine has other work: then nothing is learnt of a proxy. */
const CALM_MS = 25;
const MAX_TRIES = 3;

interface Options {
  readonly names: readonly string[];
  readonly kinds: readonly ProxyKind[];
  readonly quick: boolean;
  readonly save: boolean;
  /** Prints what each proxy says of its endpoints. */
  readonly states: boolean;
}

function wrongUse(what: string): never {
  console.error(`${what}; faults: ${NAMES.join(" ")}; proxies: ${KINDS.join(" ")}`);
  process.exit(2);
}

function parse(args: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      proxy: { type: "string", multiple: true, default: [] },
      quick: { type: "boolean", default: false },
      save: { type: "boolean", default: false },
      states: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
    },
  });
  if (values.list) {
    console.log(NAMES.join("\n"));
    process.exit(0);
  }
  const unknown = positionals.filter((name) => !NAMES.includes(name));
  if (unknown.length > 0) wrongUse(`unknown fault ${unknown.join(", ")}`);
  const strangers = values.proxy.filter((name) => !KINDS.some((kind) => kind === name));
  if (strangers.length > 0) wrongUse(`unknown proxy ${strangers.join(", ")}`);
  const isChosen = (kind: ProxyKind) => values.proxy.length === 0 || values.proxy.includes(kind);
  const kinds = KINDS.filter((kind) => isChosen(kind) && (kind === "weir" || isInstalled(kind)));
  const isFull = positionals.length === 0 && values.proxy.length === 0 && !values.quick;
  const { quick, states } = values;
  return {
    names: positionals.length === 0 ? NAMES : positionals,
    kinds,
    quick,
    states,
    save: values.save || isFull,
  };
}

/** Once more, a few times, when others used the machine already before the fault. */
async function runCalmly(plan: FaultPlan): Promise<FaultReport> {
  for (let tries = 1; ; tries++) {
    const report = await runFault(plan);
    if (report.p99Ms.before <= CALM_MS || tries === MAX_TRIES) return report;
    console.error(
      `   the machine is busy: p99 was ${report.p99Ms.before.toFixed(0)} ms before the fault; once more`,
    );
  }
}

async function runAll({ names, kinds, quick, states }: Options): Promise<Found> {
  const faults: FaultReport[] = [];
  const overloads: OverloadReport[] = [];
  const verdicts: Verdict[] = [];
  const errors: string[] = [];
  const judge = (kind: ProxyKind, found: readonly Verdict[]) => {
    if (kind !== "weir") return;
    verdicts.push(...found);
    for (const { text, isMet } of found) if (!isMet) console.error(`   missed: ${text}`);
  };
  const runOne = async (kind: ProxyKind, name: string): Promise<void> => {
    const victim = FAULTS.findIndex((fault) => fault.name === name);
    const fault = FAULTS[victim];
    if (fault === undefined) {
      const report = await runOverload(kind, quick ? QUICK_OVERLOAD : FULL_OVERLOAD);
      overloads.push(report);
      judge(kind, overloadVerdicts(report));
      return;
    }
    const report = await runCalmly({ kind, fault, victim, times: quick ? QUICK : FULL });
    faults.push(report);
    judge(kind, verdictsOf(report));
    if (states) console.error(report.states);
  };
  for (const name of names) {
    for (const kind of kinds) {
      console.error(`${name}: ${kind} …`);
      await runOne(kind, name).catch((error: unknown) => {
        errors.push(`${name}: ${kind}: ${error instanceof Error ? error.message : String(error)}`);
        console.error(`   FAILED: ${errors.at(-1)}`);
      });
    }
  }
  return { faults, overloads, verdicts, errors };
}

const firstLine = (...command: string[]): string => {
  const { stdout, stderr } = Bun.spawnSync(command);
  return `${stdout.toString()}${stderr.toString()}`.trim().split("\n")[0] ?? "";
};

function facts({ kinds, quick }: Options): string {
  const lines = [
    `- when: ${new Date().toISOString().slice(0, 10)}${quick ? ", a quick run: not to be quoted" : ""}`,
    `- machine: ${cpus().length} × ${cpus()[0]?.model ?? "unknown"}, Linux ${release()}; two workers each, one in overload`,
    `- weir on Bun ${Bun.version}`,
  ];
  if (kinds.includes("nginx")) lines.push(`- ${firstLine("nginx", "-v").replace(/^nginx version: /, "")}`);
  if (kinds.includes("haproxy")) lines.push(`- ${firstLine("haproxy", "-v").replace(/ - .*/, "")}`);
  return lines.join("\n");
}

const options = parse(process.argv.slice(2));
for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => process.exit(1));
const found = await runAll(options);
const text = markdown(facts(options), found);
console.log(text);
if (options.save) {
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(join(RESULTS, "faults.md"), text);
  const bare = found.faults.map(({ states: _, ...report }) => report);
  writeFileSync(join(RESULTS, "faults.json"), `${JSON.stringify({ ...found, faults: bare }, null, 1)}\n`);
}
const isMissed = found.verdicts.some(({ isMet }) => !isMet);
process.exit(found.errors.length > 0 || isMissed ? 1 : 0);
