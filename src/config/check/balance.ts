/**
 * Balance: how an endpoint is chosen, and what keeps a client at the one it had.
 */
import type { HashConfig, StickyConfig, UpstreamConfig } from "../config.ts";
import { type Written, withDefaults } from "../options/types.ts";
import { HASH, STICKY, UPSTREAM } from "../options/upstream.table.ts";
import type { Place } from "../problem.ts";
import type { CheckFacts } from "./facts.ts";
import { PASSPHRASE, readSecret } from "./secrets.ts";

type WrittenUpstream = Written<typeof UPSTREAM>;

/** `place` is the upstream's own. */
export function checkBalance(
  written: WrittenUpstream,
  place: Place,
  facts: CheckFacts,
): Pick<UpstreamConfig, "balance" | "hash" | "sticky"> {
  const { balance } = withDefaults(UPSTREAM, written);
  return {
    balance,
    hash: checkHash(written, balance, place),
    sticky: checkSticky(written.sticky, place.key("sticky"), facts),
  };
}

function checkHash(
  written: WrittenUpstream,
  balance: UpstreamConfig["balance"],
  place: Place,
): HashConfig | undefined {
  const isHash = balance === "hash";
  if (isHash && !place.has("hash")) {
    place
      .key("balance")
      .error("nobody said what to hash", "Add `hash: { on: clientIp }`, or another part of the request.");
  }
  if (!isHash && written.hash !== undefined) {
    place
      .key("hash")
      .warning(`it has no effect with \`balance: ${balance}\``, "Write `balance: hash`, or remove it.");
  }
  if (!isHash || written.hash === undefined) return undefined;
  const { on, load } = withDefaults(HASH, written.hash);
  return on === undefined ? undefined : { on, loadFactor: load };
}

function checkSticky(
  written: WrittenUpstream["sticky"],
  place: Place,
  facts: CheckFacts,
): StickyConfig | undefined {
  if (written === undefined || written === false) return undefined;
  const { cookie, ttl, secret } = withDefaults(STICKY, written);
  return {
    cookie,
    ttlMs: ttl,
    secret: secret && readSecret(secret, place.key("secret"), facts, PASSPHRASE),
  };
}
