import { expect, test } from "bun:test";
import { fakeExchange, fixedRoute } from "../../tests/support/fake-exchange.ts";
import { testChooser, testUpstream } from "../../tests/support/test-upstream.ts";
import { fail } from "../core/failure.ts";
import { choose } from "./choose.ts";
import type { Planned, UpstreamGroup } from "./plan.ts";

function group(flags: readonly ("used" | "backup" | "out")[], chance = 0): UpstreamGroup {
  const endpoints = flags.map((_, index) => ({ name: `e${index}`, pool: undefined as never }));
  const rowOf = (flag: string) => ({ backup: flag === "backup", weight: flag === "out" ? 0 : 1 });
  const upstream = testUpstream(flags.map(rowOf));
  return { name: "app", endpoints, isHttp2: false, chooser: testChooser(upstream, { chance: () => chance }) };
}

function exchangeFor(upstreams: readonly UpstreamGroup[], chance = 0): Planned {
  const { exchange } = fakeExchange();
  const split = { pick: (at: number) => Math.floor(at * upstreams.length) } as never;
  exchange.plan.route = fixedRoute({ action: { kind: "proxy", split, upstreams } });
  Object.assign(exchange.plan.services, { chance: () => chance });
  return exchange;
}

const chosen = (exchange: Planned) => [choose(exchange), exchange.plan.endpoint?.name];

test("the policy picks; each choice is an attempt", () => {
  const upstream = group(["used", "used"]);
  const names = [1, 2, 3].map(() => {
    const exchange = exchangeFor([upstream]);
    choose(exchange);
    expect(exchange.plan.attempts).toBe(1);
    return exchange.plan.endpoint?.name;
  });
  expect(names).toEqual(["e0", "e1", "e0"]);
});

test("a backup is used when no other endpoint can be, and never before", () => {
  expect(chosen(exchangeFor([group(["backup", "used"])]))).toEqual(["forward", "e1"]);
  expect(chosen(exchangeFor([group(["backup", "out"])]))).toEqual(["forward", "e0"]);
});

test("without a usable endpoint the answer is no_endpoint", () => {
  const exchange = exchangeFor([group(["out", "out"])]);
  expect([choose(exchange), exchange.failure?.code]).toEqual(["answer", "no_endpoint"]);
});

test("chance decides between weighted upstreams, once for an exchange", () => {
  const [first, second] = [group(["used"]), { ...group(["used"]), name: "two" }];
  const exchange = exchangeFor([first, second], 0.7);
  choose(exchange);
  Object.assign(exchange.plan.services, { chance: () => 0 });
  choose(exchange);
  expect([exchange.plan.upstream?.name, exchange.plan.attempts]).toEqual(["two", 2]);
});

test("a further attempt passes over endpoints that failed, and does not move the turn of others", () => {
  const upstream = group(["used", "used", "used", "backup"], 0.99);
  const exchange = exchangeFor([upstream]);
  choose(exchange);
  exchange.plan.excluded = Uint8Array.from([1, 0, 0, 0]);
  expect(chosen(exchange)).toEqual(["forward", "e2"]);
  exchange.plan.excluded = Uint8Array.from([1, 1, 1, 0]);
  expect(chosen(exchange)).toEqual(["forward", "e3"]);
  exchange.plan.excluded = Uint8Array.from([1, 1, 1, 1]);
  exchange.plan.failed = fail("connect_timeout");
  expect([choose(exchange), exchange.failure]).toEqual(["answer", exchange.plan.failed]);
  expect(chosen(exchangeFor([upstream]))).toEqual(["forward", "e1"]);
});

test("a fresh connection to the same endpoint keeps the choice", () => {
  const exchange = exchangeFor([group(["used", "used"])]);
  choose(exchange);
  exchange.plan.isFreshRetry = true;
  expect(chosen(exchange)).toEqual(["forward", "e0"]);
  expect(exchange.plan.attempts).toBe(2);
});

test("all have been tried: one that may do better by now is asked again", () => {
  const exchange = exchangeFor([group(["used", "used"])]);
  choose(exchange);
  exchange.plan.excluded = Uint8Array.from([1, 1]);
  exchange.plan.failed = fail("connect_refused");
  expect(chosen(exchange)).toEqual(["forward", "e0"]);
  expect([...(exchange.plan.excluded ?? [])]).toEqual([0, 0]);
});
