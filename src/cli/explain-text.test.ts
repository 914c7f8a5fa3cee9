import { expect, test } from "bun:test";
import type { Explanation, RouteVerdict } from "./explain-plan.ts";
import { explanationText } from "./explain-text.ts";
import { NO_COLOURS } from "./terminal.ts";

const base: Explanation = {
  request: {
    method: "GET",
    target: "/x",
    scheme: "http",
    host: "a.test",
    path: "/x",
    query: "",
    clientIp: "127.0.0.1",
  },
  listener: { name: "web", addresses: ["[::]:80"], reason: "the only one" },
  tls: undefined,
  notes: [],
  refused: undefined,
  routes: [],
  route: undefined,
  outcome: undefined,
  cache: undefined,
  compress: undefined,
  responseEdits: undefined,
  errorPages: undefined,
};
const route = (name: string, verdict: RouteVerdict["verdict"]): RouteVerdict => ({
  name,
  match: "path /x",
  verdict,
  reason: verdict,
});

test("of very many routes the nearest are shown, in order of precedence, and the others counted", () => {
  const far = () => Array.from({ length: 1000 }, (_, at) => route(`far-${at}`, "path"));
  const routes = [
    ...far(),
    route("near", "condition"),
    route("it", "chosen"),
    route("behind", "outranked"),
    ...far(),
  ];
  const lines = explanationText({ ...base, routes }, NO_COLOURS).split("\n");
  const names = lines.flatMap((line) => /^ {2}[→ ] (\S+) /.exec(line)?.[1] ?? []);
  expect(names.filter((name) => !name.startsWith("far-"))).toEqual(["near", "it", "behind", "…"]);
  expect(lines).toContain("  → it      chosen     path /x");
  expect(lines).toContain("    … and 1983 more; --json has all");
});

test("a target that was changed on the way in is shown as it was sent", () => {
  const sent = { ...base.request, target: "/a/../x" };
  expect(explanationText({ ...base, request: sent }, NO_COLOURS)).toContain("GET /x  (sent as /a/../x)");
  expect(explanationText(base, NO_COLOURS)).not.toContain("sent as");
});

test("control characters of a request do not reach the terminal", () => {
  const request = { ...base.request, path: "", target: "/\x1b[2J" };
  expect(explanationText({ ...base, request }, NO_COLOURS)).not.toContain("\x1b");
});
