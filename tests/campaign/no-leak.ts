/**
 * No leak: after a great many exchanges, broken ones among them, a worker is what it was before.
 *
 * why    what is forgotten in one exchange of a thousand shows neither in a test nor in a benchmark
 * out    memory warm and afterwards, descriptors, gauges; and how much a worker grows for a client that does
 *        not read
 */
import { join } from "node:path";
import { eventually } from "../support/eventually.ts";
import { RawClient } from "../support/raw-client.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { openFiles, privateBytes } from "./kernel.ts";
import { startPlainOrigin } from "./plain-origin.ts";

export interface NoLeakOptions {
  readonly warm: number;
  readonly exchanges: number;
  readonly say: (line: string) => void;
}

export interface NoLeakReport {
  readonly warmBytes: number;
  readonly afterBytes: number;
  /** Descriptors open beyond those of a fresh worker and of the connections it says it keeps. */
  readonly surplusFiles: number;
  /** Gauges that should be 0 and are not, as metric lines. */
  readonly gauges: readonly string[];
  readonly slowReaderBytes: number;
  readonly slowReaderGot: number;
}

const SETTLE_MS = 3000;
const MIXED_MS = 300_000;
const MIXED = join(import.meta.dir, "..", "..", "bench", "clients", "mixed.ts");

export async function runNoLeak(options: NoLeakOptions): Promise<NoLeakReport> {
  const origin = startPlainOrigin();
  const weir = await startWeir(`
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { to: app } ]
upstreams: { app: [ "127.0.0.1:${origin.port}" ] }
`);
  try {
    return await measure(weir, options);
  } finally {
    await weir.stop();
    origin.stop();
  }
}

async function measure(weir: Weir, options: NoLeakOptions): Promise<NoLeakReport> {
  const pid = (await weir.status()).workers[0]?.pid ?? 0;
  const filesAtFirst = openFiles(pid).length;
  const mib = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
  await mixed(weir, options.warm);
  const warmBytes = await settled(pid);
  options.say(`warm after ${options.warm} exchanges: ${mib(warmBytes)}`);
  await mixed(weir, options.exchanges);
  const gauges = await quiet(weir);
  const afterBytes = await settled(pid);
  options.say(`after ${options.exchanges} more: ${mib(afterBytes)}`);
  const { connectionsPooled = 0 } = (await weir.status()).upstreams[0]?.endpoints[0] ?? {};
  const surplusFiles = openFiles(pid).length - filesAtFirst - connectionsPooled;
  const slow = await readSlowly(weir, pid);
  options.say(`a client that does not read 100 MiB: ${mib(slow.grownBytes)} more`);
  return {
    warmBytes,
    afterBytes,
    surplusFiles,
    gauges,
    slowReaderBytes: slow.grownBytes,
    slowReaderGot: slow.gotBytes,
  };
}

async function mixed(weir: Weir, count: number): Promise<void> {
  const child = Bun.spawn([process.execPath, MIXED, String(weir.port()), String(count)], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), MIXED_MS);
  const code = await child.exited;
  clearTimeout(timer);
  if (code !== 0) throw new Error(`the mixed client failed, exit code ${code}`);
}

/** The lowest of some seconds: collection and giving back to the kernel come late. */
async function settled(pid: number): Promise<number> {
  let lowest = Number.POSITIVE_INFINITY;
  const untilMs = performance.now() + SETTLE_MS;
  while (performance.now() < untilMs) {
    await Bun.sleep(250);
    lowest = Math.min(lowest, privateBytes(pid));
  }
  return lowest;
}

const GAUGE = /^weir_(?:requests_active|listener_connections_active|upstream_requests_active)\{/;
const BUFFERED = /^weir_worker_buffered_bytes\{/;

/** Waits until all gauges are at 0. out  those that are not */
async function quiet(weir: Weir): Promise<readonly string[]> {
  let left: string[] = [];
  const isQuiet = async () => {
    const lines = (await weir.metrics()).split("\n");
    left = lines.filter((line) => (GAUGE.test(line) || BUFFERED.test(line)) && !line.endsWith(" 0"));
    const { connectionsOpen, connectionsPooled } = (await weir.status()).upstreams[0]?.endpoints[0] ?? {};
    if (connectionsOpen !== connectionsPooled)
      left.push(`${connectionsOpen} open, ${connectionsPooled} pooled`);
    return left.length === 0;
  };
  await eventually(isQuiet, SETTLE_MS).catch(() => undefined);
  return left;
}

async function readSlowly(weir: Weir, pid: number): Promise<{ grownBytes: number; gotBytes: number }> {
  const before = await settled(pid);
  const client = await RawClient.connect(weir.port());
  await client.send("GET /100m HTTP/1.1\r\nHost: campaign.test\r\nConnection: close\r\n\r\n");
  await eventually(() => client.length > 0, 5000, "the answer to begin");
  client.pause();
  const grownBytes = (await settled(pid)) - before;
  client.resume();
  await eventually(() => client.isEnded, 20_000, "the answer to end");
  const gotBytes = client.length - (client.bytes.indexOf("\r\n\r\n") + 4);
  client.close();
  return { grownBytes, gotBytes };
}
