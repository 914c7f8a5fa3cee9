/**
 * Forwarded fields: the request header as an endpoint would get it.
 */
import type { RouteConfig } from "../config/config.ts";
import { applyEdits, compileEdits } from "../route/edits.ts";
import type { Asked } from "./explain-request.ts";

export function forwardedFields(asked: Asked, route: RouteConfig): readonly (readonly [string, string])[] {
  const edits = compileEdits(route.requestHeaders);
  if (edits !== undefined) applyEdits(asked.fields, edits);
  return asked.fields.entries();
}
