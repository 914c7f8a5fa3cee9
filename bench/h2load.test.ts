/** What h2load says, read as numbers; and that a run with errors is no result. */
import { expect, test } from "bun:test";
import { parseSummary } from "./h2load.ts";

const summary = (counts: string, statuses: string) => `
finished in 1.50s, 5362.68 req/s, 731.78KB/s
requests: 100 total, 100 started, 100 done, ${counts}
status codes: ${statuses}
traffic: 1.07MB (1117500) total, 68.27KB (69912) headers (space savings 76.14%), 960.00KB (983040) data
                     min         max         mean         sd        +/- sd
time for request:      512us     20.85ms      2.52ms      1.60ms    84.20%
`;

test("requests, bytes, time and latency are taken from the summary", () => {
  const text = summary("100 succeeded, 0 failed, 0 errored, 0 timeout", "100 2xx, 0 3xx, 0 4xx, 0 5xx");
  expect(parseSummary(text, "u")).toEqual({ requests: 100, bytes: 1_117_500, seconds: 1.5, meanMs: 2.52 });
});

test("a run in which a request failed, or was answered with an error, is refused", () => {
  const failed = summary("99 succeeded, 1 failed, 0 errored, 0 timeout", "99 2xx, 0 3xx, 0 4xx, 0 5xx");
  expect(() => parseSummary(failed, "u")).toThrow("1 failed");
  const refused = summary("100 succeeded, 0 failed, 0 errored, 0 timeout", "99 2xx, 0 3xx, 0 4xx, 1 5xx");
  expect(() => parseSummary(refused, "u")).toThrow("1 5xx");
  expect(() => parseSummary("", "u")).toThrow("no summary");
});
