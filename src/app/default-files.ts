/**
 * Default files: the names looked for in the current folder when no file is named; the first one there is.
 *
 * why    on its own, so that asking whether there is a file loads none of what reads it
 */
export const DEFAULT_FILES = ["weir.yaml", "weir.yml", "weir.config.ts", "weir.json"] as const;
