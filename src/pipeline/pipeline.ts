/**
 * Pipeline: what sessions report, turned into phases and into bytes for the other side.
 *
 * why    this is the joint between both sides of an exchange: whatever happens on one, the other is told here
 * rule   a body byte that arrives is handed on at once; a side that is full pauses the other, so that no more
 *        than one read waits in memory for each direction
 */
import { BODY_NONE } from "../core/body.ts";
import type { Failure } from "../core/failure.ts";
import { fieldMask } from "../core/field-names.ts";
import type { Fields } from "../core/fields.ts";
import { HOP_BY_HOP, readConnection } from "../protocol/h1/connection-field.ts";
import type { DownstreamEvents, Exchange, UpstreamEvents } from "../session/exchange.ts";
import type { Again } from "./again.ts";
import { type PipelineServices, Plan, type Planned } from "./plan.ts";
import { awaitTry, dropAnswer, holdAnswer } from "./repeat.ts";
import { NO_TRY, tryAfterAnswer, tryAfterFailure } from "./retry.ts";
import { finish, run } from "./run.ts";
import { sendAgain } from "./send-again.ts";
import { tellTrouble } from "./trouble.ts";

const CONTINUE = 100;
/** A 1xx has no body, so a length in it would only mislead (RFC 9110 §8.6). */
const INTERIM_DROPS = HOP_BY_HOP.low | fieldMask("content-length").low;

export class Pipeline implements DownstreamEvents, UpstreamEvents {
  readonly #services: PipelineServices;

  constructor(services: PipelineServices) {
    this.#services = services;
    services.events = this;
  }

  // ── from the client ──

  request(exchange: Exchange): void {
    exchange.plan = new Plan(this.#services);
    run(exchange as Planned, "receive");
  }

  requestBody(exchange: Exchange, bytes: Buffer): void {
    const { upstream } = exchange;
    const { web, again } = (exchange as Planned).plan;
    const sent = web === undefined ? bytes : web.request(bytes);
    // without an upstream the answer is under way already: the rest of the body is read and forgotten
    if (upstream === undefined || sent.length === 0) return;
    again?.body?.take(sent);
    if (!upstream.sendBody(sent)) exchange.downstream.pauseRequest(exchange);
  }

  requestEnd(exchange: Exchange, trailers: string): void {
    const { plan } = exchange as Planned;
    if (plan.again?.body !== undefined) plan.again.body.trailers = trailers;
    exchange.upstream?.sendEnd(trailers);
    plan.hold?.requestEnded();
    if (plan.isAwaitingRequest) {
      plan.isAwaitingRequest = false;
      run(exchange as Planned, "answer");
    }
  }

  downstreamDrained(exchange: Exchange): void {
    const { coder } = (exchange as Planned).plan;
    if (coder === undefined) exchange.upstream?.resumeResponse();
    else coder.drained();
  }

  responseSent(exchange: Exchange): void {
    const { plan } = exchange as Planned;
    plan.isSent = true;
    finish(exchange as Planned); // now, in the middle of a phase too: the session is about to read its next request
    if (exchange.isTunnel) return; // its other side has had its FIN, and may still be sending what waits
    // the upstream of an early answer is of no more use: nobody will send the rest of the request
    exchange.upstream?.cancel();
    exchange.upstream = undefined;
  }

  downstreamFailed(exchange: Exchange, failure: Failure): void {
    if (exchange.isOver) return;
    const planned = exchange as Planned;
    planned.plan.isRequestBroken = true;
    planned.plan.again?.end();
    exchange.upstream?.cancel();
    exchange.upstream = undefined;
    if (exchange.isTunnel) {
      if (failure.code !== "downstream_closed") exchange.failure = failure;
      this.#endTunnel(planned);
    } else {
      exchange.failure = failure;
      const mayAnswer = !exchange.isHeadSent && failure.code !== "downstream_closed";
      if (mayAnswer) run(planned, "answer");
      else this.#cut(planned);
    }
  }

  // ── from the endpoint ──

  upstreamReady(exchange: Exchange): void {
    if (sendAgain(exchange as Planned)) exchange.downstream.resumeRequest(exchange);
  }

  interim(exchange: Exchange, status: number, fields: Fields): void {
    if (status === CONTINUE && !exchange.expectsContinue) return;
    if ((exchange as Planned).plan.isShadow) return; // the client hears one of two
    readConnection(fields);
    exchange.downstream.sendInterim(exchange, status, fields.linesWithout(INTERIM_DROPS, HOP_BY_HOP.high));
  }

  response(exchange: Exchange, isEnd: boolean): void {
    const { plan } = exchange as Planned;
    plan.isEnd = isEnd;
    plan.hold?.answered();
    if (plan.again === undefined) run(exchange as Planned, "answer");
    else this.#weigh(exchange as Planned, plan.again, isEnd);
  }

  /** An answer has come for a request that could be sent again: does it go to the client? */
  #weigh(runner: Planned, { race }: Again, isEnd: boolean): void {
    const exchange = (race === undefined ? runner : race.answered(runner, isEnd)) as Planned | undefined;
    if (exchange === undefined) return;
    const { plan } = exchange;
    const again = plan.again as Again;
    plan.isEnd = isEnd;
    again.dismiss();
    const delayMs = tryAfterAnswer(exchange);
    if (delayMs !== NO_TRY) {
      dropAnswer(exchange);
      if (delayMs > 0) this.#await(exchange, delayMs);
      else run(exchange, "choose");
    } else if (!holdAnswer(exchange, again)) {
      again.keepNothing();
      run(exchange, "answer");
    }
  }

  #await(exchange: Planned, delayMs: number): void {
    awaitTry(exchange, delayMs, () => run(exchange, "choose"));
  }

  responseBody(exchange: Exchange, bytes: Buffer): void {
    const { web, again, coder } = (exchange as Planned).plan;
    if (again !== undefined) {
      this.#takeBody(exchange as Planned, again, bytes);
      return;
    }
    if (coder !== undefined) {
      coder.take(bytes);
      return;
    }
    const sent = web === undefined ? bytes : web.response(bytes);
    if (!exchange.downstream.sendBody(exchange, sent)) exchange.upstream?.pauseResponse();
  }

  /** Likewise, of an exchange that kept something for another attempt. */
  #takeBody(runner: Planned, { race }: Again, bytes: Buffer): void {
    const exchange = (race?.lead ?? runner) as Planned;
    const { web, again, coder } = exchange.plan;
    if (again?.held !== undefined) {
      again.held.take(bytes);
      return;
    }
    if (coder !== undefined) {
      coder.take(bytes);
      return;
    }
    const sent = web === undefined ? bytes : web.response(bytes);
    if (!exchange.downstream.sendBody(exchange, sent)) exchange.upstream?.pauseResponse();
  }

  responseEnd(runner: Exchange, trailers: string): void {
    const exchange = (runner as Planned).plan.again?.race?.lead ?? runner;
    if (exchange !== runner) exchange.upstream = undefined; // the session has told its own exchange only
    const { web, again, coder } = (exchange as Planned).plan;
    if (again?.held !== undefined) {
      this.#endHeld(exchange as Planned, again, trailers);
      return;
    }
    if (coder !== undefined) coder.end(trailers);
    else if (web?.isAnswered === true && exchange.sentBodyKind !== BODY_NONE) {
      exchange.downstream.sendBody(exchange, web.end(trailers));
      exchange.downstream.sendEnd(exchange, "");
    } else exchange.downstream.sendEnd(exchange, trailers);
  }

  upstreamDrained(exchange: Exchange): void {
    exchange.downstream.resumeRequest(exchange);
  }

  /** The answer that was held is whole. */
  #endHeld(exchange: Planned, again: Again, trailers: string): void {
    again.held?.giveTo(exchange);
    again.held = undefined;
    again.keepNothing();
    exchange.plan.isEnd = trailers === "";
    run(exchange, "answer");
    if (trailers === "" || exchange.isOver) return;
    if (exchange.plan.coder === undefined) exchange.downstream.sendEnd(exchange, trailers);
    else exchange.plan.coder.end(trailers);
  }

  upstreamFailed(runner: Exchange, failure: Failure): void {
    const race = (runner as Planned).plan.again?.race;
    const exchange = race?.lead ?? runner;
    if (exchange.isOver) return;
    const planned = exchange as Planned;
    tellTrouble(runner as Planned, failure);
    if (race?.lost(runner as Planned, failure) === true) return;
    exchange.upstream = undefined;
    if (exchange.isTunnel) {
      this.#endTunnel(planned);
      return;
    }
    (runner as Planned).plan.hold?.failed(failure);
    planned.plan.again?.dismiss();
    const delayMs = tryAfterFailure(planned, failure);
    if (planned.plan.again?.held !== undefined) dropAnswer(planned);
    if (delayMs === NO_TRY) exchange.failure = failure;
    else if (delayMs > 0) this.#await(planned, delayMs);
    if (planned.plan.isRunning) planned.plan.isFailing = true;
    else if (delayMs === 0) run(planned, "choose");
    else if (delayMs > 0) return;
    else if (exchange.isHeadSent) this.#cut(planned);
    else this.#answerFailure(planned);
  }

  #answerFailure(exchange: Planned): void {
    exchange.downstream.resumeRequest(exchange);
    run(exchange, "answer");
  }

  /** Ends an exchange whose response cannot be completed. */
  #cut(exchange: Planned): void {
    exchange.downstream.abort(exchange);
    finish(exchange);
  }

  /** Either side may end a tunnel at any time: that is no failure. */
  #endTunnel(exchange: Planned): void {
    exchange.isResponseComplete = true;
    this.#cut(exchange);
  }
}
