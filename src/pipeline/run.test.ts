import { expect, test } from "bun:test";
import { fakeExchange, fakeSite, fixedRoute, ROUTE_SLOT } from "../../tests/support/fake-exchange.ts";
import { fail } from "../core/failure.ts";
import { ROUTE } from "../observe/metrics.table.ts";
import { PHASES, type PhaseName } from "./phases.table.ts";
import { finish, run } from "./run.ts";

const ORDER = Object.keys(PHASES) as PhaseName[];

test("every arrow of the phase table points down, but one: the retry", () => {
  const upwards = ORDER.flatMap((from) =>
    (PHASES[from].next as readonly PhaseName[])
      .filter((to) => ORDER.indexOf(to) <= ORDER.indexOf(from))
      .map((to) => `${from} -> ${to}`),
  );
  expect(upwards).toEqual(["forward -> choose"]);
});

test("every phase is reached from the first one, and every way ends in record", () => {
  const next = (name: PhaseName): readonly PhaseName[] => PHASES[name].next;
  const reached = new Set<PhaseName>(["receive"]);
  for (const name of reached) for (const to of next(name)) reached.add(to);
  expect([...reached].sort()).toEqual([...ORDER].sort());
  expect(ORDER.filter((name) => next(name).length === 0)).toEqual(["record"]);
});

test("a request that its route answers goes from receive to the answer and then waits for it to be out", () => {
  const { exchange, downstream, services } = fakeExchange();
  run(exchange, "receive");
  expect([downstream.calls, exchange.isOver, services.logged.length]).toEqual([["head 200"], false, 0]);
  exchange.plan.isSent = true;
  run(exchange, "record");
  expect([exchange.isOver, services.logged[0]?.route]).toEqual([true, "fixed"]);
});

test("record runs once, whoever asks for it again", () => {
  const { exchange, services } = fakeExchange();
  run(exchange, "receive");
  for (let round = 0; round < 3; round++) {
    run(exchange, "record");
    finish(exchange);
    run(exchange, "answer");
  }
  expect(services.logged.length).toBe(1);
  expect(services.counters[ROUTE_SLOT + ROUTE.at.status2xx]).toBe(1);
  expect(services.counters[ROUTE_SLOT + ROUTE.at.active]).toBe(0);
});

test("a phase that throws is a defect: reported, the client cut off, recorded as internal with 500", () => {
  const broken = fixedRoute({
    action: {
      kind: "redirect",
      status: 308,
      to: () => {
        throw new Error("a bug");
      },
    },
  });
  const { exchange, downstream, services } = fakeExchange({ site: fakeSite([broken]) });
  let isCancelled = false;
  exchange.upstream = {
    sendBody: () => true,
    sendEnd: () => undefined,
    pauseResponse: () => undefined,
    resumeResponse: () => undefined,
    cancel: () => {
      isCancelled = true;
    },
  };
  run(exchange, "receive");
  expect([downstream.calls, isCancelled, exchange.isOver]).toEqual([["abort"], true, true]);
  expect(services.reported[0]).toContain("a bug");
  expect(services.logged[0]).toMatchObject({ cause: "internal", status: 500 });
  expect(services.counters[ROUTE_SLOT + ROUTE.at.status5xx]).toBe(1);
});

test("phases that go round and round are stopped", () => {
  const upstream = {
    name: "app",
    endpoints: [{ name: "a", pool: undefined as never }],
    isHttp2: false,
    chooser: { choose: () => 0, hasRoom: () => true, stickyLine: () => "" },
  };
  const route = fixedRoute({
    action: { kind: "proxy", split: { pick: () => 0 } as never, upstreams: [upstream] },
  });
  const { exchange, services } = fakeExchange({ site: fakeSite([route]) });
  upstream.endpoints[0] = {
    name: "a",
    pool: {
      send() {
        exchange.plan.isFailing = true; // says each time that another attempt may follow
        return false;
      },
    } as never,
  };
  run(exchange, "receive");
  expect(exchange.failure).toMatchObject(fail("internal", exchange.failure?.detail));
  expect(services.reported[0]).toContain("no progress");
});
