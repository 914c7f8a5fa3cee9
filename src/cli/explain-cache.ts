/**
 * Explain, the cache: under which key a request is looked for, what may answer it, and what becomes of answers.
 *
 * why    bypass, key, reuse and storing are asked of the functions that traffic meets, with made-up responses in the
 *        place of stored ones and of an endpoint's: an explanation cannot differ from them
 * never  looks into a running cache: `weir cache show URL` does
 */
import { requestDirectives } from "../cache/directives.ts";
import { urlOfKey } from "../cache/key.ts";
import type { CachePolicy } from "../cache/policy.ts";
import { judgeReuse } from "../cache/reuse.ts";
import { type RuleCode, ruleSource, ruleText } from "../cache/rules.table.ts";
import { judgeResponse } from "../cache/storable.ts";
import { SHAREABLE, type StoredFacts } from "../cache/stored.ts";
import type { Use } from "../cache/verdict.ts";
import type { CompressConfig } from "../config/config.ts";
import { LENGTH_UNKNOWN } from "../core/body.ts";
import { type Fields, fieldsOfLines } from "../core/fields.ts";
import { httpDate } from "../core/http-clock.ts";
import { authorityOf, bypassOf, isAuthorized, keyOf } from "../pipeline/cache-rules.ts";
import { chooseCoding } from "../pipeline/compress-rules.ts";
import type { CacheRules, Planned } from "../pipeline/plan.ts";
import type { Coding } from "../protocol/accept-encoding.ts";

/** Why. */
export interface RuleTold {
  readonly code: RuleCode;
  /** Section of an RFC, or key of the configuration. */
  readonly source: string;
  readonly meaning: string;
}

const told = (code: RuleCode): RuleTold => ({ code, source: ruleSource(code), meaning: ruleText(code) });

export interface CacheFacts {
  readonly isDry: boolean;
  /** Why the cache is not asked; then nothing else is told. */
  readonly bypass: (RuleTold & { readonly by: string }) | undefined;
  readonly key: {
    readonly url: string;
    /** `cookie theme: dark` and the like. */
    readonly more: readonly string[];
  };
  /** What becomes of the request when a response is stored that is fresh, or has just become stale. */
  readonly reuse: readonly {
    readonly stored: "fresh" | "stale";
    readonly use: Use;
    readonly rule: RuleTold;
    readonly mayServeOnError: boolean;
  }[];
  /** What becomes of answers that an endpoint may give. */
  readonly answers: readonly {
    readonly status: number;
    readonly says: string;
    readonly isStored: boolean;
    readonly freshMs: number;
    readonly rule: RuleTold;
  }[];
}

export function cacheFacts(exchange: Planned, rules: CacheRules, nowMs: number): CacheFacts {
  const { policy } = rules;
  const bypass = bypassFacts(exchange, rules);
  const isAsked = bypass === undefined;
  const key = keyOf(exchange, rules);
  const [, , ...more] = key.split("\n");
  return {
    isDry: policy.isDry,
    bypass,
    key: { url: `${exchange.downstream.scheme}://${urlOfKey(key)}`, more: more.flatMap(partTexts) },
    reuse: isAsked ? reuseFacts(exchange, policy, nowMs) : [],
    answers: isAsked ? answerFacts(exchange, policy, nowMs) : [],
  };
}

function bypassFacts(exchange: Planned, rules: CacheRules): CacheFacts["bypass"] {
  const { policy } = rules;
  const code = bypassOf(exchange, rules);
  if (code === undefined) return undefined;
  const test = policy.bypass.find(
    (one) => bypassOf(exchange, { ...rules, policy: { ...policy, bypass: [one] } }) === "bypass_rule",
  );
  const isOurs = code === "bypass_rule" && test !== undefined;
  return { ...told(code), by: isOurs ? `${test.kind} ${test.name}` : "" };
}

// the key

const PARTS: Readonly<Record<string, string>> = {
  h: "field",
  c: "cookie",
  d: "device",
  l: "language",
};

/** in  a line of a key after the URL: `+c theme:dark`, with `;` before what stands for a longer value */
function partTexts(line: string): readonly string[] {
  return line.startsWith("+x") ? toldTexts(line.slice(3)) : [partText(line)];
}

function partText(line: string): string {
  const kind = PARTS[line.charAt(1)] ?? "";
  const text = line.slice(3);
  if (kind !== "field" && kind !== "cookie") return `${kind} ${text}`;
  const [, name = "", mark = "", value = ""] = /^([^:;]*)([:;]?)(.*)$/s.exec(text) ?? [];
  if (mark === "") return `${kind} ${name}: (none)`;
  return `${kind} ${name}: ${mark === ":" ? value : "(long)"}`;
}

/** in  what endpoints are told beside the URL: `:8080 `, then what a trusted proxy said, with tabs before each */
function toldTexts(text: string): readonly string[] {
  if (!text.startsWith(":")) return ["forwarded (long)"];
  const [, port = "", forwarded = ""] = /^:(?:(\d+) )?(.*)$/s.exec(text) ?? [];
  const told = forwarded.trim().replaceAll("\t", ", ");
  return [port === "" ? "" : `port ${port}`, told === "" ? "" : `forwarded ${told}`].filter(
    (part) => part !== "",
  );
}

// what is stored

const LIFETIME_MS = 60_000;
/** Ages of the two that are looked at. */
const STORED = { fresh: 1000, stale: LIFETIME_MS + 1000 } as const;

function reuseFacts(exchange: Planned, policy: CachePolicy, nowMs: number): CacheFacts["reuse"] {
  const directives = requestDirectives(exchange.requestFields, policy.heedsClient);
  const request = { method: exchange.method, isAuthorized: isAuthorized(exchange), directives };
  return (["fresh", "stale"] as const).map((stored) => {
    const facts = madeUpFacts(policy, nowMs - STORED[stored]);
    const { use, rule, mayServeOnError } = judgeReuse(request, { facts }, "alive", nowMs);
    return { stored, use, rule: told(rule), mayServeOnError: mayServeOnError && use !== "fresh" };
  });
}

/** Of a response that says how long it is fresh, and nothing else. */
function madeUpFacts(policy: CachePolicy, respondedAtMs: number): StoredFacts {
  return {
    status: 200,
    requestedAtMs: respondedAtMs,
    respondedAtMs,
    initialAgeMs: 0,
    lifetimeMs: LIFETIME_MS,
    staleWhileRevalidateMs: Math.max(0, policy.staleWhileRevalidateMs),
    staleIfErrorMs: Math.max(0, policy.staleIfErrorMs),
    keepMs: policy.keepMs,
    flags: policy.ignore.includes("authorization") ? SHAREABLE : 0,
    mark: 0,
    purgeSlots: new Uint32Array(0),
    firstByte: 0,
    completeLength: -1,
  };
}

// what an endpoint may answer

interface MadeUp {
  readonly status: number;
  readonly says: string;
  readonly lines: string;
  /** Only of interest when it is refused for its type. */
  readonly isPage?: true;
}

const DAY_MS = 86_400_000;
const KEPT = "Cache-Control: max-age=60";
const ANSWERS: readonly MadeUp[] = [
  { status: 200, says: "saying nothing", lines: "" },
  { status: 200, says: "Last-Modified a day ago", lines: "Last-Modified: {yesterday}\r\n" },
  { status: 200, says: "max-age=60", lines: `${KEPT}\r\n` },
  { status: 200, says: "max-age=60, public", lines: `${KEPT}, public\r\n` },
  { status: 200, says: "max-age=60 and Set-Cookie", lines: `${KEPT}\r\nSet-Cookie: a=b\r\n` },
  { status: 200, says: "max-age=60, as HTML", lines: `${KEPT}\r\nContent-Type: text/html\r\n`, isPage: true },
  { status: 404, says: "saying nothing", lines: "" },
  { status: 500, says: "saying nothing", lines: "" },
];

function answerFacts(exchange: Planned, policy: CachePolicy, nowMs: number): CacheFacts["answers"] {
  const facts = ANSWERS.map((answer) => ({ answer, fact: answerFact(exchange, policy, answer, nowMs) }));
  return facts.flatMap(({ answer, fact }) =>
    answer.isPage === true && fact.rule.code !== "type_mismatch" ? [] : [fact],
  );
}

function answerFact(
  exchange: Planned,
  policy: CachePolicy,
  { status, says, lines }: MadeUp,
  nowMs: number,
): CacheFacts["answers"][number] {
  const { method, path, query, requestFields: fields, downstream } = exchange;
  const verdict = judgeResponse(
    {
      method,
      url: `${downstream.scheme}://${authorityOf(exchange)}${path}${query === "" ? "" : `?${query}`}`,
      path,
      hasBody: false,
      fields,
      directives: requestDirectives(fields, policy.heedsClient),
    },
    {
      status,
      fields: madeUpFields(lines, nowMs),
      declaredBytes: LENGTH_UNKNOWN,
      requestedAtMs: nowMs,
      respondedAtMs: nowMs,
    },
    policy,
    0,
  );
  // RFC 9111 §3.5, of users who are known by their certificates
  const isForOne = isAuthorized(exchange) && (verdict.flags & SHAREABLE) === 0;
  const isStored = verdict.isStorable && !isForOne;
  const rule = verdict.isStorable && isForOne ? "authorization" : verdict.rule;
  return { status, says, isStored, freshMs: isStored ? verdict.lifetimeMs : 0, rule: told(rule) };
}

function madeUpFields(lines: string, nowMs: number): Fields {
  return fieldsOfLines(lines.replace("{yesterday}", httpDate(nowMs - DAY_MS)));
}

// compression

export interface CompressFacts {
  /** undefined: this client gets bodies as they are. */
  readonly coding: Coding | undefined;
  readonly types: readonly string[];
  readonly minBytes: number;
  readonly maxBytes: number;
  /** 0 = by load. */
  readonly level: number;
}

export function compressFacts({ requestFields }: Planned, config: CompressConfig): CompressFacts {
  const { types, minBytes, maxBytes, level } = config;
  const coding = chooseCoding(requestFields.joinedNamed("accept-encoding"), config);
  return { coding, types, minBytes, maxBytes, level };
}
