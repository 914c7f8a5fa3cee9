/**
 * Cache kill: ends everything with SIGKILL while the disk cache is being written, again and again, and looks at what the
 * next start finds.
 *
 * rule   no wrong byte, nothing that was purged and answered, and most of what was written before
 */
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { CacheZone } from "../../src/zone/cache-zone.ts";
import { within } from "../support/eventually.ts";

const MIB = 1024 * 1024;
const NUMBERS = 2000;
const WAIT_MS = 30_000;

export interface KillReport {
  readonly rounds: number;
  /** Workers that were killed while control went on. */
  readonly workersKilled: number;
  readonly wrong: number;
  /** Found though a purge had been answered. */
  readonly undone: number;
  /** Found by starts in all. */
  readonly found: number;
  readonly slowestStartMs: number;
  /** Least that a start found after the first. */
  readonly leastFound: number;
  /** Most that was on the disk after a kill. */
  readonly mostBytes: number;
  readonly reports: readonly string[];
}

export interface KillPlan {
  readonly rounds: number;
  readonly diskBytes: number;
  /** Where the folder is made; it is removed afterwards. */
  readonly root: string;
  /** How long the workers write, at most. */
  readonly writeMs: number;
  /** After each kill some files are damaged, as by a power cut. */
  readonly tears: boolean;
}

interface Tally {
  workersKilled: number;
  wrong: number;
  undone: number;
  found: number;
  foundNow: number;
  slowestStartMs: number;
  mostBytes: number;
  readonly reports: string[];
  readonly purgedAtMs: Map<string, number>;
}

export async function killAgainAndAgain(plan: KillPlan): Promise<KillReport> {
  const folder = mkdtempSync(join(plan.root, "weir-cache-kill-"));
  const tally: Tally = {
    workersKilled: 0,
    wrong: 0,
    undone: 0,
    found: 0,
    foundNow: 0,
    slowestStartMs: 0,
    mostBytes: 0,
    reports: [],
    purgedAtMs: new Map(),
  };
  let leastFound = Number.POSITIVE_INFINITY;
  try {
    for (let round = 0; round < plan.rounds; round++) {
      tally.foundNow = 0;
      await oneLife(plan, folder, tally);
      if (round > 0) leastFound = Math.min(leastFound, tally.foundNow);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const { purgedAtMs: _purged, foundNow: _now, ...counts } = tally;
  return { rounds: plan.rounds, ...counts, leastFound };
}

async function oneLife(plan: KillPlan, folder: string, tally: Tally): Promise<void> {
  const main = join(import.meta.dir, "cache-kill-main.ts");
  const memory = `${16 * MIB}`;
  const child = Bun.spawn(
    [process.execPath, main, "control", folder, `${plan.diskBytes}`, memory, `${NUMBERS}`],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const ready = Promise.withResolvers<void>();
  let pids: readonly number[] = [];
  const ended = readLines(child.stdout, (line) => {
    if (line["kind"] === "ready") {
      pids = line["pids"] as number[];
      ready.resolve();
    } else tell(line, tally);
  });
  await within(ready.promise, WAIT_MS, "the cache's start");
  await Bun.sleep(plan.writeMs * (0.3 + 0.7 * Math.random()));
  // control first or last, but before it starts another worker
  if (Math.random() < 0.5) child.kill("SIGSTOP");
  else child.kill("SIGKILL");
  for (const pid of pids) kill(pid);
  child.kill("SIGKILL");
  await child.exited;
  await within(ended, WAIT_MS, "the end of the processes");
  CacheZone.removeOf(child.pid);
  tally.mostBytes = Math.max(tally.mostBytes, bytesBelow(folder));
  if (plan.tears) tear(folder);
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // control has killed this one itself
  }
}

/** As after a power cut: of some files the end is missing, of some a page of the end was never written. */
function tear(folder: string): void {
  for (const sub of ["log", "bodies"]) {
    const entries = readdirSync(join(folder, sub), { recursive: true, withFileTypes: true });
    for (const { name, parentPath } of entries.filter((entry) => entry.isFile())) {
      if (Math.random() > 0.1) continue;
      const path = join(parentPath, name);
      const { size } = statSync(path);
      const at = Math.max(0, size - Math.floor(Math.random() * 128 * 1024));
      if (Math.random() < 0.5) truncateSync(path, at);
      else zeroPage(path, at - (at % 4096), size);
    }
  }
}

function zeroPage(path: string, at: number, size: number): void {
  const file = openSync(path, "r+");
  writeSync(file, Buffer.alloc(Math.min(4096, size - at)), 0, Math.min(4096, size - at), at);
  closeSync(file);
}

/** What files take there, whole or not. */
function bytesBelow(folder: string): number {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
}

function tell(line: Record<string, unknown>, tally: Tally): void {
  switch (line["kind"]) {
    case "restored": {
      tally.slowestStartMs = Math.max(tally.slowestStartMs, line["ms"] as number);
      break;
    }
    case "found": {
      tally.found++;
      tally.foundNow++;
      const tag = `tag${(line["number"] as number) % 16}`;
      if ((line["bornMs"] as number) < (tally.purgedAtMs.get(tag) ?? 0)) tally.undone++;
      break;
    }
    case "purged":
      tally.purgedAtMs.set(line["tag"] as string, line["startedMs"] as number);
      break;
    case "killed":
      tally.workersKilled++;
      break;
    case "wrong":
      tally.wrong++;
      break;
    case "report":
      tally.reports.push(line["line"] as string);
      break;
  }
}

async function readLines(
  stream: ReadableStream<Uint8Array>,
  take: (line: Record<string, unknown>) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      try {
        take(JSON.parse(line));
      } catch {
        // a line that was cut when its process was killed
      }
    }
  }
}

if (import.meta.main) {
  const rounds = Number(process.argv[2] ?? 100);
  const report = await killAgainAndAgain({
    rounds,
    diskBytes: 64 * MIB,
    root: process.argv[3] ?? "/var/tmp",
    writeMs: 400,
    tears: process.argv[4] === "tear",
  });
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  process.exit(report.wrong + report.undone === 0 && report.leastFound > 0 ? 0 : 1);
}
