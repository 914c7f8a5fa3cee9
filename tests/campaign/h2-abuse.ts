/**
 * HTTP/2 abuse: each attack for some seconds against one worker, with decent clients beside it.
 *
 * out    for each attack how connections ended, what the others' requests took before and meanwhile, and the
 *        worker's memory before and at its highest
 */
import { join } from "node:path";
import type { Weir } from "../support/weir.ts";
import { startWeir } from "../support/weir.ts";
import { startEchoOrigin } from "./echo-origin.ts";
import type { AttackReport } from "./h2-attacker.ts";
import type { Attack } from "./h2-attacks.table.ts";
import { privateBytes } from "./kernel.ts";
import { Load, type LoadFailure } from "./load.ts";
import { startPlainOrigin } from "./plain-origin.ts";

export interface AbuseOptions {
  readonly attacks: readonly Attack[];
  readonly seconds: number;
  /** Requests a second of the decent clients. */
  readonly ratePerSec: number;
  readonly say: (line: string) => void;
}

export interface AbuseResult extends AttackReport {
  readonly name: string;
  readonly quietP99Ms: number;
  readonly attackedP99Ms: number;
  readonly beforeBytes: number;
  readonly highestBytes: number;
  /** Decent requests that failed. */
  readonly failures: readonly string[];
  readonly isSameWorker: boolean;
}

const ATTACKER = join(import.meta.dir, "h2-attacker.ts");
const SAMPLE_MS = 200;
const SETTLE_MS = 500;
const MIB = 1024 * 1024;

export async function runAbuse(options: AbuseOptions): Promise<AbuseResult[]> {
  const [echo, plain] = [startEchoOrigin(), startPlainOrigin()];
  const results: AbuseResult[] = [];
  try {
    for (const what of options.attacks) {
      // a worker of its own for each: what one attack leaves behind must not look like the next one's doing
      const weir = await startWeir(abuseConfig(echo.port, plain.port));
      try {
        results.push(await suffer(weir, what, options));
      } finally {
        await weir.stop();
      }
    }
    return results;
  } finally {
    await echo.stop();
    plain.stop();
  }
}

export const abuseConfig = (echoPort: number, plainPort: number) => `
listeners:
  web: { bind: "127.0.0.1:0" }
  h2c: { bind: "127.0.0.1:0", protocols: [h2] }
routes:
  - { to: echo }
  - { match: { path: /small }, to: plain }
  - { match: { path: /1m }, to: plain }
upstreams: { echo: [ "127.0.0.1:${echoPort}" ], plain: [ "127.0.0.1:${plainPort}" ] }
# lines that somebody has to read would be part of what is measured
observe: { accessLog: off }
`;

async function suffer(weir: Weir, what: Attack, options: AbuseOptions): Promise<AbuseResult> {
  const failures: LoadFailure[] = [];
  const { ratePerSec, seconds, say } = options;
  const load = new Load({ port: weir.port("web"), ratePerSec, lanes: 20, freshEvery: 50, failures });
  const pid = await workerOf(weir);
  load.start();
  await Bun.sleep(SETTLE_MS); // connections are made, code is compiled
  load.takeLatencies();
  await Bun.sleep((seconds * 1000) / 2);
  const quietP99Ms = p99(load.takeLatencies());
  const beforeBytes = privateBytes(pid);
  const attacked = Bun.spawn(
    [process.execPath, ATTACKER, what.name, String(weir.port("h2c")), String(seconds)],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  let highestBytes = beforeBytes;
  while (attacked.exitCode === null && attacked.signalCode === null) {
    highestBytes = Math.max(highestBytes, privateBytes(pid));
    await Bun.sleep(SAMPLE_MS);
  }
  const report = JSON.parse(await new Response(attacked.stdout).text()) as AttackReport;
  const attackedP99Ms = p99(load.takeLatencies());
  await load.stop();
  const isSameWorker = (await workerOf(weir)) === pid;
  const result = {
    ...report,
    name: what.name,
    quietP99Ms,
    attackedP99Ms,
    beforeBytes,
    highestBytes,
    failures: failures.map(({ why }) => why),
    isSameWorker,
  };
  say(lineOf(result));
  return result;
}

const workerOf = async (weir: Weir) => (await weir.status()).workers[0]?.pid ?? 0;

function p99(latencies: readonly number[]): number {
  const sorted = Float64Array.from(latencies).sort();
  return sorted[Math.floor((sorted.length - 1) * 0.99)] ?? 0;
}

function lineOf(result: AbuseResult): string {
  const ended = Object.entries(result.ended).map(([code, count]) => `${count} by ${code}`);
  return (
    `${result.name}: ${result.connections} connections, ended ${ended.join(", ") || "none"}, ` +
    `longest ${result.longestMs.toFixed(0)} ms, ${result.sentMib.toFixed(1)} MiB sent; ` +
    `p99 ${result.quietP99Ms.toFixed(2)} → ${result.attackedP99Ms.toFixed(2)} ms; ` +
    `memory ${(result.beforeBytes / MIB).toFixed(1)} → ${(result.highestBytes / MIB).toFixed(1)} MiB; ` +
    `${result.failures.length} decent requests failed${result.isSameWorker ? "" : "; THE WORKER DIED"}`
  );
}

/** What is wrong with a result, in words; `isFull`: long enough for latencies to mean something. */
export function judge(what: Attack, result: AbuseResult, isFull: boolean): string[] {
  const { codes = [11] } = what;
  const wrong: string[] = [];
  const endings = Object.entries(result.ended);
  const strange = endings.filter(([code]) => code !== "none" && !codes.includes(Number(code)));
  if (!result.isSameWorker) wrong.push("the worker died");
  if (result.failures.length > 0)
    wrong.push(`decent requests failed: ${result.failures.slice(0, 3).join("; ")}`);
  if (what.expects === "ends" && endings.length === 0) wrong.push("no connection was ended");
  if (what.expects === "ends" && strange.length > 0) wrong.push(`ended with ${JSON.stringify(result.ended)}`);
  if (result.highestBytes - result.beforeBytes > MAX_GROWTH_BYTES)
    wrong.push(`memory grew by ${((result.highestBytes - result.beforeBytes) / MIB).toFixed(0)} MiB`);
  if (isFull && result.attackedP99Ms > 2 * Math.max(result.quietP99Ms, FLOOR_MS))
    wrong.push(`p99 ${result.quietP99Ms.toFixed(1)} → ${result.attackedP99Ms.toFixed(1)} ms`);
  return wrong.map((text) => `${what.name}: ${text}`);
}

/** Half of what a worker may buffer by default is far more than any of these should take. */
export const MAX_GROWTH_BYTES = 128 * MIB;
/** Below it the machine's own noise is larger than the difference. */
const FLOOR_MS = 5;
