/**
 * Request key: what `hash.on` tells requests apart by, as a number.
 *
 * rule   requests without the value have no key: they go by chance, not all to one endpoint
 */
import { hashOf } from "../balance/key-hash.ts";
import type { RequestKey } from "../config/config.ts";
import { cookieOf, parameterOf } from "../route/request-text.ts";
import type { Exchange } from "../session/exchange.ts";

/** out  32 bits, or -1 */
export type KeyOf = (exchange: Exchange) => number;

export function compileKey(on: RequestKey): KeyOf {
  const textOf = textBy(on);
  return (exchange) => {
    const text = textOf(exchange);
    return text === undefined || text === "" ? -1 : hashOf(text);
  };
}

function textBy(on: RequestKey): (exchange: Exchange) => string | undefined {
  switch (on.kind) {
    case "clientIp":
      return (exchange) => exchange.clientIp;
    case "path":
      return (exchange) => exchange.path;
    case "cookie":
      return (exchange) => cookieOf(exchange.requestFields, on.name);
    case "query":
      return (exchange) => parameterOf(exchange.query, on.name);
    case "header": {
      const lowerName = on.name.toLowerCase();
      return (exchange) => exchange.requestFields.find(lowerName);
    }
  }
}
