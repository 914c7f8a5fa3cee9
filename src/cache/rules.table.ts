/**
 * Rules: why the cache did what it did, each with the section that says so.
 *
 * shape  a code is what logs, metrics, Cache-Status and `weir explain` show
 */
// biome-ignore format: a table is read by columns
const ROWS = {
  // code                     section              what it means
  fresh:                     ["RFC 9111 §4.2",    "it is fresh"],
  miss:                      ["RFC 9111 §4",      "nothing stored can answer"],
} as const satisfies Record<string, readonly [string, string]>;

export type RuleCode = keyof typeof ROWS;
