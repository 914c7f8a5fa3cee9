import { expect, test } from "bun:test";
import {
  type FakeRequest,
  fakeExchange,
  fakeSite,
  fakeTls,
  fixedRoute,
} from "../../tests/support/fake-exchange.ts";
import { fieldsOfLines } from "../core/fields.ts";
import { compileEdits } from "../route/edits.ts";
import { answer } from "./answer.ts";
import type { Route } from "./plan.ts";
import { run } from "./run.ts";

const HSTS = "Strict-Transport-Security: max-age=300\r\n";
const NAME = "strict-transport-security";

/** What a response has of the field: that of the endpoint or the route, then ours. */
function hstsOf(
  request: FakeRequest & { readonly status?: number; readonly lines?: string[] },
  route?: Route,
): string[] {
  const site = fakeSite([], { hstsLine: HSTS });
  const { exchange } = fakeExchange({ site, tls: fakeTls(), ...request });
  exchange.plan.route = route;
  exchange.status = request.status ?? 200;
  exchange.responseFields = fieldsOfLines("Server: x\r\n");
  answer(exchange);
  const sent = exchange.responseFields.linesWithout(0, 0) + exchange.sentAdded;
  return sent.split("\r\n").filter((line) => line.toLowerCase().startsWith(NAME));
}

test("an endpoint's answer over https is told to stay there (RFC 6797 §7.1)", () => {
  expect(hstsOf({})).toEqual([HSTS.trimEnd()]);
  expect(hstsOf({ status: 404 })).toEqual([HSTS.trimEnd()]);
});

test("answers of our own are too, errors included", () => {
  const site = fakeSite([fixedRoute()], { hstsLine: HSTS });
  for (const [request, status] of [
    [{}, 200],
    [{ target: "/%00" }, 400],
    [{ lines: ["Host: b.test"], isHttp2: true }, 421],
  ] as const) {
    const { exchange } = fakeExchange({ site, tls: fakeTls(), ...request });
    run(exchange, "receive");
    expect([exchange.sentStatus, exchange.sentAdded.endsWith(HSTS)]).toEqual([status, true]);
  }
});

test("without the setting nothing is said", () => {
  expect(hstsOf({ site: fakeSite([]) })).toEqual([]);
});

test("what the endpoint says wins", () => {
  const { exchange } = fakeExchange({ site: fakeSite([], { hstsLine: HSTS }), tls: fakeTls() });
  exchange.status = 200;
  exchange.responseFields = fieldsOfLines("strict-transport-security: max-age=0\r\n");
  answer(exchange);
  expect(exchange.sentAdded).not.toContain("Strict");
});

test("what the route says wins: another value, or none", () => {
  const none = { set: [], add: [], remove: [] };
  const set = fixedRoute({ responseEdits: compileEdits({ ...none, set: [[NAME, "max-age=1"]] }) });
  const remove = fixedRoute({ responseEdits: compileEdits({ ...none, remove: [NAME] }) });
  expect([hstsOf({}, set), hstsOf({}, remove)]).toEqual([[`${NAME}: max-age=1`], []]);
});
