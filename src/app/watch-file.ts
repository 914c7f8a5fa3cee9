/**
 * Watch file: calls back when a configuration file has changed.
 *
 * why    looks at the file twice a second instead of asking the kernel: that also sees files replaced by
 *        editors, by links as Kubernetes makes them, and on network file systems
 * rule   a change counts when the file has stood still for one look, so that half a file is never read
 */
import { statSync } from "node:fs";

const LOOK_MS = 500;

/** out  stops watching */
export function watchFile(path: string, onChange: () => void): () => void {
  let known = fingerprint(path);
  let seen = known;
  const timer = setInterval(() => {
    const now = fingerprint(path);
    const isStill = now === seen;
    seen = now;
    if (!isStill || now === known || now === "") return;
    known = now;
    onChange();
  }, LOOK_MS);
  return () => clearInterval(timer);
}

/** out  "" while there is no file, as in the middle of a replacement */
function fingerprint(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined ? "" : `${found.ino} ${found.size} ${found.mtimeMs}`;
}
