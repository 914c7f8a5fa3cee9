/**
 * Tools: programs that some tests need. A test whose tool is missing is skipped, and says so.
 *
 * use    `test.skipIf(!needs("nginx"))("…", …)`
 */
import { isInstalled, PACKAGES } from "../packages.mjs";

const told = new Set<string>();

/** True when the program is on the path; otherwise says once what is skipped and how to get it. */
export function needs(program: string): boolean {
  if (isInstalled(program)) return true;
  if (!told.has(program)) {
    told.add(program);
    const row = PACKAGES.find((entry) => entry.program === program);
    const hint = row === undefined ? "" : ` (Debian package ${row.package}; ${row.purpose})`;
    console.warn(`skipped: ${program} is not installed${hint}`);
  }
  return false;
}
