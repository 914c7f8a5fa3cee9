/**
 * Page: the status as HTML for a person who looks in.
 *
 * rule   one document without outside parts; readable without script, from light and dark, by keyboard and
 *        screen reader; every value from a configuration is escaped
 * shape  a cell that moves names its place in the status (`data-v`) and its format (`data-f`); the script reads
 *        the status again and writes those cells, with the very functions used here. When the shape of the
 *        status changes it loads the page anew.
 */
import { createHash } from "node:crypto";
import { formatProblem } from "../config/problem.ts";
import type { Status } from "./status.ts";

/** More rows help nobody who reads; the API has them all. */
const MAX_ROWS = 200;
const REFRESH_MS = 2000;

/** Runs here and, as source text, in the browser: plain script, nothing from outside. */
const FORMATS = {
  text: (value: unknown) => String(value),
  list: (value: unknown) => (value as string[]).join(", "),
  count: (value: unknown) => Number(value).toLocaleString("en-US"),
  ms: (value: unknown) => (value === 0 ? "–" : Number(value).toFixed(Number(value) < 10 ? 2 : 0)),
  some: (value: unknown) => (value === undefined ? "–" : Number(value).toLocaleString("en-US")),
  maybe: (value: unknown) => (value ? String(value) : "–"),
  prose: (value: unknown) => (value ? String(value) : "–"),
  time: (value: unknown) => (value ? String(value).slice(0, 19).replace("T", " ") : "–"),
  day: (value: unknown) => (value ? String(value).slice(0, 10) : "–"),
  mib: (value: unknown) => (Number(value) / 1048576).toFixed(1),
} as const;

/** What the rows of the page depend on; runs in both places too. */
const shapeOf = (status: Status): string =>
  [
    status.pid,
    status.configVersion,
    status.lastReload ? status.lastReload.at : "",
    status.workers.map((worker) => worker.worker),
    status.listeners.length,
    status.routes.length,
    status.upstreams.map((upstream) => upstream.endpoints.length),
    status.certificates.map((certificate) => certificate.notAfter || ""),
    status.cache ? status.cache.tiers.length : 0,
  ].join("/");

/** What stands at a path in the status; in both places as well. */
const valueAt = (status: unknown, path: string): unknown =>
  path
    .split(".")
    .reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], status);

const FORMAT_SOURCE = Object.entries(FORMATS).map(([name, format]) => `${name}: ${format.toString()}`);

const SCRIPT = `"use strict";
const formats = {${FORMAT_SOURCE.join(",\n")}};
const shapeOf = ${shapeOf.toString()};
const note = document.getElementById("note");
const tell = (text) => { if (note.textContent !== text) note.textContent = text; };
const valueAt = ${valueAt.toString()};
async function refresh() {
  if (document.hidden) return;
  try {
    const answer = await fetch("/api/v1/status", { cache: "no-store" });
    if (!answer.ok) throw new Error(String(answer.status));
    const status = await answer.json();
    if (shapeOf(status) !== document.body.dataset.shape) return location.reload();
    for (const cell of document.querySelectorAll("[data-v]")) {
      const text = formats[cell.dataset.f](valueAt(status, cell.dataset.v));
      if (cell.textContent !== text) cell.textContent = text;
    }
    tell("Updated every ${REFRESH_MS / 1000} s.");
  } catch {
    tell("No answer: what is shown is old.");
  }
}
setInterval(refresh, ${REFRESH_MS});
`;

const STYLE = `:root{color-scheme:light dark;--line:#8884}
body{margin:0 auto;max-width:110rem;padding:1rem;font:1rem/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .25rem}
dl{display:flex;flex-wrap:wrap;gap:.25rem 2rem;margin:1rem 0}dl div{display:flex;gap:.5rem}
dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere}
.scroll{overflow-x:auto}.scroll:focus-visible{outline:2px solid Highlight}
table{border-collapse:collapse;width:100%}th,td{padding:.25rem .75rem .25rem 0;text-align:left;
border-bottom:1px solid var(--line);vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
td.s{white-space:nowrap}td.w{min-width:9rem;overflow-wrap:anywhere}
thead th{vertical-align:bottom}tbody th{min-width:10rem;overflow-wrap:anywhere}
ul{margin:.5rem 0;padding-left:1.25rem}`;

const hashOf = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

export const PAGE_POLICY = [
  "default-src 'none'",
  `script-src ${hashOf(SCRIPT)}`,
  `style-src ${hashOf(STYLE)}`,
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

interface Column {
  readonly title: string;
  /** Place in a row of the table. */
  readonly key: string;
  readonly format: keyof typeof FORMATS;
}

const column = (title: string, key: string, format: keyof typeof FORMATS): Column => ({ title, key, format });

const WORKERS: readonly Column[] = [
  column("Worker", "worker", "text"),
  column("Process", "pid", "text"),
  column("State", "state", "text"),
  column("Restarts", "restarts", "count"),
  column("Last sign of life, ms", "heartbeatAgeMs", "count"),
  column("Memory, MiB", "memoryBytes", "mib"),
];
const LISTENERS: readonly Column[] = [
  column("Listener", "name", "text"),
  column("Addresses", "addresses", "list"),
  column("Open connections", "connectionsActive", "count"),
  column("Connections", "connections", "count"),
  column("Requests", "requests", "count"),
];
const ROUTES: readonly Column[] = [
  column("Route", "name", "text"),
  column("Requests", "requests", "count"),
  column("In flight", "active", "count"),
  column("5xx", "errors5xx", "count"),
  column("p50, ms", "p50Ms", "ms"),
  column("p95, ms", "p95Ms", "ms"),
  column("p99, ms", "p99Ms", "ms"),
];
/** Where something is cached; a route that is not has none of these. */
const CACHED: readonly Column[] = [
  column("Cache hits", "cache.hit", "some"),
  column("Stale", "cache.stale", "some"),
  column("Confirmed", "cache.revalidated", "some"),
  column("Misses", "cache.miss", "some"),
  column("Past the cache", "cache.bypass", "some"),
];
const TIERS: readonly Column[] = [
  column("Cache", "tier", "text"),
  column("Used, MiB", "usedBytes", "mib"),
  column("Of, MiB", "budgetBytes", "mib"),
  column("Responses", "objects", "count"),
  column("Made room for others", "evicted", "count"),
];
const ENDPOINTS: readonly Column[] = [
  column("Endpoint", "name", "text"),
  column("State", "state", "text"),
  column("Why", "why", "prose"),
  column("Since (UTC)", "since", "time"),
  column("Weight", "weight", "count"),
  column("Requests", "requests", "count"),
  column("In flight", "active", "count"),
  column("Errors", "errors", "count"),
  column("5xx", "errors5xx", "count"),
  column("p50, ms", "p50Ms", "ms"),
  column("p95, ms", "p95Ms", "ms"),
  column("p99, ms", "p99Ms", "ms"),
  column("Connections", "connectionsOpen", "count"),
  column("Idle in pool", "connectionsPooled", "count"),
  column("Addresses", "addresses", "list"),
];

const CERTIFICATES: readonly Column[] = [
  column("Names", "names", "list"),
  column("Listener", "listener", "text"),
  column("Source", "source", "text"),
  column("From", "origin", "prose"),
  column("Key", "keyType", "maybe"),
  column("Issuer", "issuer", "prose"),
  column("Expires", "notAfter", "day"),
  column("Renewal", "renewsAt", "day"),
  column("Last error", "lastError", "prose"),
];

/** The whole document. */
export function renderPage(status: Status): string {
  const upstreams = status.upstreams.slice(0, MAX_ROWS).map((upstream, index) => {
    const path = `upstreams.${index}`;
    const endpoints = table(`Upstream ${upstream.name}`, ENDPOINTS, `${path}.endpoints`, upstream.endpoints);
    return `${endpoints}\n${waiting(upstream, path)}`;
  });
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Weir</title>
<style>${STYLE}</style>
</head>
<body data-shape="${escapeHtml(shapeOf(status))}">
<header>
<h1>Weir</h1>
${facts(status)}
<p id="note" role="status">As of the moment this page was loaded.</p>
</header>
<main>
${lastReload(status)}
${table("Workers", WORKERS, "workers", status.workers)}
${table("Listeners", LISTENERS, "listeners", status.listeners)}
${certificates(status)}
${table("Routes", status.cache === undefined ? ROUTES : [...ROUTES, ...CACHED], "routes", status.routes)}
${status.cache === undefined ? "" : table("Cache", TIERS, "cache.tiers", status.cache.tiers)}
${upstreams.join("\n")}
${moreThan(status.upstreams.length, "upstreams")}
</main>
<script>${SCRIPT}</script>
</body>
</html>
`;
}

function waiting({ waiting: requests, breakersOpen }: Status["upstreams"][number], path: string): string {
  const rows = [
    ["Waiting for a place", "waiting", requests],
    ["Workers with an open breaker", "breakersOpen", breakersOpen],
  ] as const;
  const items = rows.map(([title, key, count]) => {
    const value = cell("dd", FORMATS.count(count), { path: `${path}.${key}`, format: "count", style: "" });
    return `<div><dt>${title}</dt>${value}</div>`;
  });
  return `<dl>${items.join("")}</dl>`;
}

function certificates({ certificates: rows }: Status): string {
  return rows.length === 0 ? "" : table("Certificates", CERTIFICATES, "certificates", rows);
}

function facts(status: Status): string {
  const rows: [title: string, path: keyof Status][] = [
    ["State", "state"],
    ["Version", "program"],
    ["Process", "pid"],
    ["Since", "startedAt"],
    ["Configuration", "configVersion"],
    ["From", "configSource"],
  ];
  const items = rows.map(([title, path]) => {
    const value = cell("dd", FORMATS.text(status[path]), { path, format: "text", style: "" });
    return `<div><dt>${title}</dt>${value}</div>`;
  });
  return `<dl>\n${items.join("\n")}\n</dl>`;
}

function lastReload({ lastReload: reload }: Status): string {
  if (reload === undefined) return "";
  const problems = reload.problems.map((problem) => `<li>${escapeHtml(formatProblem(problem))}</li>`);
  const list = problems.length === 0 ? "" : `\n<ul>\n${problems.join("\n")}\n</ul>`;
  const outcome = reload.applied ? "applied" : "refused, the configuration before it goes on";
  return `<h2>Last reload</h2>\n<p>${escapeHtml(reload.at)}: ${outcome}.</p>${list}`;
}

/** A table of the rows that stand at `path` in the status; `rows` are of the type its columns read. */
function table(title: string, columns: readonly Column[], path: string, rows: readonly object[]): string {
  const shown = rows.slice(0, MAX_ROWS) as readonly Readonly<Record<string, unknown>>[];
  const head = columns.map(
    ({ title: name, format }) =>
      `<th scope="col"${isNumeric(format) ? ' class="n"' : ""}>${escapeHtml(name)}</th>`,
  );
  const body = shown.map((row, index) => {
    const cells = columns.map(({ key, format }, at) =>
      cell(at === 0 ? "th" : "td", FORMATS[format](valueAt(row, key)), {
        path: `${path}.${index}.${key}`,
        format,
        style: styleOf(format),
      }),
    );
    return `<tr>${cells.join("")}</tr>`;
  });
  const label = escapeHtml(title);
  return `<h2>${label}</h2>
<div class="scroll" role="region" aria-label="${label}" tabindex="0">
<table>
<thead><tr>${head.join("")}</tr></thead>
<tbody>
${body.join("\n")}
</tbody>
</table>
</div>
${moreThan(rows.length, "rows")}`;
}

/** Class of a cell: n = a number, s = short, never wrapped, w = a path or sentence, wrapped anywhere. */
const STYLES: Partial<Record<Column["format"], string>> = {
  text: "",
  list: "",
  maybe: "s",
  time: "s",
  day: "s",
  prose: "w",
};
const styleOf = (format: Column["format"]) => STYLES[format] ?? "n";
const isNumeric = (format: Column["format"]) => styleOf(format) === "n";

const moreThan = (count: number, what: string) =>
  count <= MAX_ROWS ? "" : `<p>The first ${MAX_ROWS} of ${count} ${what}; /api/v1/status has all.</p>`;

interface Place {
  readonly path: string;
  readonly format: Column["format"];
  readonly style: string;
}

function cell(tag: "dd" | "td" | "th", text: string, { path, format, style }: Place): string {
  const scope = tag === "th" ? ' scope="row"' : "";
  const styled = style === "" ? "" : ` class="${style}"`;
  return `<${tag}${scope}${styled} data-v="${path}" data-f="${format}">${escapeHtml(text)}</${tag}>`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
