/**
 * h2load: HTTP/2 load with many streams on few connections, for a fixed time or number of requests.
 *
 * out    counts as numbers, from its own summary
 * fails  throws when any request failed or was answered with another status than 2xx: such a figure means nothing
 */
import { runToEnd } from "./processes.ts";

export interface H2LoadOptions {
  readonly port: number;
  readonly path: string;
  readonly isSecure: boolean;
  readonly connections: number;
  readonly streams: number;
  /** One of the two. */
  readonly seconds?: number;
  readonly requests?: number;
  /** A file to send with each request. */
  readonly uploadFile?: string;
  /** log2 of the windows of streams and connections; default that of the RFC. */
  readonly windowBits?: number;
}

export interface H2LoadResult {
  readonly requests: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly meanMs: number;
}

const UNITS: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1000,
  B: 1,
  KB: 1 << 10,
  MB: 1 << 20,
  GB: 2 ** 30,
};
/** A size or a time as h2load writes it: `1.23ms`, `45.6MB`. */
const QUANTITY = /^([\d.]+)(us|ms|s|B|KB|MB|GB)$/;

function quantity(text: string): number {
  const [, number = "", unit = ""] = QUANTITY.exec(text) ?? [];
  return Number(number) * (UNITS[unit] ?? Number.NaN);
}

const DEADLINE_MS = 120_000;

export async function h2load(options: H2LoadOptions): Promise<H2LoadResult> {
  const { port, path, isSecure, connections, streams, seconds, requests, uploadFile, windowBits } = options;
  const flags = (name: string, value: number | string | undefined) =>
    value === undefined ? [] : [name, String(value)];
  const url = `${isSecure ? "https" : "http"}://127.0.0.1:${port}${path}`;
  const command = ["h2load", "-t1", "-c", String(connections), "-m", String(streams)];
  command.push(...flags("-D", seconds), ...flags("-n", requests), ...flags("-d", uploadFile));
  command.push(...flags("-w", windowBits), ...flags("-W", windowBits), url);
  return parseSummary(await runToEnd(command, DEADLINE_MS), url);
}

export function parseSummary(text: string, url: string): H2LoadResult {
  const took = /^finished in (\S+), /m.exec(text)?.[1] ?? "";
  const counts = /(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout/.exec(text);
  const statuses = /^status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx/m.exec(text);
  const bytes = /^traffic: \S+ \((\d+)\) total/m.exec(text)?.[1] ?? "";
  const mean = /^time for request: +\S+ +\S+ +(\S+)/m.exec(text)?.[1] ?? "";
  const [succeeded = 0, ...bad] = (counts ?? []).slice(1).map(Number);
  const errors = [...bad, ...(statuses ?? []).slice(2).map(Number)].reduce((sum, count) => sum + count, 0);
  if (succeeded === 0 || errors > 0 || statuses === null)
    throw new Error(`${url}: ${counts?.[0] ?? "no summary"}; ${statuses?.[0] ?? text.slice(-300)}`);
  const seconds = quantity(took) / 1000;
  return { requests: succeeded, bytes: Number(bytes), seconds, meanMs: quantity(mean) };
}
