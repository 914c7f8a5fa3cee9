/**
 * Record: counts the exchange and writes its log line. Always last, exactly once.
 *
 * cost   about ten array stores; the log line only when there is a log
 */
import { FAILURE_INDEX, type Failure } from "../core/failure.ts";
import { fieldIdOf } from "../core/field-names.ts";
import type { LogEntry } from "../observe/access-log.ts";
import { observe } from "../observe/histogram.ts";
import { ROUTE, WORKER } from "../observe/metrics.table.ts";
import { clock } from "../transport/clock.ts";
import { countCache } from "./cache-counters.ts";
import type { Planned } from "./plan.ts";

const USER_AGENT = fieldIdOf("user-agent");
const REFERER = fieldIdOf("referer");
const AT = ROUTE.at;
/** Details quote what came; a line stays one that people read. */
const MAX_DETAIL_LENGTH = 300;

export function record(exchange: Planned): void {
  const { plan, failure } = exchange;
  const { services } = plan;
  const { counters } = services;
  if (plan.fetch !== undefined) {
    recordFetch(exchange);
    return;
  }
  const slot = plan.route?.slot ?? services.unroutedSlot;
  const statusClass = slot + AT.status1xx + classOf(statusOf(exchange));
  counters[statusClass] = (counters[statusClass] as number) + 1;
  if (plan.route !== undefined) add(counters, slot + AT.active, -1);
  add(counters, slot + AT.bytesReceived, exchange.bytesReceived);
  add(counters, slot + AT.bytesSent, exchange.bytesSent);
  observe(counters, slot + AT.duration, clock.nowMs - exchange.startedAtMs);
  const isOwn = plan.cache?.isFetched !== true;
  if (plan.attempts > 1 && isOwn) add(counters, slot + AT.retries, plan.attempts - 1);
  if (failure !== undefined) recordFailure(exchange, failure, slot);
  if (plan.cache !== undefined) countCache(exchange);
  if (services.logAccess !== undefined) services.logAccess(entryOf(exchange));
}

/** The cache asked: clients that wait for it are recorded by themselves. */
function recordFetch({ plan, failure }: Planned): void {
  const { counters, workerSlot } = plan.services;
  plan.fetch?.recorded();
  if (plan.attempts > 1) add(counters, (plan.route?.slot ?? 0) + AT.retries, plan.attempts - 1);
  if (failure !== undefined && plan.fetch?.isHeard !== true) {
    add(counters, workerSlot + WORKER.at.failures + (FAILURE_INDEX.get(failure.code) as number), 1);
  }
}

/** The status sent; without one that of the failure, such as 499 for a client that left before. */
function statusOf({ sentStatus, failure, plan }: Planned): number {
  if (plan.local?.standsFor !== undefined) return plan.local.standsFor;
  return sentStatus === 0 ? (failure?.status ?? 499) : sentStatus;
}

/** 0 for 1xx … 4 for 5xx. */
function classOf(status: number): number {
  return status >= 500 ? 4 : Math.trunc(status / 100) - 1;
}

function recordFailure(exchange: Planned, { code }: Failure, slot: number): void {
  const { counters, workerSlot } = exchange.plan.services;
  add(counters, workerSlot + WORKER.at.failures + (FAILURE_INDEX.get(code) as number), 1);
  if (exchange.isHeadSent && !exchange.plan.isSent) add(counters, slot + AT.aborted, 1);
}

function add(counters: Float64Array, at: number, amount: number): void {
  counters[at] = (counters[at] as number) + amount;
}

function entryOf(exchange: Planned): LogEntry {
  const { plan, downstream, requestFields: fields, failure } = exchange;
  return {
    timeMs: plan.services.epochMs + exchange.startedAtMs,
    requestId: exchange.requestId,
    clientIp: exchange.clientIp,
    clientPort: downstream.clientPort,
    method: exchange.method,
    scheme: downstream.scheme,
    host: exchange.host,
    path: exchange.path === "" ? pathOf(exchange.rawTarget) : exchange.path,
    query: exchange.query,
    protocol: protocolOf(exchange),
    status: statusOf(exchange),
    bytesReceived: exchange.bytesReceived,
    bytesSent: exchange.bytesSent,
    listener: downstream.listener.name,
    route: plan.route?.name ?? "",
    upstream: plan.upstream?.name ?? "",
    endpoint: plan.endpoint?.name ?? "",
    attempts: plan.attempts,
    headMs: exchange.startedAtMs - exchange.acceptedAtMs,
    queueMs: plan.queueMs,
    connectMs: since(exchange.connectStartedAtMs, exchange.connectedAtMs),
    firstByteMs: since(exchange.sentAtMs, exchange.respondedAtMs),
    totalMs: clock.nowMs - exchange.startedAtMs,
    cache: plan.cache?.result ?? "",
    cacheRule: plan.cache?.rule ?? "",
    cause: failure?.code ?? "done",
    detail: failure === undefined ? "" : failure.detail.slice(0, MAX_DETAIL_LENGTH),
    userAgent: fields.get(USER_AGENT) ?? "",
    referer: fields.get(REFERER) ?? "",
    tls: downstream.tls,
  };
}

/** As CGI and other servers' logs name it, RFC 3875 §4.1.16. */
function protocolOf({ isHttp10, isHttp2 }: Planned): string {
  if (isHttp2) return "HTTP/2.0";
  return isHttp10 ? "HTTP/1.0" : "HTTP/1.1";
}

const since = (fromMs: number, toMs: number) => (fromMs === 0 || toMs === 0 ? -1 : toMs - fromMs);

function pathOf(target: string): string {
  const mark = target.indexOf("?");
  return mark === -1 ? target : target.slice(0, mark);
}
