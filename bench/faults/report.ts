/**
 * Report: what the campaign found, as Markdown tables for people, and which bars were missed.
 */
import { BUDGET, SLOW_START_MS } from "./configs.ts";
import type { FaultReport } from "./fault-run.ts";
import type { OverloadReport } from "./overload.ts";

const ms = (value: number) => (value >= 100 ? value.toFixed(0) : value.toFixed(1));
const percent = (value: number) => (Number.isNaN(value) ? "–" : `${(value * 100).toFixed(1)} %`);
const seconds = (value: number | undefined) =>
  value === undefined ? "never" : `${(value / 1000).toFixed(1)} s`;
const mib = (bytes: number) => (bytes / (1 << 20)).toFixed(0);

function table(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const align = head.map((_, index) => (index < 2 ? "---" : "---:"));
  return [head, align, ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

const RECOVERY_BAR_MS = 3000;
const DEVIATION_BAR = 0.1;
const OVERLOAD_RECOVERY_BAR_MS = 2000;

/** A bar of the campaign; `isHard` ones must hold for Weir. */
export interface Verdict {
  readonly text: string;
  readonly isMet: boolean;
}

/** The bars for one fault. */
export function verdictsOf({
  fault,
  failures,
  recoveredMs,
  worstRetryShare,
  back,
  troubles,
}: FaultReport): Verdict[] {
  const what = troubles.map(([trouble, count]) => `${count} × ${trouble}`).join(", ");
  const recovered = seconds(recoveredMs);
  const share = percent(worstRetryShare);
  const way =
    back.afterMs === undefined ? "not back by the end" : `${percent(back.deviation)} from the curve`;
  return [
    {
      text: `${fault.name}: no failure reaches the client (${failures === 0 ? "none" : what})`,
      isMet: failures === 0,
    },
    {
      text: `${fault.name}: p99 within twice the usual in 3 s (${recovered})`,
      isMet: recoveredMs !== undefined && recoveredMs <= RECOVERY_BAR_MS,
    },
    { text: `${fault.name}: retries within the budget (${share})`, isMet: worstRetryShare <= BUDGET },
    {
      text: `${fault.name}: returns by slow start (${way})`,
      isMet: back.deviation <= DEVIATION_BAR,
    },
  ];
}

const GOODPUT_BAR = 0.8;
const ADMITTED_BAR = 3;
const MEMORY_BAR_BYTES = 64 << 20;

export function overloadVerdicts(report: OverloadReport): Verdict[] {
  const [before, most] = report.memoryBytes;
  const times = report.admittedP99Ms / report.normalP99Ms;
  const { recoveredMs } = report;
  return [
    {
      text: `overload: goodput at least 80 % (${percent(report.goodput)})`,
      isMet: report.goodput >= GOODPUT_BAR,
    },
    {
      text: `overload: p99 of the admitted at most 3 × normal (${times.toFixed(2)} ×)`,
      isMet: times <= ADMITTED_BAR,
    },
    {
      text: `overload: memory grows by 64 MiB at most (${mib(most - before)} MiB)`,
      isMet: most - before <= MEMORY_BAR_BYTES,
    },
    {
      text: `overload: recovered in 2 s (${seconds(recoveredMs)})`,
      isMet: recoveredMs !== undefined && recoveredMs <= OVERLOAD_RECOVERY_BAR_MS,
    },
  ];
}

export function faultTable(reports: readonly FaultReport[]): string {
  const head = [
    "fault",
    "proxy",
    "requests",
    "failures seen by the client",
    "p50 before / hit / late / after, ms",
    "p99 before / hit / late / after, ms",
    "p99 back within 2 ×",
    "retries",
    "worst second",
    "back after",
    "share, second by second",
    "off the curve",
  ];
  const lines = reports.map((report) => {
    const { p50Ms, p99Ms, back } = report;
    const phases = (of: typeof p50Ms) => [of.before, of.hit, of.late, of.after].map(ms).join(" / ");
    const failures = report.troubles.map(([trouble, count]) => `${count} ${trouble}`).join("; ");
    const took = back.taken.slice(0, SHOWN_SECONDS).map((part) => part.toFixed(2));
    return [
      report.fault.title,
      report.proxy,
      String(report.sent),
      failures === "" ? "0" : failures,
      phases(p50Ms),
      phases(p99Ms),
      seconds(report.recoveredMs),
      String(report.retries),
      percent(report.worstRetryShare),
      seconds(back.afterMs),
      took.join(" "),
      percent(back.deviation),
    ];
  });
  return table(head, lines);
}

const SHOWN_SECONDS = 6;

export function coldTable(reports: readonly FaultReport[]): string {
  const lines = reports.map(({ proxy, mostInside, failures, p99Ms, back }) => [
    proxy,
    String(mostInside),
    String(failures),
    ms(p99Ms.before),
    ms(p99Ms.after),
    percent(back.deviation),
  ]);
  const head = [
    "proxy",
    "most inside it at once",
    "failures",
    "p99 before, ms",
    "p99 after, ms",
    "off the curve",
  ];
  return table(head, lines);
}

export function overloadTable(reports: readonly OverloadReport[]): string {
  const lines = reports.map((report) => [
    report.proxy,
    String(report.capacityPerSec),
    String(report.sent),
    percent(report.goodput),
    report.troubles.map(([trouble, count]) => `${count} ${trouble}`).join("; "),
    ms(report.normalP99Ms),
    ms(report.admittedP99Ms),
    seconds(report.recoveredMs),
    report.memoryBytes.map(mib).join(" / "),
    String(report.mostInside),
  ]);
  const head = [
    "proxy",
    "capacity/s",
    "requests",
    "goodput",
    "turned away or failed",
    "p99 normal, ms",
    "p99 of the admitted, ms",
    "recovered in",
    "memory before / most / after, MiB",
    "most inside an endpoint",
  ];
  return table(head, lines);
}

/** What a reader must know to judge the tables. */
export const EXPLANATION = `
2,000 GETs a second at a constant rate over four endpoints (4 ms each); latency counts from the instant at which a request
was due; every body is checked. One endpoint fails, is made good again, and returns. \`hit\` is p99 of the first 3 s of the
fault; \`before\`, \`late\` (from 3 s on, until the fault ends) and \`after\` are the median of half-seconds' p99. p99 is of right
answers only. A run whose p99 was bad before the fault, because others used the machine, is made again. The share is what
the returning endpoint took of what each of the others took, in the seconds after its first request; the curve is a straight
line from 10 % over ${SLOW_START_MS / 1000} s. Retries are as each proxy counts them itself.

A body cut short and a Content-Length that says more show after the head: nginx and HAProxy have sent it on by then, Weir
keeps a small answer of a request that may be repeated until it is whole. A Content-Length that says less is a body like
any other to who reads it; what comes after it shows the lie, too late for the client.

A name that moves: Weir follows a file with a list (\`discovery.file\`), HAProxy is told by its socket, nginx by a new
configuration and SIGHUP. The old process is killed with -9 in the same instant.
`.trim();

const COLD_TEXT =
  "The endpoint comes back with nothing in its cache: the first request for each of 200 keys takes 40 ms more, and it can " +
  "look up four at a time. Its whole share at once is five times as many as that.";
const OVERLOAD_TEXT =
  "Four endpoints of two slots and 20 ms each; half the capacity, then twenty times the capacity, then half of it again. " +
  "Each proxy gives an endpoint two requests at once; Weir and HAProxy let a few wait 30 ms, nginx has no queue.";

/** What a campaign found. */
export interface Found {
  readonly faults: readonly FaultReport[];
  readonly overloads: readonly OverloadReport[];
  /** On Weir. */
  readonly verdicts: readonly Verdict[];
  readonly errors: readonly string[];
}

/** All of it, with what was measured and on what. */
export function markdown(facts: string, { faults, overloads, verdicts }: Found): string {
  const cold = faults.filter(({ fault }) => fault.name === "cold");
  const met = verdicts.map(({ text, isMet }) => `- ${isMet ? "met" : "**missed**"}: ${text}`);
  const parts = ["# Faults", EXPLANATION, facts];
  if (verdicts.length > 0) parts.push("## Bars for Weir", met.join("\n"));
  if (faults.length > 0) parts.push("## One endpoint of four fails", faultTable(faults));
  if (cold.length > 0) parts.push("## A cold cache", COLD_TEXT, coldTable(cold));
  if (overloads.length > 0) parts.push("## Overload", OVERLOAD_TEXT, overloadTable(overloads));
  return `${parts.join("\n\n")}\n`;
}
