/**
 * Top view: one frame of `weir top` as lines that fit the terminal.
 *
 * rule   never more lines or columns than there are. What does not fit goes in this order: p95 and p50 of endpoints, the
 *        quiet routes, the quiet endpoints. An endpoint that is not up, with its reason, goes last
 * rule   text from outside is made printable before it is measured; colours are put on after
 */
import { durationText, latencyText, sizeText } from "./table.ts";
import { type Paint, type Palette, printable } from "./terminal.ts";
import type { EndpointFrame, Frame, Rates, RouteFrame } from "./top-frame.ts";

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

export interface View {
  readonly size: Size;
  readonly paint: Palette;
  readonly nowMs: number;
}

/** Below this the columns for p50 and p95 of endpoints are left out. */
const WIDE = 100;
const MIN_NAME = 8;

/** in  `note`: a line for the foot, such as how to leave */
export function topLines(frame: Frame, view: View, note: string): string[] {
  const { columns, rows } = view.size;
  const head = headLines(frame, view);
  const foot = [...heldLines(frame), ...(note === "" ? [] : [note])].map((line) => fit(line, columns));
  const room = Math.max(0, rows - head.length - foot.length - 2);
  const routes = routeLines(frame, view);
  const endpoints = endpointLines(frame, view);
  const [forRoutes, forEndpoints] = share(room, routes.length, endpoints.length);
  const lines = [
    ...head,
    "",
    ...cut(routes, forRoutes, view, "routes"),
    "",
    ...cut(endpoints, forEndpoints, view, "lines"),
    ...foot.map(view.paint.dim),
  ];
  return lines.slice(0, rows);
}

/** Halves, unless one needs less. */
function share(room: number, routes: number, endpoints: number): [routes: number, endpoints: number] {
  const half = Math.floor(room / 2);
  if (routes + endpoints <= room) return [routes, endpoints];
  if (routes <= half) return [routes, room - routes];
  return endpoints <= half ? [room - endpoints, endpoints] : [half, room - half];
}

function cut(lines: readonly string[], room: number, { paint, size }: View, what: string): string[] {
  if (lines.length <= room) return [...lines];
  const kept = lines.slice(0, Math.max(0, room - 1));
  return room === 0
    ? []
    : [...kept, paint.dim(fit(`… and ${lines.length - kept.length} more ${what}`, size.columns))];
}

function headLines({ status, total }: Frame, { size, paint, nowMs }: View): string[] {
  const up = status.workers.filter(({ state }) => state === "running").length;
  const memory = status.workers.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);
  const age = durationText(nowMs - Date.parse(status.startedAt));
  const errors = total.requests === 0 ? 0 : (100 * total.errors) / total.requests;
  const first = `weir ${status.program}  ${status.state} for ${age}  configuration ${status.configVersion}  workers ${up}/${status.workers.length}  ${sizeText(memory)}`;
  const second = `${rateText(total.requests)} req/s  ${errors.toFixed(errors < 10 ? 1 : 0)}% 5xx  ${total.active} in flight  p50 ${latencyText(total.p50Ms)}  p95 ${latencyText(total.p95Ms)}  p99 ${latencyText(total.p99Ms)}`;
  const paintSecond = total.errors > 0 ? paint.warn : paint.strong;
  return [paint.strong(fit(first, size.columns)), paintSecond(fit(second, size.columns))];
}

function heldLines({ held }: Frame): string[] {
  return held.slice(0, 2).map(({ name, waiting, breakersOpen }) => {
    const breaker = breakersOpen > 0 ? `, breaker open in ${breakersOpen} of the workers` : "";
    return printable(`${name}: ${waiting} wait for a place${breaker}`);
  });
}

interface Cell {
  readonly title: string;
  readonly width: number;
  readonly isText?: boolean;
}

const RATE_CELLS: readonly Cell[] = [
  { title: "REQ/S", width: 7 },
  { title: "ERR/S", width: 6 },
  { title: "ACTIVE", width: 6 },
];
const TIME = (title: string): Cell => ({ title, width: 8 });
const ROUTE_CELLS = [...RATE_CELLS, TIME("P50"), TIME("P95"), TIME("P99")];
const STATE_CELLS: readonly Cell[] = [
  { title: "STATE", width: 11, isText: true },
  { title: "SINCE", width: 7 },
];
const NARROW_CELLS = [...STATE_CELLS, ...RATE_CELLS, TIME("P99")];
const WIDE_CELLS = [...STATE_CELLS, ...ROUTE_CELLS];

function routeLines({ routes }: Frame, { size, paint }: View): string[] {
  const width = nameWidth(ROUTE_CELLS, size.columns, [...routes.map(({ name }) => name), "ROUTE"]);
  const busiest = routes.toSorted((a, b) => b.requests - a.requests || b.active - a.active);
  return [
    paint.dim(titleLine("ROUTE", width, ROUTE_CELLS)),
    ...busiest.map((route) => {
      const line = row(route.name, width, ROUTE_CELLS, [...rateTexts(route), ...timeTexts(route)]);
      return route.errors > 0 ? paint.warn(line) : line;
    }),
  ];
}

const rateTexts = ({ requests, errors, active }: RouteFrame | EndpointFrame) => [
  rateText(requests),
  rateText(errors),
  `${active}`,
];
const timeTexts = ({ p50Ms, p95Ms, p99Ms }: Rates) => [p50Ms, p95Ms, p99Ms].map(latencyText);

/** Trouble first; the others as configured. */
function endpointLines({ endpoints }: Frame, view: View): string[] {
  const { size, paint } = view;
  const isWide = size.columns >= WIDE;
  const cells = isWide ? WIDE_CELLS : NARROW_CELLS;
  const width = nameWidth(cells, size.columns, [...endpoints.map(fullName), "UPSTREAM ENDPOINT"]);
  const inOrder = endpoints.toSorted((a, b) => Number(a.state === "up") - Number(b.state === "up"));
  const lines = inOrder.flatMap((endpoint) => {
    const times = isWide ? timeTexts(endpoint) : [latencyText(endpoint.p99Ms)];
    const texts = [endpoint.state, sinceText(endpoint, view.nowMs), ...rateTexts(endpoint), ...times];
    const line = colourOf(endpoint, paint)(row(fullName(endpoint), width, cells, texts));
    const hasReason = endpoint.why !== "" && endpoint.state !== "up";
    return hasReason ? [line, paint.dim(fit(printable(`  ${endpoint.why}`), size.columns))] : [line];
  });
  return [paint.dim(titleLine("UPSTREAM ENDPOINT", width, cells)), ...lines];
}

const fullName = ({ upstream, name }: EndpointFrame) => `${upstream} ${name}`;

function sinceText({ since }: EndpointFrame, nowMs: number): string {
  if (since === undefined) return "-";
  const ms = nowMs - Date.parse(since);
  return ms < 1000 ? "now" : (durationText(ms).split(" ")[0] ?? "-");
}

function colourOf({ state, errors }: EndpointFrame, paint: Palette): Paint {
  if (state === "down" || state === "ejected") return paint.bad;
  if (state !== "up" || errors > 0) return paint.warn;
  return (text) => text;
}

/** Room for the names: what they need, and no more than is left. */
function nameWidth(cells: readonly Cell[], columns: number, names: readonly string[]): number {
  const taken = cells.reduce((sum, { width }) => sum + 1 + width, 0);
  const longest = names.reduce((most, name) => Math.max(most, printable(name).length), 0);
  return Math.max(MIN_NAME, Math.min(longest, columns - taken));
}

function titleLine(title: string, width: number, cells: readonly Cell[]): string {
  return row(
    title,
    width,
    cells,
    cells.map((cell) => cell.title),
  );
}

function row(name: string, width: number, cells: readonly Cell[], texts: readonly string[]): string {
  const parts = cells.map((cell, at) => {
    const text = texts[at] ?? "";
    return cell.isText === true ? text.padEnd(cell.width) : text.padStart(cell.width);
  });
  return [shorten(printable(name), width).padEnd(width), ...parts].join(" ").trimEnd();
}

/** Begin and end of a name tell more than its middle. */
function shorten(text: string, width: number): string {
  if (text.length <= width) return text;
  const end = Math.floor((width - 1) / 2);
  return `${text.slice(0, width - 1 - end)}…${text.slice(text.length - end)}`;
}

const fit = (text: string, columns: number) =>
  text.length <= columns ? text : `${text.slice(0, Math.max(0, columns - 1))}…`;

/** `0`, `0.4`, `12`, `3450`, `12.3k`. */
function rateText(rate: number): string {
  if (rate === 0) return "0";
  if (rate < 10) return rate.toFixed(1);
  return rate < 10_000 ? rate.toFixed(0) : `${(rate / 1000).toFixed(1)}k`;
}
