/**
 * Default files: the names looked for in the current folder when no file is named, first one wins.
 */
export const DEFAULT_FILES = ["weir.yaml", "weir.yml", "weir.config.ts", "weir.json"] as const;
