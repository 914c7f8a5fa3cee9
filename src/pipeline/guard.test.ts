import { expect, test } from "bun:test";
import { fakeExchange, fixedRoute } from "../../tests/support/fake-exchange.ts";
import { WORKER } from "../observe/metrics.table.ts";
import { answer } from "./answer.ts";
import { guard } from "./guard.ts";

test("an overloaded worker answers 503 by the route's priority, asks no endpoint and counts it", () => {
  for (const [shed, next] of [
    [0, "choose"],
    [1, "answer"],
    [2, "answer"],
  ] as const) {
    const { exchange, services } = fakeExchange();
    Object.assign(services, { shedder: { admits: (priority: number) => priority < 1, cause: "memory" } });
    const action = { kind: "proxy", split: undefined as never, upstreams: [] } as const;
    exchange.plan.route = fixedRoute({ shed, action });
    expect(guard(exchange)).toBe(next);
    if (next === "choose") continue;
    expect(exchange.failure).toMatchObject({ code: "shed", detail: "memory", status: 503 });
    expect(services.counters[services.workerSlot + WORKER.at.shed + shed]).toBe(1);
    answer(exchange);
    expect(exchange.responseFields.find("retry-after")).toBe("1");
  }
});

test("what is shed waits for no request body: its connection ends with the answer", () => {
  const { exchange, services, downstream } = fakeExchange({ lines: ["Host: a.test", "Content-Length: 9"] });
  Object.assign(services, { shedder: { admits: () => false, cause: "loop_lag" } });
  exchange.isRequestComplete = false;
  exchange.requestBodyLength = 9;
  exchange.plan.route = fixedRoute();
  expect([guard(exchange), answer(exchange)]).toEqual(["answer", "relay"]);
  expect(downstream.calls).toContain("head 503");
});
