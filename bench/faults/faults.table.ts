/**
 * Faults: what is done to one of four endpoints, and how it is made good again.
 */
import { type Behaviour, WELL } from "./behaviour.ts";
import type { Endpoint } from "./endpoint.ts";

export interface Stage {
  readonly victim: Endpoint;
  /** Well, and unknown to the proxy until `moveTo` names it. */
  readonly spare: Endpoint;
  /** From now on the victim's name stands for this endpoint's address. */
  moveTo(endpoint: Endpoint): Promise<void>;
}

export interface Fault {
  readonly name: string;
  readonly title: string;
  begin(stage: Stage): Promise<void>;
  end(stage: Stage): Promise<void>;
  /** The victim's address comes from where each proxy looks names up. */
  readonly isNamed?: boolean;
}

const behave = (change: Partial<Behaviour>) => async (stage: Stage) => await stage.victim.behave(change);
const signal = (name: NodeJS.Signals) => async (stage: Stage) => stage.victim.signal(name);
const kill = async (stage: Stage) => await stage.victim.kill();
const revive = async (stage: Stage) => await stage.victim.revive();
const well = behave({});
const nothing = async () => {};

const SLOW_MS = 50 * WELL.serviceMs;
/** Misses come one by one from something slow: at a full share they come twice as fast as it can take them. */
const COLD: Behaviour = { ...WELL, missMs: 40, missSlots: 4 };
const reviveCold = async (stage: Stage) => await stage.victim.revive(COLD);

const move = async (stage: Stage) => {
  await Promise.all([stage.victim.kill(), stage.moveTo(stage.spare)]);
};

export const FAULTS: readonly Fault[] = [
  { name: "kill",        title: "killed with -9, started again",          begin: kill,                              end: revive },
  { name: "freeze",      title: "frozen with SIGSTOP",                    begin: signal("SIGSTOP"),                 end: signal("SIGCONT") },
  { name: "refuse",      title: "refuses connections",                    begin: behave({ manner: "refuse" }),      end: well },
  { name: "reset",       title: "resets in the middle of the body",       begin: behave({ manner: "reset" }),       end: well },
  { name: "500",         title: "answers 500",                            begin: behave({ manner: "500" }),         end: well },
  { name: "slow",        title: "50 times slower",                        begin: behave({ serviceMs: SLOW_MS, checkMs: SLOW_MS }), end: well },
  { name: "slow-work",   title: "50 times slower, but for its checks",    begin: behave({ serviceMs: SLOW_MS }),    end: well },
  { name: "claims-more", title: "Content-Length says more than it sends", begin: behave({ manner: "claims-more" }), end: well },
  { name: "claims-less", title: "Content-Length says less than it sends", begin: behave({ manner: "claims-less" }), end: well },
  { name: "move",        title: "its name moves, and it is killed",       begin: move,                              end: nothing, isNamed: true },
  { name: "cold",        title: "killed, comes back with a cold cache",   begin: kill,                              end: reviveCold },
];
