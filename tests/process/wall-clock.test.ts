/**
 * The wall clock may jump: nothing that waits, times out or ages looks at it.
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Glob } from "bun";

const SOURCE = join(import.meta.dir, "..", "..", "src");

/** Where the time of day is read, and what for: to tell people, or to stamp what people read. */
const READERS: Readonly<Record<string, string>> = {
  "acme/storage-folder/folder-lock.ts": "the age of a lock file, whose date is a time of day",
  "app/certificates.ts": "whether a certificate is valid",
  "app/control.ts": "when the last reload was",
  "app/dataplane.ts": "the offset from monotonic time, for Date and log lines",
  "app/log.ts": "stamps of log lines",
  "app/shared-cache.ts": "what is past keeping, as responses say it in times of day",
  "app/running.ts":
    "since when counting goes on; instants on the board of endpoints, which are moved when it is set",
  "app/upstream-states.ts": "the offset of those instants from monotonic time",
  "app/worker-loop.ts": "a heartbeat is any number that differs from the one before",
  "app/workers.ts": "age of a heartbeat, as shown; silence is counted in looks",
  "cli/explain-plan.ts": "how old a response would be, as shown",
  "cli/status.ts": "ages, as shown",
  "cli/top.ts": "ages, as shown",
  "pipeline/files.ts": "file dates are times of day",
  "session/tls-session.ts": "whether a client's certificate has expired since its session began",
};

test("the wall clock is read where people are told the time, and nowhere else", () => {
  const found: string[] = [];
  for (const path of new Glob("**/*.ts").scanSync(SOURCE)) {
    if (path.endsWith(".test.ts")) continue;
    const code = readFileSync(join(SOURCE, path), "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
    if (/\bDate\.now\(|\bnew Date\(\)/.test(code)) found.push(path);
  }
  expect(found.sort()).toEqual(Object.keys(READERS).sort());
});
