/**
 * Sticky secret: the key of sticky cookies for upstreams that name none.
 *
 * why    all workers need the same one, and a new generation of the program after an upgrade too: it inherits it in
 *        its environment. After a restart clients are bound anew, once; who minds names a secret
 */
import { randomBytes } from "node:crypto";
import type { Config } from "../config/config.ts";

const VARIABLE = "WEIR_STICKY_SECRET";
const SECRET_BYTES = 32;

/** The same configuration, with a key for every sticky upstream. */
export function withStickySecrets(config: Config): Config {
  if (!config.upstreams.some(({ sticky }) => sticky !== undefined && sticky.secret === undefined))
    return config;
  process.env[VARIABLE] ??= randomBytes(SECRET_BYTES).toString("base64url");
  const own = process.env[VARIABLE];
  const upstreams = config.upstreams.map((upstream) => {
    const { sticky } = upstream;
    return sticky === undefined
      ? upstream
      : { ...upstream, sticky: { ...sticky, secret: sticky.secret ?? own } };
  });
  return { ...config, upstreams };
}
