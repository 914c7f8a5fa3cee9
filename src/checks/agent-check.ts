/**
 * Agent check: the endpoint says itself how it is and what it wants to take.
 *
 * in     one line of words, apart by spaces or commas, upper or lower case: `up` `ready` `down` `fail` `failed`
 *        `stopped` `drain` `maint`, `NN%` of the configured weight, and behind `#` a reason for people
 * rule   each answer says all. HAProxy remembers what an answer leaves out; then an answer that is lost would leave an
 *        endpoint drained that says `up 100%` since. `0%` is drain. `maxconn:` is HAProxy's alone, and passed over
 * bound  MAX_LINE_BYTES
 * spec   HAProxy configuration manual, `agent-check`
 */
import type { Talk } from "./conversation.ts";
import { type AgentAnswer, type CheckOutcome, excerpt, failed, passed } from "./outcome.ts";

const MAX_LINE_BYTES = 1024;

export class AgentTalk implements Talk {
  readonly #send: string | undefined;
  #heard = "";

  constructor(send: string | undefined) {
    this.#send = send;
  }

  begin(say: (bytes: Uint8Array) => void): undefined {
    if (this.#send !== undefined) say(Buffer.from(this.#send));
  }

  hear(bytes: Buffer): CheckOutcome | undefined {
    this.#heard += bytes.latin1Slice(0, Math.min(bytes.length, MAX_LINE_BYTES - this.#heard.length));
    const isWhole = /[\r\n]/.test(this.#heard) || this.#heard.length === MAX_LINE_BYTES;
    return isWhole ? judgeAgentLine(this.#heard) : undefined;
  }

  end(): CheckOutcome {
    return judgeAgentLine(this.#heard);
  }
}

const DOWN: ReadonlySet<string> = new Set(["down", "fail", "failed", "stopped"]);
const UP: ReadonlySet<string> = new Set(["up", "ready"]);

export function judgeAgentLine(said: string): CheckOutcome {
  const [line = ""] = said.trimStart().split(/[\r\n]/, 1);
  const [words = "", ...comment] = line.split("#");
  const answer = readWords(words.toLowerCase().split(/[\s,]+/));
  if (answer === undefined) {
    const text =
      line === "" ? "the agent said nothing" : `the agent said ${excerpt(line)}, which is no state`;
    return failed("check_answer", text);
  }
  const reason = comment.join("#").trim();
  const text = `the agent says ${words.trim()}${reason === "" ? "" : ` (${excerpt(reason)})`}`;
  const outcome = answer.isUp ? passed(text) : failed("check_answer", text);
  return { ...outcome, agent: answer };
}

/** out  undefined when there is no word that we know */
function readWords(words: readonly string[]): AgentAnswer | undefined {
  const percents = words.map(percentOf).filter((percent) => percent !== undefined);
  const has = (known: ReadonlySet<string>) => words.some((word) => known.has(word));
  const isMaintenance = words.includes("maint");
  const isDrain = words.includes("drain") || percents.includes(0);
  if (percents.length === 0 && !isMaintenance && !isDrain && !has(DOWN) && !has(UP)) return undefined;
  return {
    isUp: !has(DOWN),
    wish: isMaintenance ? "maintenance" : isDrain ? "drain" : "up",
    share: (percents.find((percent) => percent > 0) ?? 100) / 100,
  };
}

/** HAProxy's own bound is 256 times the initial weight of 1. */
const MAX_PERCENT = 25_600;

function percentOf(word: string): number | undefined {
  const [, digits] = /^(\d{1,5})%$/.exec(word) ?? [];
  return digits === undefined ? undefined : Math.min(Number(digits), MAX_PERCENT);
}
