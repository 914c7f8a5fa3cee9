/**
 * `weir purge`: takes what is stored out of the cache of the running Weir.
 *
 * out    0 in force in all workers; 1 nobody answers, or it could not be made to last; 2 wrong use, or nothing is cached
 */
import type { PurgeDone, PurgeKind } from "../admin/cache-status.ts";
import { callAdmin } from "./admin-client.ts";
import { ADMIN_OPTION, findAdmin } from "./admin-target.ts";
import { type Arguments, type OptionRow, type UsageError, usageError } from "./arguments.ts";
import { CONFIG_OPTION, type Command, EXIT_FAILED, EXIT_OK, EXIT_USAGE, JSON_OPTION } from "./command.ts";
import { printable, type Terminal } from "./terminal.ts";

/** It answers once it is on the disk, where there is one. */
const TIMEOUT_MS = 10_000;
const MAX_URLS = 1000;

const PREFIX_OPTION: OptionRow = {
  name: "prefix",
  value: "URL",
  isList: true,
  help: "all whose URL begins so; may be given several times, as the next two",
};
const TAG_OPTION: OptionRow = { name: "tag", value: "TAG", isList: true, help: "all that carry a tag" };
const HOST_OPTION: OptionRow = { name: "host", value: "HOST", isList: true, help: "all of a host" };
const ALL_OPTION: OptionRow = { name: "all", help: "everything" };
const SOFT_OPTION: OptionRow = {
  name: "soft",
  help: "mark as stale: asked for anew, and still there if that fails",
};

export const purgeCommand: Command = {
  name: "purge",
  summary: "take responses out of the cache",
  usage: "URL… | --prefix URL | --tag T | --host H | --all [--soft] [-c FILE] [--admin ADDR] [--json]",
  operands: { names: ["URL"], min: 0, max: MAX_URLS },
  options: [
    PREFIX_OPTION,
    TAG_OPTION,
    HOST_OPTION,
    ALL_OPTION,
    SOFT_OPTION,
    CONFIG_OPTION,
    ADMIN_OPTION,
    JSON_OPTION,
  ],
  about:
    "In force in all workers when it returns, however much there is. A URL stands for all its variants,\n" +
    "with http and https alike. Tags are those that origins name in Cache-Tag and Surrogate-Key.",
  examples: [
    ["weir purge https://example.com/logo.png", "one URL, all variants"],
    ["weir purge --prefix example.com/blog/", "all below"],
    ["weir purge --tag product-42 --soft", "stale at once; a failing endpoint does not show"],
  ],
  async run(args, terminal) {
    const wish = wishOf(args);
    if ("message" in wish) return wish;
    return purge(args, terminal, wish);
  },
};

interface Wish {
  readonly kind: PurgeKind;
  readonly names: readonly string[];
}

function wishOf(args: Arguments): Wish | UsageError {
  const wishes: Wish[] = [
    { kind: "url", names: args.operands },
    { kind: "prefix", names: args.list("prefix") },
    { kind: "tag", names: args.list("tag") },
    { kind: "host", names: args.list("host") },
  ];
  const asked = wishes.filter(({ names }) => names.length > 0);
  if (args.has("all")) asked.push({ kind: "all", names: [] });
  const [wish] = asked;
  if (wish === undefined)
    return usageError("say what to purge: a URL, --prefix, --tag, --host, or --all for everything");
  if (asked.length > 1) {
    const said = asked.map(({ kind }) => (kind === "url" ? "a URL" : `--${kind}`)).join(" and ");
    return usageError(`${said} together: one kind at a time`);
  }
  return wish;
}

async function purge(args: Arguments, terminal: Terminal, wish: Wish): Promise<number | UsageError> {
  const found = await findAdmin(args, terminal);
  if (found.kind === "usage_error") return found;
  const answer = await callAdmin(found.target, {
    method: "POST",
    path: "/api/v1/cache/purge",
    body: {
      [wish.kind]: wish.kind === "all" ? true : wish.names,
      ...(args.has("soft") ? { soft: true } : {}),
      by: printable(terminal.env["SUDO_USER"] ?? terminal.env["USER"] ?? "").slice(0, 100),
    },
    timeoutMs: TIMEOUT_MS,
  });
  if (answer.kind === "admin_error") {
    terminal.err(printable(answer.message));
    return EXIT_FAILED;
  }
  if (answer.status !== 200) {
    const { error } = (answer.json ?? {}) as { readonly error?: unknown };
    const why = typeof error === "string" ? error : `the admin listener answered ${answer.status}`;
    terminal.err(printable(`not purged: ${why}`));
    return answer.status === 503 ? EXIT_FAILED : EXIT_USAGE;
  }
  if (args.has("json")) terminal.out(JSON.stringify(answer.json, null, 2));
  else terminal.out(`${terminal.paint.good("ok")}: ${printable(purgedText(answer.json as PurgeDone))}`);
  return EXIT_OK;
}

/** So many names are told; `--json` has all. */
const MAX_TOLD = 3;

export function purgedText({ kind, names, purged, soft }: PurgeDone): string {
  const done = soft ? "stale" : "purged";
  if (kind === "all") return `${done}: everything`;
  const told = names.slice(0, MAX_TOLD).join(", ");
  const more = names.length > MAX_TOLD ? ` and ${names.length - MAX_TOLD} more` : "";
  const others = purged.filter((name) => !names.includes(name));
  const also = others.length === 0 ? "" : `; stored as ${others.slice(0, MAX_TOLD).join(", ")}`;
  return `${done}: ${kind} ${told}${more}${also}`;
}
