/**
 * Runtime version: refuses a Bun older than the one whose behaviour the program relies on.
 *
 * why    bin/weir takes the pinned Bun when it is there; one found on the PATH may be of any age, and an
 *        old one would fail late and strangely. Imported first, so that it speaks before anything else.
 */
const OLDEST = "1.4.5";

if (Bun.semver.order(Bun.version, OLDEST) < 0) {
  process.stderr.write(`weir: Bun ${OLDEST} or newer is needed, this is ${Bun.version}. Run "npm ci"\n`);
  process.exit(1);
}
