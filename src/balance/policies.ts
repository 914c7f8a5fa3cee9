/**
 * Policies: the ways of balancing by the names they have in the configuration.
 */
import { ewma } from "./ewma.ts";
import { hash } from "./hash.ts";
import { leastRequest, powerOfTwo } from "./least-request.ts";
import type { Policy } from "./policy.ts";
import { random } from "./random.ts";
import { roundRobin } from "./round-robin.ts";

export type Balance = "round-robin" | "least-request" | "p2c" | "ewma" | "random" | "hash";

export interface PolicyNeeds {
  /** Of the endpoints, in the order of the picture. */
  readonly names: readonly string[];
  /** Tells workers apart, so that they do not all begin with the first endpoint. */
  readonly worker: number;
  /** For `hash`: a factor of the fair share. */
  readonly load?: number;
}

type MakePolicy = (needs: PolicyNeeds) => Policy;

const POLICIES: Readonly<Record<Balance, MakePolicy>> = {
  "round-robin": ({ worker }) => roundRobin(worker),
  "least-request": leastRequest,
  p2c: powerOfTwo,
  ewma,
  random,
  hash: ({ names, load }) => hash(names, load),
};

export function makePolicy(balance: Balance, needs: PolicyNeeds): Policy {
  return POLICIES[balance](needs);
}
