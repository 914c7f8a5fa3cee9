/**
 * Upgrade: which protocol does a request ask to go on with?
 *
 * never  h2c: carrying it through would hand the client an HTTP/2 connection to the endpoint that no rule here sees
 * spec   RFC 9110 §7.8, RFC 9113 §3.1
 */
import { BODY_NONE } from "../core/body.ts";
import { fieldIdOf } from "../core/field-names.ts";
import type { Exchange } from "./exchange.ts";

const UPGRADE = fieldIdOf("upgrade");
/** One protocol, with or without its version; a list leaves the choice to the endpoint, which we could not check. */
const ONE_PROTOCOL = /^[\w.+-]+(?:\/[\w.+-]+)?$/;

/** The one protocol asked for, in lower case, or "". */
export function upgradeOf(exchange: Exchange): string {
  const wanted = exchange.requestFields.joined(UPGRADE)?.toLowerCase() ?? "";
  const isPlain = ONE_PROTOCOL.test(wanted) && !wanted.startsWith("h2");
  if (!isPlain || exchange.isHttp10 || exchange.method !== "GET") return "";
  return exchange.requestBodyKind === BODY_NONE ? wanted : "";
}
