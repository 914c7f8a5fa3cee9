/**
 * Owned files: log files that control makes, so that workers which are no longer root can write them.
 *
 * rule   mode 0640, owned by the user of the workers; an existing file keeps what it has but for its owner
 */
import { closeSync, fchownSync, openSync } from "node:fs";
import { resolve } from "node:path";
import type { Config, Problem } from "../config/config.ts";
import { errorWithoutLine } from "../config/problem.ts";
import type { Identity } from "../transport/privileges.ts";

const LOG_MODE = 0o640;

/** Makes the access log when it is a file. out  what is wrong with it, or undefined */
export function makeLogFile(
  config: Config,
  identity: Identity | undefined,
  file: string,
): Problem | undefined {
  const to = config.observe.accessLog?.to;
  if (to === undefined || to === "stdout" || to === "stderr") return undefined;
  try {
    const descriptor = openSync(resolve(to), "a", LOG_MODE);
    if (identity !== undefined) fchownSync(descriptor, identity.uid, identity.gid);
    closeSync(descriptor);
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const message = `cannot open ${to}: ${code === "ENOENT" ? "the folder does not exist" : code}`;
    const hint = "Make the folder, and let the user that starts Weir write there.";
    return errorWithoutLine(file, "observe.accessLog.to", message, hint);
  }
}
