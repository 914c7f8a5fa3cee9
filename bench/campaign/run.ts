/**
 * Campaigns in full: what the tests under tests/campaign do for some seconds, done at length.
 *
 * use    `npm run campaign`, or `npm run campaign -- nothing-lost` for some of them
 * out    one line a step; exit code 1 when something was lost, leaked or hung
 */
import { CAMPAIGNS } from "./campaigns.ts";

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !CAMPAIGNS.some((campaign) => campaign.name === name));
if (unknown.length > 0) {
  console.error(
    `no campaign ${unknown.join(", ")}; there are ${CAMPAIGNS.map(({ name }) => name).join(", ")}`,
  );
  process.exit(2);
}
let failed = 0;
for (const { name, run } of CAMPAIGNS) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const startedAtMs = performance.now();
  console.log(`== ${name}`);
  const problems = await run((line) => console.log(`   ${line}`)).catch((error: unknown) => [String(error)]);
  const tookSec = ((performance.now() - startedAtMs) / 1000).toFixed(0);
  for (const problem of problems) console.log(`   FAILED: ${problem}`);
  if (problems.length > 0) failed++;
  console.log(`== ${name}: ${problems.length === 0 ? "passed" : "FAILED"} in ${tookSec} s`);
}
process.exit(failed === 0 ? 0 : 1);
