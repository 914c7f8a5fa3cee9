import { describe, expect, test } from "bun:test";
import { SAMPLE_STATUS } from "../../tests/support/sample-status.ts";
import type { EndpointStatus, RouteStatus, Status } from "../admin/status.ts";
import { bucketOf } from "../observe/histogram.ts";
import { frameOf } from "./top-frame.ts";

const [SAMPLE_ROUTE] = SAMPLE_STATUS.routes as [RouteStatus];
const SAMPLE_ENDPOINT = SAMPLE_STATUS.upstreams[0]?.endpoints[0] as EndpointStatus;
const FAST = bucketOf(1);
const SLOW = bucketOf(1000);

const route = (more: Partial<RouteStatus>): RouteStatus => ({ ...SAMPLE_ROUTE, name: "api", ...more });
const withRoutes = (...routes: RouteStatus[]): Status => ({ ...SAMPLE_STATUS, routes });
function withEndpoint(more: Partial<EndpointStatus>, waiting = 0): Status {
  const endpoints = [{ ...SAMPLE_ENDPOINT, ...more }];
  return { ...SAMPLE_STATUS, upstreams: [{ name: "app", waiting, breakersOpen: 0, endpoints }] };
}
const looks = (before: Status, now: Status) =>
  frameOf({ status: before, atMs: 1000 }, { status: now, atMs: 3000 });

describe("routes", () => {
  test("rates are what was added, by the time that passed; quantiles are of this span alone", () => {
    const before = route({ requests: 1000, errors5xx: 10, buckets: [SLOW, 1000] });
    const now = route({ requests: 1100, errors5xx: 14, active: 3, buckets: [FAST, 100, SLOW, 1000] });
    const { routes, seconds } = looks(withRoutes(before), withRoutes(now));
    expect(seconds).toBe(2);
    expect(routes[0]).toMatchObject({ name: "api", requests: 50, errors: 2, active: 3 });
    expect(routes[0]?.p99Ms).toBeLessThan(1.3);
  });

  test("the total joins the histograms of all routes", () => {
    const before = withRoutes(
      route({ requests: 0, buckets: [] }),
      route({ name: "b", requests: 0, buckets: [] }),
    );
    const now = withRoutes(
      route({ requests: 90, errors5xx: 0, buckets: [FAST, 90] }),
      route({ name: "b", requests: 10, errors5xx: 0, buckets: [SLOW, 10] }),
    );
    const { total } = looks(before, now);
    expect(total.requests).toBe(50);
    expect(total.p50Ms).toBeLessThan(1.3);
    expect(total.p99Ms).toBeGreaterThan(800);
  });

  test("one that is new, or counts from 0 again, is taken as it is", () => {
    const now = withRoutes(route({ requests: 20, errors5xx: 0, buckets: [FAST, 20] }));
    for (const before of [withRoutes(), withRoutes(route({ requests: 5000, buckets: [SLOW, 5000] }))]) {
      expect(looks(before, now).routes[0]?.requests).toBe(10);
    }
  });

  test("nothing happened is 0, not a division by nothing", () => {
    const status = withRoutes(route({ requests: 7, buckets: [FAST, 7] }));
    const frame = frameOf({ status, atMs: 5 }, { status, atMs: 5 });
    expect(frame.total).toMatchObject({ requests: 0, errors: 0, p50Ms: 0, p99Ms: 0 });
  });
});

describe("endpoints", () => {
  test("their errors are 5xx answers and failures together; state, reason and since go with them", () => {
    const before = withEndpoint({ requests: 10, errors: 1, errors5xx: 1 });
    const { endpoints } = looks(before, withEndpoint({ requests: 20, errors: 2, errors5xx: 4 }));
    expect(endpoints[0]).toMatchObject({
      upstream: "app",
      requests: 5,
      errors: 2,
      state: SAMPLE_ENDPOINT.state,
      why: SAMPLE_ENDPOINT.why,
      since: SAMPLE_ENDPOINT.since,
    });
  });

  test("upstreams that hold requests back are named", () => {
    expect(looks(withEndpoint({}), withEndpoint({})).held).toEqual([]);
    expect(looks(withEndpoint({}), withEndpoint({}, 5)).held).toMatchObject([{ name: "app", waiting: 5 }]);
  });
});
