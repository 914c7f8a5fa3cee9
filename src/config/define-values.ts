/**
 * Values of the configuration as TypeScript: durations, sizes, shares, secrets.
 *
 * rule   types only: `define.ts`, which users' files import, loads nothing
 */

/** `${NAME}` or `${NAME:-default}` somewhere in a string: filled in from the environment. */
export type Variable = `${string}\${${string}}${string}`;
/** `250ms`, `5s`, `2m`, `1h`; 0 where the option says so. */
export type Duration = `${number}ms` | `${number}s` | `${number}m` | `${number}h` | 0 | "0" | Variable;
/** `64KiB`, `10MiB`, `2GiB` (1024), `KB`, `MB`, `GB` (1000), or bytes. */
export type Size =
  | number
  | `${number}`
  | `${number}${"B" | "KiB" | "MiB" | "GiB" | "KB" | "MB" | "GB"}`
  | Variable;
/** `50%`; 0 where the option says so. */
export type Percent = `${number}%` | 0 | "0" | Variable;
/** One value or several. */
export type OneOrMore<T> = T | readonly T[];
/** In the file itself, in a file beside it, or in the environment. Never printed. */
export type Secret = string | { readonly file: string } | { readonly env: string };
/** `host:port`, `:port`, `[v6]:port` or `unix:/path`; for an endpoint also `http://` and `https://`. */
export type AddressText = string;
