/**
 * `weir status`: what the running Weir says of itself.
 *
 * out    0 with the state; 1 when nobody answers
 */
import type { CertificateStatus, Status } from "../admin/status.ts";
import { formatProblem } from "../config/problem.ts";
import { stateText } from "../health/endpoint-state.table.ts";
import { callAdmin } from "./admin-client.ts";
import { ADMIN_OPTION, findAdmin } from "./admin-target.ts";
import { cacheLines } from "./cache-text.ts";
import { CONFIG_OPTION, type Command, EXIT_FAILED, EXIT_OK, JSON_OPTION, NO_OPERANDS } from "./command.ts";
import { type Column, durationText, latencyText, sizeText, tableLines } from "./table.ts";
import { type Palette, printable } from "./terminal.ts";

const STATUS_TIMEOUT_MS = 5000;
/** A screen or two; the busiest first, and `--json` has them all. */
const MAX_ROWS = 40;
/** Enough to know what to look at; `weir check` has them all. */
const MAX_PROBLEMS = 5;
/** Endpoints of which the reason for their state is told. */
const MAX_REASONS = 10;
const DAY_MS = 86_400_000;

export const statusCommand: Command = {
  name: "status",
  summary: "show workers, listeners, routes and endpoints of the running Weir",
  usage: "[-c FILE] [--admin ADDR] [--json]",
  operands: NO_OPERANDS,
  options: [CONFIG_OPTION, ADMIN_OPTION, JSON_OPTION],
  about: "",
  examples: [
    ["weir status", "asks the Weir whose file is ./weir.yaml"],
    ["weir status --json | jq '.routes[] | {name, p99Ms}'", "for programs"],
  ],
  async run(args, terminal) {
    const found = await findAdmin(args, terminal);
    if (found.kind === "usage_error") return found;
    const { loaded } = found;
    if (loaded !== undefined && loaded.config === undefined) {
      const asked = loaded.admin === undefined ? "; asking the default address" : "";
      terminal.err(`note: ${loaded.file} has problems, see weir check${asked}`);
    }
    const call = { method: "GET", path: "/api/v1/status", timeoutMs: STATUS_TIMEOUT_MS } as const;
    const answer = await callAdmin(found.target, call);
    if (answer.kind === "admin_error") {
      terminal.err(`weir status: ${answer.message}`);
      return EXIT_FAILED;
    }
    if (answer.status !== 200 || !isStatus(answer.json)) {
      terminal.err(`weir status: the admin listener answered ${answer.status} and no status`);
      return EXIT_FAILED;
    }
    if (args.has("json")) terminal.out(JSON.stringify(answer.json, null, 2));
    else terminal.out(statusText(answer.json, Date.now(), terminal.paint));
    return EXIT_OK;
  },
};

function isStatus(json: unknown): json is Status {
  return typeof json === "object" && json !== null && "workers" in json && "listeners" in json;
}

const text = (title: string): Column => ({ title });
const number = (title: string): Column => ({ title, isNumber: true });

export function statusText(status: Status, nowMs: number, paint: Palette): string {
  const age = durationText(nowMs - Date.parse(status.startedAt));
  const state = status.state === "running" ? paint.good(status.state) : paint.warn(status.state);
  const sections = [
    [
      `weir ${status.program}  ${state} for ${age}  pid ${status.pid}`,
      `configuration ${status.configVersion} from ${status.configSource}${reloadText(status)}`,
    ],
    section(workerTable(status), paint),
    section(listenerTable(status), paint),
    section(routeTable(status), paint),
    cacheLines(status, paint),
    section(endpointTable(status, nowMs), paint),
    [...endpointReasons(status), ...heldBack(status), ...silentSources(status)].map(paint.warn),
    section(certificateTable(status, nowMs), paint),
    certificateErrors(status).map(paint.warn),
  ];
  return sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join("\n"))
    .join("\n\n");
}

function reloadText(status: Status): string {
  if (status.lastReload === undefined) return "";
  const { applied, at, problems } = status.lastReload;
  if (applied) return `, reloaded ${at}`;
  const lines = problems.slice(0, MAX_PROBLEMS).map((problem) => `\n  ${printable(formatProblem(problem))}`);
  const hidden = problems.length - lines.length;
  const more = hidden > 0 ? `\n  … and ${hidden} more: weir check` : "";
  return `\nlast reload refused ${at}; the configuration before it goes on${lines.join("")}${more}`;
}

function section(lines: string[], paint: Palette): string[] {
  const [title, ...rows] = lines;
  if (title === undefined) return [];
  const hidden = rows.length - MAX_ROWS;
  const more = hidden > 0 ? [paint.dim(`… and ${hidden} more; --json has all`)] : [];
  return [paint.dim(title), ...rows.slice(0, MAX_ROWS), ...more];
}

/** The first to expire first; what there is none of yet before all. */
function certificateTable(status: Status, nowMs: number): string[] {
  return tableLines(
    [
      text("LISTENER"),
      text("CERTIFICATE"),
      text("SOURCE"),
      text("KEY"),
      text("ISSUER"),
      text("EXPIRES"),
      number("DAYS LEFT"),
    ],
    status.certificates
      .toSorted((a, b) => expiryOf(a) - expiryOf(b))
      .map((certificate) => [
        certificate.listener,
        printable(namesText(certificate)),
        certificate.source,
        certificate.keyType ?? "-",
        printable(certificate.issuer ?? "-"),
        certificate.notAfter?.slice(0, 10) ?? "-",
        certificate.notAfter === undefined ? "-" : `${Math.floor((expiryOf(certificate) - nowMs) / DAY_MS)}`,
      ]),
  );
}

const expiryOf = ({ notAfter }: CertificateStatus) => (notAfter === undefined ? 0 : Date.parse(notAfter));

function namesText({ names, isDefault }: CertificateStatus): string {
  const more = names.length > 1 ? ` +${names.length - 1}` : "";
  return `${names[0] ?? "-"}${more}${isDefault ? " (default)" : ""}`;
}

function certificateErrors({ certificates }: Status): string[] {
  const failed = certificates.filter(({ lastError }) => lastError !== undefined);
  const lines = failed.slice(0, MAX_PROBLEMS).map((certificate) => {
    const { listener, lastError } = certificate;
    return printable(`${listener} ${certificate.names[0] ?? certificate.origin}: ${lastError}`);
  });
  const hidden = failed.length - lines.length;
  return hidden > 0 ? [...lines, `… and ${hidden} more; --json has all`] : lines;
}

function workerTable(status: Status): string[] {
  return tableLines(
    [number("WORKER"), number("PID"), text("STATE"), number("RESTARTS"), number("MEMORY"), number("SEEN")],
    status.workers.map((worker) => [
      `${worker.worker}`,
      `${worker.pid}`,
      worker.state,
      `${worker.restarts}`,
      sizeText(worker.memoryBytes),
      `${durationText(worker.heartbeatAgeMs)} ago`,
    ]),
  );
}

function listenerTable(status: Status): string[] {
  return tableLines(
    [text("LISTENER"), text("ADDRESSES"), number("OPEN"), number("CONNECTIONS"), number("REQUESTS")],
    status.listeners.map((listener) => [
      listener.name,
      listener.addresses.join(" "),
      `${listener.connectionsActive}`,
      `${listener.connections}`,
      `${listener.requests}`,
    ]),
  );
}

function routeTable(status: Status): string[] {
  return tableLines(
    [
      text("ROUTE"),
      number("REQUESTS"),
      number("ACTIVE"),
      number("5XX"),
      number("P50"),
      number("P95"),
      number("P99"),
    ],
    status.routes
      .toSorted((a, b) => b.requests - a.requests)
      .map((route) => [
        route.name,
        `${route.requests}`,
        `${route.active}`,
        `${route.errors5xx}`,
        latencyText(route.p50Ms),
        latencyText(route.p95Ms),
        latencyText(route.p99Ms),
      ]),
  );
}

/** Those in trouble, and those that a person has set, stand first when there are too many for a screen. */
function endpointTable(status: Status, nowMs: number): string[] {
  const rows = status.upstreams.flatMap((upstream) =>
    upstream.endpoints.map((endpoint) => ({ upstream: upstream.name, ...endpoint })),
  );
  const shown =
    rows.length > MAX_ROWS
      ? rows.toSorted((a, b) => Number(a.state === "up") - Number(b.state === "up"))
      : rows;
  return tableLines(
    [
      text("UPSTREAM"),
      text("ENDPOINT"),
      text("STATE"),
      number("SINCE"),
      number("WEIGHT"),
      number("REQUESTS"),
      number("ACTIVE"),
      number("ERRORS"),
      number("5XX"),
      number("P50"),
      number("P99"),
      number("OPEN"),
      number("POOLED"),
      text("ADDRESSES"),
    ],
    shown.map((endpoint) => [
      endpoint.upstream,
      endpoint.name,
      endpoint.state,
      sinceText(endpoint.since, nowMs),
      `${endpoint.weight}${endpoint.isWeightSet ? "!" : ""}`,
      `${endpoint.requests}`,
      `${endpoint.active}`,
      `${endpoint.errors}`,
      `${endpoint.errors5xx}`,
      latencyText(endpoint.p50Ms),
      latencyText(endpoint.p99Ms),
      `${endpoint.connectionsOpen}`,
      `${endpoint.connectionsPooled}`,
      endpoint.addresses.filter((address) => !endpoint.name.includes(address)).join(" "),
    ]),
  );
}

function sinceText(since: string | undefined, nowMs: number): string {
  if (since === undefined) return "-";
  const ms = nowMs - Date.parse(since);
  return ms < 1000 ? "now" : durationText(ms);
}

/** One line for each endpoint of whose state there is more to say. */
function endpointReasons({ upstreams }: Status): string[] {
  const told = upstreams.flatMap(({ name: upstream, endpoints }) =>
    endpoints
      .filter(({ state }) => state !== "up")
      .map(({ name, state, why, ejectedUntil }) => {
        const until = ejectedUntil === undefined ? "" : `, until ${ejectedUntil.slice(11, 19)} UTC`;
        return printable(`${upstream} ${name} is ${stateText(state)}${until}${why === "" ? "" : `: ${why}`}`);
      }),
  );
  const lines = told.slice(0, MAX_REASONS);
  return told.length > lines.length
    ? [...lines, `… and ${told.length - lines.length} more; --json has all`]
    : lines;
}

/** Upstreams whose limits or breakers hold requests back now. */
function heldBack({ upstreams }: Status): string[] {
  return upstreams
    .filter(({ waiting, breakersOpen }) => waiting > 0 || breakersOpen > 0)
    .slice(0, MAX_REASONS)
    .map(({ name, waiting, breakersOpen }) => {
      const parts = [
        waiting > 0 ? `${waiting} wait for a place` : "",
        breakersOpen > 0 ? `breaker open in ${breakersOpen} of the workers` : "",
      ];
      return `${name}: ${parts.filter((part) => part !== "").join(", ")}`;
    });
}

function silentSources({ discovery = [] }: Status): string[] {
  return discovery
    .filter(({ state }) => state !== "found")
    .slice(0, MAX_REASONS)
    .map(({ upstream, source, endpoints, lastError = "no answer yet" }) =>
      printable(`${upstream} is found by ${source}: ${lastError}; in use: ${endpoints} found before`),
    );
}
