/**
 * What does one access log line cost? Budget: 600 ns in `json`, with the line as bytes at the end.
 *
 * how    entries as real traffic makes them: ids and paths differ from line to line, names and browsers repeat;
 *        lines gather to 64 KiB as the log file does, then become bytes, so that no text is left unbuilt
 */
import { compileLogFormat, type LogEntry } from "../../src/observe/access-log.ts";

const ENTRIES = 2_000;
const LINES = 200_000;
const ROUNDS = 5;
const BATCH_BYTES = 64 * 1024;
const FORMATS = ["json", "combined", '{time} {clientIp} "{method} {target}" {status} {totalMs}'];

const AGENTS = [
  "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
  "curl/8.14.1",
];

function makeEntries(count: number): LogEntry[] {
  return Array.from({ length: count }, (_, index) => ({
    timeMs: 1_767_225_600_000 + index / 50,
    requestId: index.toString(16).padStart(32, "0"),
    clientIp: `203.0.113.${(index >> 4) & 255}`,
    clientPort: 1024 + (index % 60_000),
    method: "GET",
    scheme: "https",
    host: "app.example.com",
    path: `/v1/items/${index}`,
    query: index % 3 === 0 ? `page=${index % 100}&sort=name` : "",
    protocol: "HTTP/1.1",
    status: 200,
    bytesReceived: 0,
    bytesSent: 65 + (index % 4000),
    listener: "https",
    route: "api",
    upstream: "app",
    endpoint: index % 2 === 0 ? "10.0.0.1:8080" : "10.0.0.2:8080",
    attempts: 1,
    headMs: 0.031 + (index % 7) / 100,
    queueMs: 0,
    connectMs: -1,
    firstByteMs: 1.204 + (index % 911) / 1000,
    totalMs: 1.377 + (index % 911) / 1000,
    cache: "",
    cacheRule: "",
    cause: "done",
    detail: "",
    userAgent: AGENTS[(index >> 5) % 2] as string,
    referer: index % 2 === 0 ? "https://app.example.com/v1/" : "",
    tls: undefined,
  }));
}

/** Best round, in ns a line: the machine can only add time. */
function measure(format: string, entries: readonly LogEntry[]): number {
  const write = compileLogFormat(format);
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const startedAt = performance.now();
    let batch = "";
    for (let line = 0; line < LINES; line++) {
      const entry = entries[line % entries.length] as LogEntry;
      batch += `${write(entry)}\n`;
      if (batch.length >= BATCH_BYTES) {
        Buffer.from(batch);
        batch = "";
      }
    }
    best = Math.min(best, ((performance.now() - startedAt) * 1e6) / LINES);
  }
  return best;
}

const entries = makeEntries(ENTRIES);
for (const format of FORMATS) {
  console.log(`${measure(format, entries).toFixed(0).padStart(6)} ns a line  ${format}`);
}
