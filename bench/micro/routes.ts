/**
 * Does a request's way through the route table cost the same with 10,000 routes as with 10?
 *
 * defends  10,000 routes ≤ 1.1 × the cost of 10, a whole request (issue 2). A request costs about 10 µs, so the
 *          table alone may grow by 1 µs; printed beside it is the ratio of the table alone
 * method   the same 512 requests in the same order for every size, hitting routes spread over the whole
 *          table; rounds of the sizes are interleaved and the best of each is printed
 * run      node_modules/.bin/bun bench/micro/routes.ts
 */
import { Fields } from "../../src/core/fields.ts";
import type { RouteRequest } from "../../src/route/conditions.ts";
import type { PathTest, RouteMatch } from "../../src/route/match.ts";
import { normalisePath } from "../../src/route/path.ts";
import { compileTable, type RouteRule, type RouteTable } from "../../src/route/table.ts";
import { NO_MATCH } from "../../tests/support/no-match.ts";

const SIZES = [1, 10, 100, 10_000];
const REQUESTS = 512;
const FINDS_PER_ROUND = 200_000;
const ROUNDS = 15;

type Shape = (index: number) => {
  readonly rule: RouteRule<number>;
  readonly host: string;
  readonly path: string;
};

function rule(index: number, match: Partial<RouteMatch>): RouteRule<number> {
  return { name: `route-${index}`, match: { ...NO_MATCH, ...match }, priority: 0, value: index };
}

const prefix = (path: string): PathTest => ({ kind: "prefix", path });
const exact = (path: string): PathTest => ({ kind: "exact", path });

const byHost: Shape = (index) => ({
  rule: rule(index, { hosts: [`app-${index}.example.com`] }),
  host: `app-${index}.example.com`,
  path: "/v1/items/42",
});
const byPrefix: Shape = (index) => ({
  rule: rule(index, { path: prefix(`/team-${index}/api`) }),
  host: "example.com",
  path: `/team-${index}/api/items/42`,
});
const mixed: Shape = (index) => {
  const site = index >> 3;
  const host = `app-${site}.example.com`;
  const match = [
    { hosts: [host], path: exact("/") },
    { hosts: [host], path: prefix("/v1") },
    { hosts: [host], path: prefix("/v1/items"), methods: ["GET", "POST"] },
    { hosts: [host] },
    { hosts: [`*.zone-${site}.example.com`] },
    { path: prefix(`/team-${site}`) },
    { path: exact(`/page-${site}`) },
    { hosts: [host], path: prefix("/static") },
  ][index & 7] as Partial<RouteMatch>;
  const path = match.path !== undefined && match.path.kind !== "pattern" ? match.path.path : "/x";
  const askedHost = match.hosts?.[0]?.replace("*", "www") ?? "example.com";
  return {
    rule: rule(index, match),
    host: askedHost,
    path: match.path?.kind === "prefix" ? `${path}/42` : path,
  };
};

function requestsFor(shape: Shape, size: number): RouteRequest[] {
  const requestFields = new Fields();
  return Array.from({ length: REQUESTS }, (_, number) => {
    // a stride through the table, in an order that does not follow it
    const { host, path } = shape(Math.floor((((number * 197) % REQUESTS) * size) / REQUESTS));
    // as read from a socket: strings of their own, not those of the table
    const copy = (text: string) => Buffer.from(text).toString("latin1");
    return {
      host: copy(host),
      path: copy(path),
      query: "",
      method: "GET",
      requestFields,
      clientIp: "192.0.2.1",
      downstream: { tls: undefined },
    };
  });
}

let sink = 0;

function measure(table: RouteTable<number>, requests: readonly RouteRequest[]): number {
  const started = Bun.nanoseconds();
  for (let count = 0; count < FINDS_PER_ROUND; count++) {
    sink += table.find(requests[count % REQUESTS] as RouteRequest) ?? 0;
  }
  return (Bun.nanoseconds() - started) / FINDS_PER_ROUND;
}

function measureSizes(shape: Shape): number[] {
  const runs = SIZES.map((size) => {
    const rules = Array.from({ length: size }, (_, index) => shape(index).rule);
    return { table: compileTable(rules), requests: requestsFor(shape, size), best: Number.POSITIVE_INFINITY };
  });
  for (let round = 0; round < ROUNDS; round++) {
    for (const run of runs) run.best = Math.min(run.best, measure(run.table, run.requests));
  }
  return runs.map((run) => run.best);
}

function measureText(name: string, path: string): string {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const started = Bun.nanoseconds();
    for (let count = 0; count < FINDS_PER_ROUND; count++) sink += normalisePath(path, "refuse")?.length ?? 0;
    best = Math.min(best, (Bun.nanoseconds() - started) / FINDS_PER_ROUND);
  }
  return `| ${name} | ${best.toFixed(0)} |`;
}

console.log(`ns per find      ${SIZES.map((size) => `${size} routes`.padStart(14)).join("")}   10,000 / 10`);
for (const [name, shape] of Object.entries({ byHost, byPrefix, mixed })) {
  const costs = measureSizes(shape);
  const ratio = (costs[3] as number) / (costs[1] as number);
  const extra = (costs[3] as number) - (costs[1] as number);
  console.log(
    `${name.padEnd(17)}${costs.map((cost) => cost.toFixed(1).padStart(14)).join("")}   ${ratio.toFixed(2)} (${extra >= 0 ? "+" : ""}${extra.toFixed(0)} ns)`,
  );
}
console.log(measureText("normalisePath, plain, 20 bytes", "/v1/items/42/details"));
console.log(measureText("normalisePath, normal with %20", "/v1/items/a%20b/info"));
console.log(measureText("normalisePath, to be mended", "/v1/items/a%20b/../c"));
if (sink === 0) throw new Error("nothing was found");
