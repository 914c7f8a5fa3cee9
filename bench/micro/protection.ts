/**
 * What do limits and health cost a request?
 *
 * defends  each decision that is asked once a request ≤ 100 ns
 * how      many requests with a clock that goes on, so that windows turn as they do in traffic; best of some rounds
 * run      node_modules/.bin/bun bench/micro/protection.ts
 */
import { BOARD_WORDS } from "../../src/health/board.table.ts";
import { boardState } from "../../src/health/endpoint-state.table.ts";
import { FailureRows } from "../../src/health/passive.ts";
import { warmFactor } from "../../src/health/slow-start.ts";
import { ADAPTIVE, AdaptiveLimit } from "../../src/limit/adaptive.ts";
import { Breaker } from "../../src/limit/breaker.ts";
import { RetryBudget } from "../../src/limit/budget.ts";
import { WaitQueue } from "../../src/limit/queue.ts";
import { Shedder } from "../../src/limit/shedding.ts";

const REQUESTS = 1_000_000;
const ROUNDS = 7;
const ENDPOINTS = 10;
/** 10,000 requests a second. */
const STEP_MS = 0.1;

let sink = 0;
let nowMs = 1_800_000_000_000;

/** Best round, in ns a request: the machine can only add time. */
function report(name: string, request: (index: number) => number): void {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const began = performance.now();
    for (let index = 0; index < REQUESTS; index++) {
      nowMs += STEP_MS;
      sink += request(index);
    }
    best = Math.min(best, ((performance.now() - began) * 1e6) / REQUESTS);
  }
  console.log(`${name.padEnd(52)} ${best.toFixed(1).padStart(7)} ns`);
}

const budget = new RetryBudget({ share: 0.2, floorPerSec: 1 });
report("retry budget: a request", () => {
  budget.deposit(nowMs);
  return 1;
});
report("retry budget: a request and a wish to retry", () => {
  budget.deposit(nowMs);
  return Number(budget.withdraw(nowMs));
});

const breaker = new Breaker({
  errorRate: 0.5,
  latencyMs: 1000,
  windowMs: 10_000,
  minRequests: 20,
  openMs: 10_000,
});
report("breaker: enter and settle", (index) => {
  const admission = breaker.enter(nowMs);
  breaker.settle(admission, index % 100 === 0, 5, nowMs);
  return admission;
});

const adaptive = new AdaptiveLimit(ADAPTIVE, nowMs, () => 0.5);
report("adaptive limit: ask and note", (index) => {
  adaptive.note(5 + (index % 16), 20, nowMs);
  return adaptive.limit;
});

const queue = new WaitQueue<object>({ capacity: 1024, waitMs: 5000 });
const waiting = {};
for (let index = 0; index < 512; index++) queue.enter(waiting, 1, index, nowMs);
report("queue of 512: enter and next", (index) => {
  const ticket = queue.enter(waiting, 1, index * 7, nowMs);
  queue.next();
  return ticket;
});
report("queue of 512: enter and cancel", (index) =>
  Number(queue.cancel(queue.enter(waiting, 1, index * 7, nowMs))),
);

const shedder = new Shedder();
report("shedding: admit", (index) => Number(shedder.admits(index % 3, 0.5)));

const rows = new FailureRows(ENDPOINTS, { failures: 5, windowMs: 30_000 });
report("rows of failures: one outcome in ten a failure", (index) => {
  if (index % 10 === 0) return Number(rows.failed(index % ENDPOINTS, nowMs));
  rows.succeeded(index % ENDPOINTS);
  return 0;
});

const board = new Float64Array(ENDPOINTS * BOARD_WORDS);
const view = { nowMs, slowStartMs: 30_000 };
report("state of an endpoint by the board", (index) => {
  view.nowMs = nowMs;
  return boardState(board, (index % ENDPOINTS) * BOARD_WORDS, view);
});
report("slow start: factor", (index) => warmFactor(index % 40_000, 30_000));
report("slow start: factor with aggression", (index) => warmFactor(index % 40_000, 30_000, 1.5));

if (sink === 0) throw new Error("nothing was decided");
