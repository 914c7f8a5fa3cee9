/**
 * Compress: which answers are compressed, and how.
 */
import type { Action, CompressConfig } from "../config.ts";
import { COMPRESS } from "../options/cache.table.ts";
import { withDefaults } from "../options/types.ts";
import { type Place, quote } from "../problem.ts";
import type { WrittenRoute } from "./written-route.ts";

/** `place` is the route's own: parts may come from its policies. */
export function checkCompress(
  written: WrittenRoute["compress"],
  place: Place,
  action: Action["kind"],
): CompressConfig | undefined {
  if (written === undefined || written === false) return undefined;
  const { codings, types, minSize, maxSize, level } = withDefaults(COMPRESS, written);
  const at = place.key("compress");
  if (action === "redirect") {
    const hint = "Remove it: a redirect has next to no body.";
    if (place.has("compress")) at.warning("there is nothing to compress", hint);
    return undefined;
  }
  if (maxSize > 0 && minSize > maxSize) {
    at.key("minSize").error("it is larger than `maxSize`", "Make `maxSize` the larger of the two.");
  }
  const dense = written.types?.filter(isDense) ?? [];
  if (dense.length > 0) {
    const which = dense.map(quote).join(" and ");
    at.key("types").warning(`${which}: such bodies are compressed already, and only cost time`, "Remove it.");
  }
  return {
    codings: [...new Set(codings)],
    types: [...new Set(types)],
    minBytes: minSize,
    maxBytes: maxSize,
    level,
  };
}

/** Types whose formats compress by themselves. */
function isDense(type: string): boolean {
  return (
    /^(?:audio|video)\//.test(type) ||
    /^image\/(?:\*|png|jpe?g|gif|webp|avif|heic|jxl)$/.test(type) ||
    /^font\/woff2?$/.test(type) ||
    /^application\/(?:zip|gzip|x-gzip|zstd|x-bzip2|x-xz|x-7z-compressed|x-rar-compressed|pdf|font-woff2?)$/.test(
      type,
    )
  );
}
