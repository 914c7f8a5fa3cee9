/**
 * `weir cache`: what is in the cache of the running Weir, and what it is good for.
 *
 * shape  no word: tiers and routes; `show URL`: what is stored for one request; `top`: what is used most
 * out    0 told; 1 nobody answers, or `show` found nothing; 2 wrong use, or nothing is cached
 */
import type { CacheObject, CacheShown, CacheTop } from "../admin/cache-status.ts";
import type { Status } from "../admin/status.ts";
import { callAdmin } from "./admin-client.ts";
import { ADMIN_OPTION, findAdmin } from "./admin-target.ts";
import { type Arguments, type OptionRow, type UsageError, usageError } from "./arguments.ts";
import { cacheLines } from "./cache-text.ts";
import { CONFIG_OPTION, type Command, EXIT_FAILED, EXIT_OK, EXIT_USAGE, JSON_OPTION } from "./command.ts";
import { suggest } from "./suggest.ts";
import { type Column, durationText, sizeText, tableLines } from "./table.ts";
import { type Palette, printable, type Terminal } from "./terminal.ts";

/** Reading from a disk included. */
const TIMEOUT_MS = 10_000;
const WORDS = ["show", "top"];
const HEADER_OPTION: OptionRow = {
  name: "header",
  short: "H",
  value: "HEADER",
  isList: true,
  help: "field of the request, as in curl; it chooses among variants",
};
const LIMIT_OPTION: OptionRow = { name: "limit", short: "n", value: "N", help: "rows of top (default 20)" };

export const cacheCommand: Command = {
  name: "cache",
  summary: "show what is in the cache, and what it saves",
  usage: "[show URL [-H HEADER]… | top [-n N]] [-c FILE] [--admin ADDR] [--json]",
  operands: { names: ["show|top", "URL"], min: 0, max: 2 },
  options: [HEADER_OPTION, LIMIT_OPTION, CONFIG_OPTION, ADMIN_OPTION, JSON_OPTION],
  about:
    "Without a word: how full the cache is, and what it does for each route since the start.\n" +
    "weir explain tells what the cache would do with a request by the file alone.",
  examples: [
    ["weir cache", "hit ratios by route, in requests and bytes"],
    [
      "weir cache show https://example.com/ -H 'Accept-Language: de'",
      "every variant, its age, and which one answers",
    ],
    ["weir cache top -n 50", "what is used most, the largest first among equals"],
  ],
  run(args, terminal) {
    const [word, url] = args.operands;
    if (word === undefined) return summary(args, terminal);
    if (word === "show" && url !== undefined) return show(args, terminal, url);
    if (word === "show") return Promise.resolve(usageError("URL is missing: weir cache show URL"));
    if (word === "top" && url === undefined) return top(args, terminal);
    const near = suggest(word, WORDS);
    const hint = near === undefined ? `; there is ${WORDS.join(", ")}` : `; did you mean "${near}"?`;
    return Promise.resolve(usageError(`"${args.operands.join(" ")}" is nothing to show${hint}`));
  },
};

async function summary(args: Arguments, terminal: Terminal): Promise<number | UsageError> {
  const status = await ask<Status>(args, terminal, "/api/v1/status");
  if (typeof status === "number" || "message" in status) return status;
  const { cache, routes } = status;
  if (cache === undefined) {
    terminal.err("nothing is cached: no route has `cache`");
    return EXIT_USAGE;
  }
  const told = routes.filter((route) => route.cache !== undefined);
  if (args.has("json")) {
    const json = { ...cache, routes: told.map(({ name, cache: counts }) => ({ name, ...counts })) };
    terminal.out(JSON.stringify(json, null, 2));
  } else terminal.out(cacheLines(status, terminal.paint).join("\n"));
  return EXIT_OK;
}

async function show(args: Arguments, terminal: Terminal, url: string): Promise<number | UsageError> {
  const headers = args.list("header").map((line) => `&header=${encodeURIComponent(line)}`);
  const path = `/api/v1/cache/show?url=${encodeURIComponent(url)}${headers.join("")}`;
  const shown = await ask<CacheShown>(args, terminal, path);
  if (typeof shown === "number" || "message" in shown) return shown;
  if (args.has("json")) terminal.out(JSON.stringify(shown, null, 2));
  else terminal.out(shownText(shown, terminal.paint));
  return shown.objects.length === 0 ? EXIT_FAILED : EXIT_OK;
}

async function top(args: Arguments, terminal: Terminal): Promise<number | UsageError> {
  const limit = args.text("limit");
  if (limit !== undefined && !/^[1-9]\d{0,3}$/.test(limit))
    return usageError(`-n ${limit} is no number of rows`);
  const found = await ask<CacheTop>(args, terminal, `/api/v1/cache/top?limit=${limit ?? 20}`);
  if (typeof found === "number" || "message" in found) return found;
  if (args.has("json")) terminal.out(JSON.stringify(found, null, 2));
  else terminal.out(topText(found, terminal.paint));
  return EXIT_OK;
}

/** out  what was answered, or the exit code when that has been told */
async function ask<T>(args: Arguments, terminal: Terminal, path: string): Promise<T | number | UsageError> {
  const found = await findAdmin(args, terminal);
  if (found.kind === "usage_error") return found;
  const answer = await callAdmin(found.target, { method: "GET", path, timeoutMs: TIMEOUT_MS });
  if (answer.kind === "admin_error") {
    terminal.err(`weir cache: ${printable(answer.message)}`);
    return EXIT_FAILED;
  }
  if (answer.status === 200) return answer.json as T;
  const { error } = (answer.json ?? {}) as { readonly error?: unknown };
  const why = typeof error === "string" ? error : `the admin listener answered ${answer.status}`;
  terminal.err(`weir cache: ${printable(why)}`);
  return answer.status === 503 ? EXIT_FAILED : EXIT_USAGE;
}

const text = (title: string): Column => ({ title });
const number = (title: string): Column => ({ title, isNumber: true });

export function shownText({ url, vary, routes, objects }: CacheShown, paint: Palette): string {
  const place = routes.length === 0 ? "no route that caches takes it" : `routes: ${routes.join(", ")}`;
  if (objects.length === 0) return printable(`${url}: nothing is stored (${place})`);
  const head = vary.length === 0 ? url : `${url}, which varies by ${vary.join(", ")}`;
  return [printable(head), ...objects.map((object) => objectText(object, paint))].join("\n\n");
}

const PLACES = { memory: "in memory", disk: "on the disk" } as const;
const STATES = { fresh: "fresh", stale: "stale", gone: "purged" } as const;

function leftText({ state, ttlSec }: CacheObject): string {
  if (state === "gone") return "";
  return ttlSec > 0 ? `, for ${secondsText(ttlSec)} more` : `, stale for ${secondsText(-ttlSec)}`;
}

function objectText(object: CacheObject, paint: Palette): string {
  const told = STATES[object.state];
  const state = object.state === "fresh" ? paint.good(told) : paint.warn(told);
  const allowed = [
    object.staleWhileRevalidateSec > 0
      ? `${secondsText(object.staleWhileRevalidateSec)} while it is refreshed`
      : "",
    object.staleIfErrorSec > 0 ? `${secondsText(object.staleIfErrorSec)} if the endpoint fails` : "",
  ].filter((each) => each !== "");
  const rows: (readonly [name: string, value: string])[] = [
    ["route", object.route],
    ["variant", object.variant.replaceAll("\n", " · ")],
    ["stored", `${object.storedAt}, ${secondsText(object.ageSec)} old${leftText(object)}`],
    ["then stale", allowed.join(", ")],
    ["body", `${sizeText(object.bodyBytes)} ${PLACES[object.tier]}, ${contentText(object)}`],
    ["etag", object.etag],
    ["tags", object.tags.join(", ")],
    ["flags", object.flags.join(", ")],
    ["key URL", object.url],
    ["this request", `${object.use} (${object.rule}: ${object.why})`],
  ];
  const shown = rows.filter(
    ([name, value]) => value !== "" && (name !== "this request" || object.isSelected),
  );
  const width = Math.max(...shown.map(([name]) => name.length));
  const lines = shown.map(([name, value]) => `  ${paint.dim(name.padEnd(width))}  ${printable(value)}`);
  return [`${object.isSelected ? "→" : " "} ${object.status} ${state}`, ...lines].join("\n");
}

const secondsText = (seconds: number) => (seconds > 0 ? durationText(seconds * 1000) : "0s");

function contentText({ contentType, contentEncoding }: CacheObject): string {
  const type = contentType === "" ? "no type" : contentType;
  return contentEncoding === "" ? type : `${type}, ${contentEncoding}`;
}

export function topText({ looked, objects, rows }: CacheTop, paint: Palette): string {
  const [head, ...lines] = tableLines(
    [number("USES"), number("SIZE"), number("TTL"), number("STATUS"), text("ROUTE"), text("URL")],
    rows.map((row) => [
      row.uses === 3 ? "3+" : `${row.uses}`,
      sizeText(row.bodyBytes),
      row.ttlSec < 0 ? "stale" : secondsText(row.ttlSec),
      `${row.status}`,
      printable(row.route),
      printable(row.variant === "" ? row.url : `${row.url} (${row.variant.replaceAll("\n", " · ")})`),
    ]),
  );
  if (head === undefined) return "the cache is empty";
  const sample = looked < objects ? [paint.dim(`looked at ${looked} of ${objects} responses`)] : [];
  return [paint.dim(head), ...lines, ...sample].join("\n");
}
