/**
 * Runtime version: refuses a Bun older than the one whose behaviour the program relies on.
 *
 * why    bin/weir takes the pinned Bun when it is there; one found on the PATH may be of any age, and an
 *        old one would fail late and strangely. Imported first, so that it speaks before anything else.
 */
const OLDEST = "1.4.5";

/** What to tell about a Bun of this version, or undefined when it will do. */
export function versionProblem(version: string): string | undefined {
  if (Bun.semver.order(version, OLDEST) >= 0) return undefined;
  return `weir: Bun ${OLDEST} or newer is needed, this is ${version}. Run "npm ci"`;
}

const problem = versionProblem(Bun.version);
if (problem !== undefined) {
  process.stderr.write(`${problem}\n`);
  process.exit(1);
}
