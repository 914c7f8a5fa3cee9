/**
 * `weir events`: when did which endpoint change its state, and why?
 *
 * out    0 with the latest changes, the oldest first; 1 when nobody answers
 */
import type { PurgeEvent } from "../admin/cache-status.ts";
import type { EndpointChangeEvent } from "../admin/status.ts";
import { callAdmin } from "./admin-client.ts";
import { ADMIN_OPTION, findAdmin } from "./admin-target.ts";
import { CONFIG_OPTION, type Command, EXIT_FAILED, EXIT_OK, JSON_OPTION, NO_OPERANDS } from "./command.ts";
import { tableLines } from "./table.ts";
import { type Palette, printable } from "./terminal.ts";

const EVENTS_TIMEOUT_MS = 5000;

export const eventsCommand: Command = {
  name: "events",
  summary: "show when endpoints changed their state and why, and what was purged",
  usage: "[-c FILE] [--admin ADDR] [--json]",
  operands: NO_OPERANDS,
  options: [CONFIG_OPTION, ADMIN_OPTION, JSON_OPTION],
  about:
    "The latest 256 changes, and 256 purges, since the control process began.\n" +
    "The program's log has all of them.",
  examples: [
    ["weir events", "the newest one last"],
    ["weir events --json | jq -r '.[] | select(.to == \"down\") | .at'", "for programs"],
  ],
  async run(args, terminal) {
    const found = await findAdmin(args, terminal);
    if (found.kind === "usage_error") return found;
    const call = { method: "GET", path: "/api/v1/events", timeoutMs: EVENTS_TIMEOUT_MS } as const;
    const answer = await callAdmin(found.target, call);
    if (answer.kind === "admin_error") {
      terminal.err(`weir events: ${answer.message}`);
      return EXIT_FAILED;
    }
    if (answer.status !== 200 || !isEvents(answer.json)) {
      terminal.err(`weir events: the admin listener answered ${answer.status} and no events`);
      return EXIT_FAILED;
    }
    const { events, purges = [] } = answer.json;
    if (args.has("json")) terminal.out(JSON.stringify(events, null, 2));
    else
      terminal.out([eventsText(events, terminal.paint), ...purgesText(purges, terminal.paint)].join("\n\n"));
    return EXIT_OK;
  },
};

interface Told {
  readonly events: readonly EndpointChangeEvent[];
  /** Left out by versions without a cache. */
  readonly purges?: readonly PurgeEvent[];
}

function isEvents(json: unknown): json is Told {
  return typeof json === "object" && json !== null && "events" in json && Array.isArray(json.events);
}

export function eventsText(events: readonly EndpointChangeEvent[], paint: Palette): string {
  const titles = ["TIME (UTC)", "UPSTREAM", "ENDPOINT", "FROM", "TO", "WHY"].map((title) => ({ title }));
  const rows = events.map(({ at, upstream, endpoint, from, to, why }) =>
    [at.slice(0, 19).replace("T", " "), upstream, endpoint, from, to, why].map(printable),
  );
  const [head, ...lines] = tableLines(titles, rows);
  return head === undefined ? "no endpoint has changed its state" : [paint.dim(head), ...lines].join("\n");
}

const MAX_NAMES = 3;

/** Nothing when nothing was purged. */
export function purgesText(purges: readonly PurgeEvent[], paint: Palette): string[] {
  const titles = ["TIME (UTC)", "PURGED", "WHAT", "HOW", "BY"].map((title) => ({ title }));
  const rows = purges.map(({ at, kind, names, soft, via, from, by }) => {
    const hidden = names.length - MAX_NAMES;
    const what = `${names.slice(0, MAX_NAMES).join(", ")}${hidden > 0 ? ` and ${hidden} more` : ""}`;
    const who = `${by === "" ? "" : `${by}, `}${via} ${from}`;
    return [at.slice(0, 19).replace("T", " "), kind, what, soft ? "soft" : "hard", who].map(printable);
  });
  const [head, ...lines] = tableLines(titles, rows);
  return head === undefined ? [] : [[paint.dim(head), ...lines].join("\n")];
}
