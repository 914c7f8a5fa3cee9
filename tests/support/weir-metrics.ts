/**
 * Weir's metrics as a test reads them: the Prometheus text, by name and labels.
 */
import { eventually } from "./eventually.ts";

/** Sum of the samples of `name` that carry all these labels; 0 when there is none. */
export function metric(text: string, name: string, labels: Readonly<Record<string, string>> = {}): number {
  let sum = 0;
  for (const line of text.split("\n")) {
    const found = /^([a-zA-Z0-9_:]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (found === null || found[1] !== name) continue;
    const has = Object.entries(labels).every(([key, value]) =>
      (found[2] ?? "").includes(`${key}="${value}"`),
    );
    if (has) sum += Number(found[3]);
  }
  return sum;
}

/** How often exchanges or connections ended for this reason. */
export function failureCount(text: string, reason: string): number {
  return metric(text, "weir_failures_total", { reason });
}

/** Waits until so many have ended for this reason: the answer may be here before the worker has counted it. */
export async function counted(
  weir: { metrics(): Promise<string> },
  reason: string,
  count: number,
): Promise<void> {
  const isCounted = async () => failureCount(await weir.metrics(), reason) === count;
  await eventually(isCounted, 3000, `${count} of ${reason}`);
}
