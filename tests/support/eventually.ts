/**
 * Eventually: waits for a condition instead of sleeping for luck.
 *
 * out    the first truthy value of the condition
 * fails  throws after the deadline with what was awaited and the last error seen
 */
const POLL_MS = 10;

/** Asks every few milliseconds; an error in the condition counts as "not yet". */
export async function eventually<T>(
  condition: () => T | Promise<T>,
  deadlineMs = 5000,
  what = "the condition",
): Promise<T> {
  const deadline = performance.now() + deadlineMs;
  let lastError: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value) return value;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() >= deadline) {
      const cause = lastError === undefined ? "" : `: last error: ${String(lastError)}`;
      throw new Error(`waited ${deadlineMs} ms for ${what}, in vain${cause}`);
    }
    await Bun.sleep(POLL_MS);
  }
}

/** The promise's value, or an error that names what took too long. */
export async function within<T>(promise: Promise<T>, deadlineMs: number, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${deadlineMs} ms for ${what}, in vain`)), deadlineMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
