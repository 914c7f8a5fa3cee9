/**
 * `weir top`: what the running Weir does now, looked at every second.
 *
 * why    `weir status` shows sums since the start; trouble shows in what changes
 * rule   without a terminal, and with `--once`, one span of a second is measured and printed
 * out    0 when the person leaves; 1 when nobody answers at the start, or where one look was asked for
 */
import type { Status } from "../admin/status.ts";
import { type AdminTarget, callAdmin } from "./admin-client.ts";
import { ADMIN_OPTION, findAdmin } from "./admin-target.ts";
import { CONFIG_OPTION, type Command, EXIT_FAILED, EXIT_OK, JSON_OPTION, NO_OPERANDS } from "./command.ts";
import type { Screen } from "./screen.ts";
import { printable, type Terminal } from "./terminal.ts";
import { type Frame, frameOf, type Look } from "./top-frame.ts";
import { type Size, topLines } from "./top-view.ts";

const SPAN_MS = 1000;
const CALL_TIMEOUT_MS = 3000;
const LEAVE_NOTE = "q leaves";
/** Where lines are printed and not drawn, there is no last column and no last row. */
const ENDLESS: Size = { columns: 160, rows: 10_000 };

export const topCommand: Command = {
  name: "top",
  summary: "show rates, times, errors and states of the running Weir, live",
  usage: "[--once] [-c FILE] [--admin ADDR] [--json]",
  operands: NO_OPERANDS,
  options: [
    { name: "once", help: "measure one second, print it and end" },
    CONFIG_OPTION,
    ADMIN_OPTION,
    { ...JSON_OPTION, help: "with --once: print JSON, for programs" },
  ],
  about:
    "Looks every second; q, Escape or Ctrl-C leaves. Routes: the busiest first; endpoints: trouble first.",
  examples: [
    ["weir top", "asks the Weir whose file is ./weir.yaml"],
    ["weir top --once --json | jq .total.p99Ms", "for programs"],
  ],
  async run(args, terminal) {
    const found = await findAdmin(args, terminal);
    if (found.kind === "usage_error") return found;
    const first = await look(found.target);
    if (typeof first === "string") return fail(terminal, first);
    const isJson = args.has("json");
    const screen = args.has("once") || isJson ? undefined : terminal.openScreen?.();
    if (screen === undefined) return printOnce(found.target, first, terminal, isJson);
    try {
      await follow(found.target, first, screen, terminal);
    } finally {
      screen.close();
    }
    return EXIT_OK;
  },
};

function fail(terminal: Terminal, message: string): number {
  terminal.err(`weir top: ${printable(message)}`);
  return EXIT_FAILED;
}

/** out  the look, or why there is none */
async function look(target: AdminTarget): Promise<Look | string> {
  const answer = await callAdmin(target, { method: "GET", path: "/api/v1/live", timeoutMs: CALL_TIMEOUT_MS });
  if (answer.kind === "admin_error") return answer.message;
  if (answer.status !== 200 || !isStatus(answer.json)) {
    return `the admin listener answered ${answer.status} and no live status`;
  }
  return { status: answer.json, atMs: performance.now() };
}

function isStatus(json: unknown): json is Status {
  return typeof json === "object" && json !== null && "routes" in json && "upstreams" in json;
}

async function printOnce(
  target: AdminTarget,
  first: Look,
  terminal: Terminal,
  isJson: boolean,
): Promise<number> {
  await Bun.sleep(SPAN_MS);
  const second = await look(target);
  if (typeof second === "string") return fail(terminal, second);
  const frame = frameOf(first, second);
  if (isJson) terminal.out(JSON.stringify(jsonOf(frame), null, 2));
  else {
    const view = { size: ENDLESS, paint: terminal.paint, nowMs: Date.now() };
    terminal.out(topLines(frame, view, "").join("\n"));
  }
  return EXIT_OK;
}

function jsonOf({ seconds, total: { name: _, ...total }, routes, endpoints, held }: Frame) {
  return {
    seconds: rounded(seconds),
    total: tidy(total),
    routes: routes.map(tidy),
    endpoints: endpoints.map(tidy),
    held: held.map(({ name, waiting, breakersOpen }) => ({ name, waiting, breakersOpen })),
  };
}

/** More digits are noise of the clock. */
const rounded = (number: number) => Math.round(number * 1000) / 1000;

function tidy(row: object): object {
  const cells = (Object.entries(row) as [string, unknown][]).map(([key, value]) => [
    key,
    typeof value === "number" ? rounded(value) : value,
  ]);
  return Object.fromEntries(cells);
}

/** Until the person leaves. An answer that fails to come is told in the last line, and asked for again. */
async function follow(target: AdminTarget, first: Look, screen: Screen, terminal: Terminal): Promise<void> {
  let before = first;
  let frame = frameOf(first, first);
  let note = LEAVE_NOTE;
  let hasLeft = false;
  const left = screen.left.then(() => {
    hasLeft = true;
  });
  const draw = () => {
    const view = { size: screen.size(), paint: terminal.paint, nowMs: Date.now() };
    screen.draw(topLines(frame, view, note));
  };
  screen.onResize(draw);
  draw();
  while (!hasLeft) {
    await Promise.race([Bun.sleep(SPAN_MS), left]);
    if (hasLeft) return;
    const now = await Promise.race([look(target), left]);
    if (now === undefined) return;
    if (typeof now === "string") note = `no answer: ${printable(now)}; ${LEAVE_NOTE}`;
    else {
      frame = frameOf(before, now);
      before = now;
      note = LEAVE_NOTE;
    }
    draw();
  }
}
