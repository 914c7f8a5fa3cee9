/**
 * ACME challenge: the answer to an authority that looks whether a name is ours.
 *
 * why    before routes, and before `redirectToHttps`: the first certificate must not need one
 * rule   on every http listener, by token alone: a token is chosen by the authority and lives for seconds. A token
 *        that is not ours goes to routes, so that a program behind us may have certificates of its own
 * cost   one comparison of a character for every other request
 * spec   RFC 8555 §8.3
 */
import type { LocalAnswer } from "./plan.ts";

const PREFIX = "/.well-known/acme-challenge/";
const DOT = ".".charCodeAt(0);
const LINES = "Content-Type: application/octet-stream\r\nCache-Control: no-store\r\n";

/** `challenges`: key authorisations by token. out  undefined when the request is none of theirs */
export function challengeAnswer(
  method: string,
  path: string,
  challenges: ReadonlyMap<string, string>,
): LocalAnswer | undefined {
  if (path.charCodeAt(1) !== DOT || challenges.size === 0 || !path.startsWith(PREFIX)) return undefined;
  if (method !== "GET" && method !== "HEAD") return undefined;
  const answer = challenges.get(path.slice(PREFIX.length));
  return answer === undefined ? undefined : { status: 200, lines: LINES, body: Buffer.from(answer) };
}
