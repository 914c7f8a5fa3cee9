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
import { type PipelineServices, Plan, type Planned } from "./plan.ts";
import { prepareRetry } from "./retry.ts";
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
    const { web } = (exchange as Planned).plan;
    const sent = web === undefined ? bytes : web.request(bytes);
    // without an upstream the answer is under way already: the rest of the body is read and forgotten
    if (upstream === undefined || sent.length === 0) return;
    if (!upstream.sendBody(sent)) exchange.downstream.pauseRequest(exchange);
  }

  requestEnd(exchange: Exchange, trailers: string): void {
    const { plan } = exchange as Planned;
    exchange.upstream?.sendEnd(trailers);
    plan.hold?.requestEnded();
    if (plan.isAwaitingRequest) {
      plan.isAwaitingRequest = false;
      run(exchange as Planned, "answer");
    }
  }

  downstreamDrained(exchange: Exchange): void {
    exchange.upstream?.resumeResponse();
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
    if (sendAgain(exchange)) exchange.downstream.resumeRequest(exchange);
  }

  interim(exchange: Exchange, status: number, fields: Fields): void {
    if (status === CONTINUE && !exchange.expectsContinue) return;
    readConnection(fields);
    exchange.downstream.sendInterim(exchange, status, fields.linesWithout(INTERIM_DROPS, HOP_BY_HOP.high));
  }

  response(exchange: Exchange, isEnd: boolean): void {
    const { plan } = exchange as Planned;
    plan.isEnd = isEnd;
    plan.hold?.answered();
    run(exchange as Planned, "answer");
  }

  responseBody(exchange: Exchange, bytes: Buffer): void {
    const { web } = (exchange as Planned).plan;
    const sent = web === undefined ? bytes : web.response(bytes);
    if (!exchange.downstream.sendBody(exchange, sent)) exchange.upstream?.pauseResponse();
  }

  responseEnd(exchange: Exchange, trailers: string): void {
    const { web } = (exchange as Planned).plan;
    if (web?.isAnswered === true && exchange.sentBodyKind !== BODY_NONE) {
      exchange.downstream.sendBody(exchange, web.end(trailers));
      exchange.downstream.sendEnd(exchange, "");
    } else exchange.downstream.sendEnd(exchange, trailers);
  }

  upstreamDrained(exchange: Exchange): void {
    exchange.downstream.resumeRequest(exchange);
  }

  upstreamFailed(exchange: Exchange, failure: Failure): void {
    if (exchange.isOver) return;
    const planned = exchange as Planned;
    exchange.upstream = undefined;
    if (exchange.isTunnel) {
      this.#endTunnel(planned);
      return;
    }
    tellTrouble(planned, failure);
    planned.plan.hold?.failed(failure);
    const mayRetry = prepareRetry(planned, failure);
    if (!mayRetry) exchange.failure = failure;
    if (planned.plan.isRunning) planned.plan.isFailing = true;
    else if (mayRetry) run(planned, "choose");
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
