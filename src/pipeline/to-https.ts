/**
 * To https: a plain listener sends its clients to the same URL under https.
 *
 * out    a redirect to the host that was asked for, in its one form, and to nowhere else: no text of the client
 *        chooses another host
 * rule   before any route. A request that a trusted proxy took by https stays: it would be sent round in circles
 * fails  h1_host_missing: a request that names no host cannot be sent to one
 * spec   RFC 9110 §15.4.9 (308: method and body stay what they are)
 */
import { type Failure, fail } from "../core/failure.ts";
import { fieldIdOf } from "../core/field-names.ts";
import type { LocalAnswer, Planned, ToHttps } from "./plan.ts";

const FORWARDED_PROTO = fieldIdOf("x-forwarded-proto");
const DEFAULT_PORT = 443;
const NO_BODY = Buffer.alloc(0);

/** out  undefined when the request came by https already */
export function redirectToHttps(exchange: Planned, rule: ToHttps): LocalAnswer | Failure | undefined {
  const { downstream, requestFields, host, path, query } = exchange;
  if (downstream.isTrusted && requestFields.get(FORWARDED_PROTO)?.toLowerCase() === "https") return undefined;
  if (host === "") return fail("h1_host_missing", "nowhere to redirect to");
  const port = rule.port === DEFAULT_PORT ? "" : `:${rule.port}`;
  const target = `${path === "*" ? "/" : path}${query === "" ? "" : `?${query}`}`;
  return { status: rule.status, lines: `Location: https://${host}${port}${target}\r\n`, body: NO_BODY };
}
