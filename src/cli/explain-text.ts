/**
 * Explain text: an explanation as a page for people.
 */
import { columns } from "./command.ts";
import { cacheSection, compressText } from "./explain-cache-text.ts";
import type { Explanation, FilesOutcome, Outcome, ProxyOutcome, RouteVerdict } from "./explain-plan.ts";
import type { ShownCertificate, TlsExplanation } from "./explain-tls.ts";
import { endpointText, retryText } from "./explain-upstream.ts";
import { durationText, tableLines } from "./table.ts";
import { type Palette, printable } from "./terminal.ts";

/** Routes shown: those that came nearest, in their order. */
const MAX_ROUTES = 20;
const NEAREST_FIRST: readonly RouteVerdict["verdict"][] = [
  "chosen",
  "condition",
  "outranked",
  "path",
  "host",
  "listener",
];
const MAX_BODY_SHOWN = 60;

export function explanationText(explanation: Explanation, paint: Palette): string {
  const sections = [
    requestSection(explanation, paint),
    explanation.tls === undefined ? "" : tlsSection(explanation.tls, paint),
    explanation.routes.length === 0
      ? ""
      : `${paint.strong("routes")}\n${routeLines(explanation.routes, paint)}`,
    explanation.refused === undefined ? "" : refusedText(explanation.refused, paint),
    explanation.cache === undefined ? "" : cacheSection(explanation.cache, paint),
    explanation.outcome === undefined ? "" : outcomeText(explanation.outcome, paint),
    explanation.compress === undefined ? "" : compressText(explanation.compress, paint),
    editsText(explanation, paint),
  ];
  return sections.filter((section) => section !== "").join("\n\n");
}

function requestSection({ request, listener, notes }: Explanation, paint: Palette): string {
  const understood = request.query === "" ? request.path : `${request.path}?${request.query}`;
  const isSame = request.path === "" || understood === request.target;
  const from = isSame ? "" : paint.dim(`  (sent as ${printable(request.target)})`);
  const rows: [string, string][] = [
    ["request", `${request.method} ${printable(request.path === "" ? request.target : understood)}${from}`],
    ["host", request.host === "" ? "(none)" : request.host],
    ["client", request.clientIp],
    ["listener", `${listener.name}  ${listener.addresses.join(" ")}  ${paint.dim(listener.reason)}`],
  ];
  const lines = [columns(rows), ...notes.map((note) => `  ${paint.warn("note")}: ${note}`)];
  return lines.join("\n");
}

/** Names shown of one certificate. */
const MAX_NAMES = 4;

function tlsSection(tls: TlsExplanation, paint: Palette): string {
  const versions = tls.minVersion === "1.2" ? "1.2 or 1.3" : "1.3";
  const clients = {
    off: "",
    optional: ", client certificate optional",
    require: ", client certificate required",
  };
  const rows: [string, string][] = [
    ["server name", `${tls.serverName === "" ? "(none)" : tls.serverName}  ${paint.dim(tls.reason)}`],
    ...tls.certificates.map((shown): [string, string] => ["certificate", certificateText(shown, paint)]),
    ["offered", `TLS ${versions}, ${tls.protocols.join(" or ")}${clients[tls.clientAuth]}`],
  ];
  if (tls.hsts !== "") rows.push(["every answer", `Strict-Transport-Security: ${tls.hsts}`]);
  return `${paint.strong("tls")}\n${columns(rows)}`;
}

function certificateText(shown: ShownCertificate, paint: Palette): string {
  const { source, origin, names, keyType, notAfter } = shown;
  const more = names.length > MAX_NAMES ? `, … ${names.length - MAX_NAMES} more` : "";
  const until = notAfter === undefined ? "" : `, until ${notAfter.slice(0, 10)}`;
  const where = source === "acme" ? `by ACME from ${origin}` : origin;
  return `${names.slice(0, MAX_NAMES).join(", ")}${more}  ${paint.dim(`${keyType}${until}, ${where}`)}`;
}

function routeLines(routes: readonly RouteVerdict[], paint: Palette): string {
  const nearness = (route: RouteVerdict) => NEAREST_FIRST.indexOf(route.verdict);
  const nearest = new Set(routes.toSorted((a, b) => nearness(a) - nearness(b)).slice(0, MAX_ROUTES));
  const shown = routes.filter((route) => nearest.has(route));
  const hidden = routes.length - shown.length;
  const [, ...lines] = tableLines(
    [{ title: "" }, { title: "" }, { title: "" }],
    shown.map(({ name, verdict, reason, match }) => [
      `${verdict === "chosen" ? "→" : " "} ${name}`,
      reason,
      match,
    ]),
  );
  const painted = lines.map((line, at) => {
    const isChosen = shown[at]?.verdict === "chosen";
    return `  ${isChosen ? paint.good(printable(line)) : paint.dim(printable(line))}`;
  });
  if (hidden > 0) painted.push(paint.dim(`    … and ${hidden} more; --json has all`));
  return painted.join("\n");
}

function refusedText(refused: NonNullable<Explanation["refused"]>, paint: Palette): string {
  const status = refused.status === 0 ? "" : `${refused.status}  `;
  return `${paint.bad("refused")}  ${status}${refused.code}: ${refused.meaning}`;
}

function outcomeText(outcome: Outcome, paint: Palette): string {
  switch (outcome.kind) {
    case "redirect":
      return `${paint.strong("redirect")}  ${outcome.status}  Location: ${printable(outcome.location)}`;
    case "respond":
      return `${paint.strong("respond")}  ${outcome.status}  ${outcome.contentType}  ${shortened(outcome.body)}`;
    case "files":
      return filesText(outcome, paint);
    case "proxy":
      return proxyText(outcome, paint);
  }
}

function filesText({ root, path, status, meaning, fields }: FilesOutcome, paint: Palette): string {
  const answer = meaning === undefined ? `${status}` : `${status}  ${meaning}`;
  const title = `${paint.strong("files")}  ${printable(root)}  ${printable(path)}  ${answer}`;
  return [title, ...fields.map(([name, value]) => `  ${paint.accent(name)}: ${printable(value)}`)].join("\n");
}

function shortened(body: string): string {
  const text = JSON.stringify(body);
  return text.length > MAX_BODY_SHOWN ? `${text.slice(0, MAX_BODY_SHOWN)}…` : text;
}

const SHED_TEXT = { low: "turned away first", high: "turned away last" };

function proxyText(outcome: ProxyOutcome, paint: Palette): string {
  const { from, to } = outcome.path;
  const parts: string[] = [];
  if (from !== to) parts.push(`${paint.strong("rewrite")}  ${printable(from)} → ${printable(to)}`);
  parts.push(`${paint.strong("sent")}\n${sentLines(outcome, paint)}`);
  for (const target of outcome.targets) {
    const share = outcome.targets.length > 1 ? `  ${target.share} % of requests` : "";
    const rule = paint.dim(`${target.choice}; ${target.protocol}`);
    const endpoints = target.endpoints.map((endpoint) => [endpoint.name, endpointText(endpoint)] as const);
    const lines = [
      `${paint.strong("upstream")}  ${target.upstream}${share}  ${rule}`,
      columns(endpoints),
      columns(target.rules.map(([name, text]) => [name, paint.dim(printable(text))] as const)),
    ];
    parts.push(lines.filter((line) => line !== "").join("\n"));
  }
  const { connectMs, responseMs, idleMs, requestMs } = outcome.timeouts;
  const times: [string, number][] = [
    ["connect", connectMs],
    ["response", responseMs],
    ["idle", idleMs],
    ["request", requestMs],
  ];
  const timeText = times.map(([name, ms]) => `${name} ${ms === 0 ? "none" : durationText(ms)}`).join(" · ");
  parts.push(`${paint.strong("timeouts")}  ${timeText}`);
  const shed = outcome.shed === "normal" ? "" : `\n\n${paint.strong("overload")}  ${SHED_TEXT[outcome.shed]}`;
  parts.push(`${paint.strong("retry")}  ${retryText(outcome.retry)}${shed}`);
  return parts.join("\n\n");
}

function sentLines(outcome: ProxyOutcome, paint: Palette): string {
  const fields = outcome.requestFields.map(([name, value]) => `  ${paint.accent(name)}: ${printable(value)}`);
  return [`  ${printable(outcome.requestLine)}`, ...fields].join("\n");
}

function editsText({ responseEdits, errorPages }: Explanation, paint: Palette): string {
  const rows: [string, string][] = [];
  for (const name of responseEdits?.remove ?? []) rows.push(["remove", name]);
  for (const [name, value] of responseEdits?.set ?? []) rows.push(["set", `${name}: ${value}`]);
  for (const [name, value] of responseEdits?.add ?? []) rows.push(["add", `${name}: ${value}`]);
  for (const [status, file] of Object.entries(errorPages ?? {})) rows.push([`error ${status}`, file]);
  return rows.length === 0 ? "" : `${paint.strong("response")}\n${columns(rows)}`;
}
