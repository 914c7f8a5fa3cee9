/**
 * Hints: what a person can do about a certificate that cannot be had.
 */
import type { ChallengeType } from "./protocol/challenges.ts";
import type { TroubleKind } from "./trouble.ts";

const REJECTED: Readonly<Record<ChallengeType, (name: string) => string>> = {
  "http-01": (name) =>
    `does ${name} point to this machine, and does port 80 of it reach a plain http listener here?`,
  "tls-alpn-01": (name) =>
    `does ${name} point to this machine, and does port 443 reach this listener with TLS untouched?`,
  "dns-01": (name) =>
    `is the TXT record of _acme-challenge.${name.replace(/^\*\./, "")} public when the hook returns?`,
};

const HINTS: Readonly<Partial<Record<TroubleKind, string>>> = {
  network: "is the way to the authority open, and is its name resolved here?",
  account: "look at tls.acme.email and, where the authority wants one, at the external account (eab)",
  rate_limited: "nothing to do but to wait; try things out with directory: letsencrypt-staging",
  storage: "the user that starts Weir must be able to write there",
};

/** One sentence, "" when there is nothing to do but to wait. */
export function hintFor(kind: TroubleKind, challenge: ChallengeType, name: string): string {
  return kind === "rejected" ? REJECTED[challenge](name) : (HINTS[kind] ?? "");
}
