/**
 * Hedge: the first endpoint takes long, so that a second is asked too, and the first good answer is taken.
 *
 * why    a slow endpoint is only known by its silence; what one request more costs, the budget bounds
 * shape  sessions carry one exchange for each attempt, so that the second goes out as a shadow of the client's exchange;
 *        what comes for either passes through their Race, which hands on what belongs to the one that has won. Sessions
 *        know nothing of it
 * rule   only a request that may be repeated, all of which is here; once for an exchange, to another endpoint. An answer
 *        with a status that the route would repeat, or any 5xx, does not win while the other is under way
 * spec   Dean and Barroso, "The Tail at Scale" (2013)
 */
import type { Failure } from "../core/failure.ts";
import { Fields } from "../core/fields.ts";
import { ROUTE } from "../observe/metrics.table.ts";
import { Exchange } from "../session/exchange.ts";
import { Again, type TwoAttempts } from "./again.ts";
import { type Endpoint, Plan, type Planned, type Route } from "./plan.ts";
import { isRepeatable, refund, strike, withdraw } from "./retry.ts";
import { sendAgain } from "./send-again.ts";

const SERVER_ERROR = 500;
const AT = ROUTE.at;

export class Race implements TwoAttempts {
  readonly lead: Planned;
  readonly #shadow: Planned;
  #isLeadOut = false;
  #isShadowOut = false;
  #isDecided = false;

  constructor(lead: Planned, shadow: Planned) {
    this.lead = lead;
    this.#shadow = shadow;
  }

  answered(runner: Planned, isEnd: boolean): Planned | undefined {
    const { lead } = this;
    if (this.#isDecided) return lead;
    const isOtherRunning = !(runner === lead ? this.#isShadowOut : this.#isLeadOut);
    if (isOtherRunning && isPoor(runner)) {
      giveUp(runner);
      this.#out(runner);
      return undefined;
    }
    this.#isDecided = true;
    if (runner === lead) giveUp(this.#shadow);
    else {
      giveUp(lead);
      takeOver(lead, runner, isEnd);
      add(lead, AT.hedgesWon);
    }
    return lead;
  }

  lost(runner: Planned, failure: Failure): boolean {
    if (this.#isDecided) return false;
    runner.plan.hold?.failed(failure);
    this.#out(runner);
    this.#isDecided = this.#isLeadOut && this.#isShadowOut;
    return !this.#isDecided;
  }

  callOff(): void {
    if (!this.#isDecided) giveUp(this.#shadow);
    this.#isDecided = true;
    this.#shadow.plan.hold?.leave();
  }

  #out(runner: Planned): void {
    runner.upstream = undefined;
    if (runner === this.lead) this.#isLeadOut = true;
    else this.#isShadowOut = true;
  }
}

function giveUp(runner: Planned): void {
  runner.upstream?.cancel();
  runner.upstream = undefined;
  runner.plan.hold?.leave();
}

function isPoor({ status, plan }: Planned): boolean {
  return status >= SERVER_ERROR || (plan.route as Route).retry.statuses?.has(status) === true;
}

/** Asks a second endpoint, if there is one, and if the request and the budget allow it. */
export function hedge(exchange: Planned): void {
  const { plan } = exchange;
  const { again, upstream } = plan;
  if (again === undefined || upstream === undefined || exchange.upstream === undefined) return;
  const isReady = exchange.isRequestComplete && !exchange.isHeadSent && exchange.upgrade === "";
  if (again.isHedged || !isReady || !isRepeatable(exchange, (plan.route as Route).retry)) return;
  strike(exchange);
  const index = upstream.chooser.choose(exchange, plan.excluded);
  const endpoint = upstream.endpoints[index];
  if (endpoint === undefined || !withdraw(exchange)) return;
  const shadow = shadowOf(exchange, endpoint, index);
  if (upstream.gate?.enterNow(shadow) === false) {
    refund(exchange);
    return;
  }
  upstream.gate?.chosen(shadow, index);
  start(exchange, again, shadow, endpoint);
}

function start(lead: Planned, again: Again, shadow: Planned, endpoint: Endpoint): void {
  strike(shadow);
  lead.plan.excluded = shadow.plan.excluded;
  lead.plan.attempts++;
  add(lead, AT.hedges);
  const race = new Race(lead, shadow);
  again.race = race;
  const shared = new Again();
  shared.race = race;
  shadow.plan.again = shared;
  shadow.bodyAgain = again.body?.copy();
  shadow.trailersAgain = again.body?.trailers ?? "";
  if (endpoint.pool.send(shadow, true)) sendAgain(shadow);
}

/** The same request, with nothing of what became of it so far. */
function shadowOf(lead: Planned, endpoint: Endpoint, index: number): Planned {
  const shadow = Object.assign(new Exchange<Plan>(lead.downstream), lead) as Planned;
  const plan = new Plan(lead.plan.services);
  plan.isShadow = true;
  plan.route = lead.plan.route;
  plan.upstream = lead.plan.upstream;
  plan.excluded = lead.plan.excluded;
  plan.endpoint = endpoint;
  plan.endpointIndex = index;
  shadow.plan = plan;
  shadow.upstream = undefined;
  shadow.responseFields = new Fields();
  shadow.first = undefined;
  shadow.connectStartedAtMs = 0;
  shadow.connectedAtMs = 0;
  shadow.sentAtMs = 0;
  shadow.respondedAtMs = 0;
  return shadow;
}

/** The client's exchange goes on with the second attempt. */
function takeOver(lead: Planned, shadow: Planned, isEnd: boolean): void {
  lead.plan.endpoint = shadow.plan.endpoint;
  lead.plan.endpointIndex = shadow.plan.endpointIndex;
  lead.upstream = isEnd ? undefined : shadow.upstream;
  lead.connectStartedAtMs = shadow.connectStartedAtMs;
  lead.connectedAtMs = shadow.connectedAtMs;
  lead.sentAtMs = shadow.sentAtMs;
  lead.respondedAtMs = shadow.respondedAtMs;
  lead.status = shadow.status;
  lead.reason = shadow.reason;
  lead.isHttp10Response = shadow.isHttp10Response;
  lead.responseFields = shadow.responseFields;
  lead.responseBodyKind = shadow.responseBodyKind;
  lead.responseBodyLength = shadow.responseBodyLength;
  lead.first = shadow.first;
  lead.firstStart = shadow.firstStart;
  lead.firstEnd = shadow.firstEnd;
}

function add({ plan }: Planned, offset: number): void {
  const { counters } = plan.services;
  const at = (plan.route as Route).slot + offset;
  counters[at] = (counters[at] as number) + 1;
}
