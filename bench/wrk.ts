/**
 * wrk: keep-alive load over many connections for a fixed time.
 *
 * out    counts and latencies as numbers, from wrk's own summary
 * fails  throws when any request failed or was answered with an error status: such a figure means nothing
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { runToEnd } from "./processes.ts";

export interface LoadResult {
  readonly requests: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const SCRIPT = `
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('RESULT {"requests":%d,"bytes":%.0f,"seconds":%f,"p50Ms":%f,"p99Ms":%f,"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\\n',
    summary.requests, summary.bytes, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.connect, e.read, e.write, e.status, e.timeout))
end
`;

export interface LoadOptions {
  readonly folder: string;
  readonly port: number;
  readonly path: string;
  readonly connections: number;
  readonly seconds: number;
  /** Over TLS; nothing is verified. */
  readonly isSecure?: boolean;
  /** Field lines to send with each request. */
  readonly fields?: readonly string[];
}

export async function load(options: LoadOptions): Promise<LoadResult> {
  const script = join(options.folder, "report.lua");
  writeFileSync(script, SCRIPT);
  const url = `${options.isSecure === true ? "https" : "http"}://127.0.0.1:${options.port}${options.path}`;
  const command = [
    "wrk",
    "-t1",
    `-c${options.connections}`,
    `-d${options.seconds}s`,
    "--timeout",
    "10s",
    "-s",
    script,
    ...(options.fields ?? []).flatMap((line) => ["-H", line]),
    url,
  ];
  const text = await runToEnd(command, options.seconds * 1000 + 30_000);
  const line = /^RESULT (.*)$/m.exec(text)?.[1];
  if (line === undefined) throw new Error(`wrk gave no result: ${text.slice(-500)}`);
  const result = JSON.parse(line) as LoadResult & { readonly errors: Readonly<Record<string, number>> };
  const failed = Object.entries(result.errors).filter(([, count]) => count > 0);
  if (failed.length > 0 || result.requests === 0) {
    const what = failed.map(([kind, count]) => `${count} ${kind}`).join(", ");
    throw new Error(`${url}: ${result.requests} requests, errors: ${what || "none"}`);
  }
  return result;
}
