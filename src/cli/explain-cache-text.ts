/**
 * Explain text, the cache: what it does with a request and its answers, as lines for people.
 */
import type { Use } from "../cache/verdict.ts";
import { columns } from "./command.ts";
import type { CacheFacts, CompressFacts, RuleTold } from "./explain-cache.ts";
import { durationText, sizeText } from "./table.ts";
import { type Palette, printable } from "./terminal.ts";

export function cacheSection(facts: CacheFacts, paint: Palette): string {
  const { isDry, bypass, key } = facts;
  const title = `${paint.strong("cache")}${isDry ? paint.warn("  dry run: nothing is answered from it") : ""}`;
  const why = ({ code, source, meaning }: RuleTold) => paint.dim(`${code}: ${meaning} (${source})`);
  if (bypass !== undefined) {
    const by = bypass.by === "" ? "" : `by ${printable(bypass.by)}  `;
    return `${title}\n  ${paint.warn("not asked")}  ${by}${why(bypass)}`;
  }
  const rows: [string, string][] = [["key", printable(key.url)]];
  for (const part of key.more) rows.push(["", printable(part)]);
  for (const { stored, use, rule, mayServeOnError } of facts.reuse) {
    const onError = mayServeOnError ? ", and answers if the endpoint fails" : "";
    rows.push([`if ${stored}`, `${USES[use]}${onError}  ${why(rule)}`]);
  }
  for (const { status, says, isStored, freshMs, rule } of facts.answers) {
    const outcome = isStored ? paint.good(storedText(freshMs)) : paint.warn("not stored");
    rows.push([`${status} ${says}`, `${outcome}  ${why(rule)}`]);
  }
  return `${title}\n${columns(rows)}`;
}

const USES: Readonly<Record<Use, string>> = {
  fresh: "it answers",
  stale_refresh: "it answers, and is fetched anew meanwhile",
  validate: "the endpoint is asked whether it still holds",
  miss: "it cannot answer",
};

const storedText = (freshMs: number): string =>
  freshMs === 0 ? "stored, confirmed before each use" : `stored, fresh for ${durationText(freshMs)}`;

/** Types that are shown; a page of them helps nobody. */
const MAX_TYPES = 4;

export function compressText(facts: CompressFacts, paint: Palette): string {
  const { coding, types, minBytes, maxBytes, level } = facts;
  const title = paint.strong("compress");
  if (coding === undefined) return `${title}  not for this client: its Accept-Encoding asks for none`;
  const hidden = types.length - MAX_TYPES;
  const which = `${types.slice(0, MAX_TYPES).join(", ")}${hidden > 0 ? `, … ${hidden} more` : ""}`;
  const bounds = `from ${sizeText(minBytes)}${maxBytes === 0 ? "" : ` to ${sizeText(maxBytes)}`}`;
  const rule = paint.dim(`${which}; ${bounds}; level ${level === 0 ? "by load" : level}`);
  return `${title}  ${coding}  ${rule}`;
}
