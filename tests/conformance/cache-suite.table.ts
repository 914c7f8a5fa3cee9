/**
 * Optional rows of the public cache suite that we do not pass, each with the reason.
 *
 * rule   exact: a row that passes after all has to go from here
 */
// biome-ignore format: a table is read by columns
export const NOT_OURS: Readonly<Record<string, string>> = {
  "other-set-cookie": "a response with Set-Cookie is not shared unless the route says so (safe by default)",
};
