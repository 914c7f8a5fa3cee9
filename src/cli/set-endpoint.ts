/**
 * `weir up`, `weir drain`, `weir maintenance`, `weir weight`: what a person wants of one endpoint of the running Weir.
 *
 * why    four words for one call: the state is the verb that an operator has in mind
 * out    0 done; 1 nobody answers, or `--wait` was too short; 2 there is no such upstream or endpoint
 */
import { MAX_WEIGHT, wrongWeight } from "../admin/endpoint-wish.ts";
import type { EndpointStatus, EndpointWish, Status } from "../admin/status.ts";
import { parseDuration } from "../config/quantity.ts";
import { stateText } from "../health/endpoint-state.table.ts";
import { type AdminTarget, callAdmin } from "./admin-client.ts";
import { ADMIN_OPTION, findAdmin } from "./admin-target.ts";
import { type Arguments, type OptionRow, type UsageError, usageError } from "./arguments.ts";
import { CONFIG_OPTION, type Command, EXIT_FAILED, EXIT_OK, EXIT_USAGE, JSON_OPTION } from "./command.ts";
import { printable, type Terminal } from "./terminal.ts";

const TIMEOUT_MS = 5000;
const LOOK_MS = 250;
const NOTE_OPTION: OptionRow = {
  name: "note",
  value: "TEXT",
  help: "why, for those who look at weir status",
};
const WAIT_OPTION: OptionRow = {
  name: "wait",
  value: "TIME",
  help: "wait until no request is in flight there, at most so long",
};
const KEPT = "Kept over reload, upgrade and the death of a worker; a new start begins with all endpoints up.";

export const upCommand: Command = {
  ...stateCommand("up"),
  summary: "let an endpoint take requests again",
  about: `Ends drain and maintenance, and an ejection too. Checks go on deciding: what is down stays down.`,
  examples: [["weir up app 10.0.0.1:8080", "after weir drain or weir maintenance"]],
};

export const drainCommand: Command = {
  ...stateCommand("drain"),
  summary: "give an endpoint no new requests; let it finish what it has",
  about: `Requests in flight go on, and so do sessions that stick to it (sticky).\n${KEPT}`,
  examples: [
    ["weir drain app 10.0.0.1:8080", "see weir status for what is still in flight"],
    ["weir drain app 10.0.0.1:8080 --wait 60s && ssh 10.0.0.1 reboot", "once nothing is in flight"],
  ],
};

export const maintenanceCommand: Command = {
  ...stateCommand("maintenance"),
  summary: "give an endpoint nothing at all, sessions included",
  about: `Requests in flight go on. Not even the last resort (panic) takes it.\n${KEPT}`,
  examples: [["weir maintenance app 10.0.0.1:8080 --note 'new disk'", "weir up app 10.0.0.1:8080 ends it"]],
};

export const weightCommand: Command = {
  name: "weight",
  summary: "change the weight of an endpoint while Weir runs",
  usage: "UPSTREAM ENDPOINT N|configured [--note TEXT] [-c FILE] [--admin ADDR] [--json]",
  operands: { names: ["UPSTREAM", "ENDPOINT", "WEIGHT"], min: 3, max: 3 },
  options: [NOTE_OPTION, CONFIG_OPTION, ADMIN_OPTION, JSON_OPTION],
  about: `0 leaves it only what sticks to it; "configured" takes the weight of the file again.\n${KEPT}`,
  examples: [["weir weight app 10.0.0.1:8080 5", "of all weights in use there, not a percentage"]],
  async run(args, terminal) {
    const written = args.operands[2] ?? "";
    const weight = written === "configured" ? written : Number(written === "" ? Number.NaN : written);
    if (wrongWeight(weight) !== undefined) {
      return usageError(`weight ${written} is not a whole number from 0 to ${MAX_WEIGHT}, nor "configured"`);
    }
    return change(args, terminal, { weight });
  },
};

function stateCommand(state: NonNullable<EndpointWish["state"]>) {
  const mayWait = state !== "up";
  return {
    name: state,
    usage: `UPSTREAM ENDPOINT [--note TEXT]${mayWait ? " [--wait TIME]" : ""} [-c FILE] [--admin ADDR] [--json]`,
    operands: { names: ["UPSTREAM", "ENDPOINT"], min: 2, max: 2 },
    options: [NOTE_OPTION, ...(mayWait ? [WAIT_OPTION] : []), CONFIG_OPTION, ADMIN_OPTION, JSON_OPTION],
    run: (args: Arguments, terminal: Terminal) => change(args, terminal, { state }),
  };
}

type Changed = EndpointStatus & { readonly upstream: string };

async function change(args: Arguments, terminal: Terminal, wish: EndpointWish): Promise<number | UsageError> {
  const wait = args.text("wait");
  const waiting = wait === undefined ? undefined : parseDuration(wait);
  if (waiting !== undefined && "wrong" in waiting) {
    return usageError(`--wait ${wait} is not a time such as 30s or 5m`);
  }
  const found = await findAdmin(args, terminal);
  if (found.kind === "usage_error") return found;
  const [upstream = "", endpoint = ""] = args.operands;
  const note = args.text("note");
  const answer = await callAdmin(found.target, {
    method: "POST",
    path: `/api/v1/upstreams/${encodeURIComponent(upstream)}/endpoints/${encodeURIComponent(endpoint)}`,
    body: note === undefined ? wish : { ...wish, note },
    timeoutMs: TIMEOUT_MS,
  });
  if (answer.kind === "admin_error") return fail(terminal, answer.message);
  if (answer.status !== 200) {
    terminal.err(`not changed: ${errorOf(answer.json) ?? `the admin listener answered ${answer.status}`}`);
    return answer.status === 404 || answer.status === 400 ? EXIT_USAGE : EXIT_FAILED;
  }
  const changed = answer.json as Changed;
  const last = waiting === undefined ? changed : await waitUntilIdle(found.target, changed, waiting.value);
  if (typeof last === "string") return fail(terminal, last);
  if (args.has("json")) terminal.out(JSON.stringify(last, null, 2));
  else terminal.out(`${terminal.paint.good("ok")}: ${printable(changedText(last))}`);
  return EXIT_OK;
}

function fail(terminal: Terminal, message: string): number {
  terminal.err(printable(message));
  return EXIT_FAILED;
}

function errorOf(json: unknown): string | undefined {
  const { error } = (json ?? {}) as { readonly error?: unknown };
  return typeof error === "string" ? printable(error) : undefined;
}

export function changedText({ upstream, name, state, why, weight, isWeightSet, active }: Changed): string {
  const parts = [`${upstream} ${name} is ${stateText(state)}${why === "" ? "" : ` (${why})`}`];
  if (isWeightSet) parts.push(`weight ${weight}`);
  if (active > 0) parts.push(`${active} in flight`);
  return parts.join(", ");
}

/** out  the endpoint once nothing is in flight there, or why that cannot be said */
async function waitUntilIdle(target: AdminTarget, first: Changed, waitMs: number): Promise<Changed | string> {
  const deadline = performance.now() + waitMs;
  let last = first;
  while (last.active > 0) {
    if (performance.now() > deadline)
      return `${last.upstream} ${last.name} still has ${last.active} in flight`;
    await Bun.sleep(LOOK_MS);
    const now = await look(target, first);
    if (typeof now === "string") return now;
    last = now;
  }
  return last;
}

async function look(target: AdminTarget, { upstream, name }: Changed): Promise<Changed | string> {
  const answer = await callAdmin(target, { method: "GET", path: "/api/v1/upstreams", timeoutMs: TIMEOUT_MS });
  if (answer.kind === "admin_error") return answer.message;
  const { upstreams = [] } = answer.json as Partial<Pick<Status, "upstreams">>;
  const found = upstreams.find((each) => each.name === upstream);
  const endpoint = found?.endpoints.find((each) => each.name === name);
  return endpoint === undefined
    ? `${upstream} ${name} is gone: a reload has removed it`
    : { upstream, ...endpoint };
}
