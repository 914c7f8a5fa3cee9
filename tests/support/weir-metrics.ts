/**
 * Weir's metrics as a test reads them: the Prometheus text, by name and labels.
 */

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
