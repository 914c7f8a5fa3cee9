/**
 * The public cache suite's own client, in Node: it asks a cache and says what it found.
 *
 * why    the suite's command line prints results without saying which of its tests are required
 * note   its rows on Surrogate-Control are run once more with the field that has taken its place, CDN-Cache-Control
 *        (RFC 9213), as later editions of the suite do; a field names its target by itself there
 * in     `node cache-suite.mjs BASE`: the cache, in front of the suite's server
 * out    an array of `{ group, id, name, kind, dependsOn, result }` as JSON; `result` is true or [kind, message]
 */
import { getResults, runTests } from "http-cache-tests/client/runner.mjs";
import tests from "http-cache-tests/tests/index.mjs";
import surrogate from "http-cache-tests/tests/surrogate-control.mjs";
import fetch from "node-fetch";

const [base = ""] = process.argv.slice(2);
const targeted = JSON.parse(
  JSON.stringify(surrogate)
    .replaceAll("Surrogate-Control", "CDN-Cache-Control")
    .replaceAll(";CAPABILITY_TARGET", "")
    .replaceAll("surrogate-", "cdn-"),
);
const groups = [...tests, surrogate, targeted];
await runTests(groups, fetch, false, base);
const results = getResults();
const rows = groups.flatMap((group) =>
  group.tests
    .filter(({ browser_only: isForBrowsers }) => isForBrowsers !== true)
    .map(({ id, name, kind = "required", depends_on: dependsOn = [] }) => ({
      group: group.id,
      id,
      name,
      kind,
      dependsOn,
      result: results[id],
    })),
);
console.log(JSON.stringify(rows));
