/**
 * Rows of the public cache suite that we do not pass, each with the reason.
 *
 * why    the suite on npm was written before RFC 9111: where that says otherwise, it holds
 * rule   exact: a row that passes after all has to go from here
 */
const IGNORED_AGE = "an Age that is no number is ignored, not taken for infinity (RFC 9111 §5.1)";
const FIRST_AGE = "of several values of Age the first counts (RFC 9111 §5.1)";

// biome-ignore format: a table is read by columns
export const NOT_OURS: Readonly<Record<string, string>> = {
  "age-parse-nonnumeric":           IGNORED_AGE,
  "age-parse-negative":             IGNORED_AGE,
  "age-parse-float":                IGNORED_AGE,
  "age-parse-parameter":            IGNORED_AGE,
  "age-parse-numeric-parameter":    IGNORED_AGE,
  "age-parse-prefix-twoline":       FIRST_AGE,
  "age-parse-dup-0":                FIRST_AGE,
  "age-parse-dup-0-twoline":        FIRST_AGE,
  "age-parse-dup-old":              FIRST_AGE,
  "conditional-lm-fresh-no-lm":     "without Last-Modified the Date is compared, and it is later here (RFC 9111 §4.3.2)",
  "other-set-cookie":               "an answer with Set-Cookie is for all only where the route says so: safe by default",
  "cdn-max-age-case-insensitive":   "keys of a dictionary are lower case: another one is ignored (RFC 9651 §3.1.2)",
};
