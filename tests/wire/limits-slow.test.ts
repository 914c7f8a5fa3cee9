/**
 * Slow clients in numbers: what they cost is bounded, and nobody else waits for them.
 */
import { afterEach, expect, test } from "bun:test";
import { eventually } from "../support/eventually.ts";
import { perRequest, response } from "../support/origin.ts";
import { hasProc, ownMemoryBytes } from "../support/proc.ts";
import { RawClient } from "../support/raw-client.ts";
import { get, proxyTo, Stage } from "../support/stage.ts";
import { needs } from "../support/tools.ts";
import type { Weir } from "../support/weir.ts";
import { failureCount } from "../support/weir-metrics.ts";

const stage = new Stage();
afterEach(() => stage.clear());

const KIB = 1024;
const MIB = 1024 * KIB;
/** Far above what an answer takes here, far below what a client held up by others would wait. */
const PROMPT_MS = 400;

async function start(listener: string): Promise<Weir> {
  const origin = await stage.origin(perRequest((request) => response(request.requestLine)));
  return await stage.weir(proxyTo(origin.address, { listener }));
}

/** Asks again and again until stopped, on a connection of its own each time. out  the longest wait in ms */
function askAll(port: number): { stop(): Promise<{ asked: number; longestMs: number }> } {
  let isStopped = false;
  const asking = (async () => {
    let longestMs = 0;
    let asked = 0;
    while (!isStopped) {
      const startedAtMs = performance.now();
      const client = await RawClient.connect(port);
      await client.send(get("/normal", "Connection: close"));
      const { status } = await client.response();
      client.close();
      if (status !== 200) throw new Error(`a normal client got ${status}`);
      longestMs = Math.max(longestMs, performance.now() - startedAtMs);
      asked++;
      await Bun.sleep(40);
    }
    return { asked, longestMs };
  })();
  return {
    async stop() {
      isStopped = true;
      return await asking;
    },
  };
}

test.skipIf(!hasProc)(
  "1,000 clients with half a head each cost no more than twice what they sent, and a fixed part",
  async () => {
    const count = 1000;
    const headBytes = 16 * KIB;
    const weir = await start("timeouts: { head: 20s }");
    const pid = (await weir.status()).workers[0]?.pid as number;
    const before = ownMemoryBytes(pid);
    const half = `GET / HTTP/1.1\r\nHost: a\r\nX-Half: ${"h".repeat(headBytes)}`;
    const clients = await Promise.all(Array.from({ length: count }, () => stage.client(weir.port())));
    for (const client of clients) {
      await client.send(half.slice(0, 5000));
      await client.send(half.slice(5000));
    }
    const isOpen = async () => (await weir.status()).listeners[0]?.connectionsActive === count;
    await eventually(isOpen, 5000, "all clients to be there");
    const normal = askAll(weir.port());
    await Bun.sleep(1000);
    const { asked, longestMs } = await normal.stop();
    expect(asked).toBeGreaterThan(5);
    expect(longestMs).toBeLessThan(PROMPT_MS);
    // docs/operations.md, Memory: twice the head for each connection; 8 KiB are the connection itself
    expect(ownMemoryBytes(pid) - before).toBeLessThan(count * (2 * headBytes + 8 * KIB) + 8 * MIB);
  },
  30_000,
);

const CLIENTS = 200;
const SECONDS = 4;
const ATTACKS: readonly [what: string, args: readonly string[]][] = [
  ["slow heads (slowloris)", ["-H", "-i", "1"]],
  ["slow bodies", ["-B", "-i", "1", "-s", "8192"]],
  ["slow reading", ["-X", "-w", "10", "-y", "20", "-n", "1", "-z", "32", "-k", "3"]],
];
for (const [what, args] of ATTACKS) {
  test.skipIf(!needs("slowhttptest"))(
    `${CLIENTS} clients with ${what} hold nobody else up, and are gone after it`,
    async () => {
      const weir = await start("timeouts: { head: 2s, body: 2s, idle: 2s }");
      const normal = askAll(weir.port());
      const url = `http://127.0.0.1:${weir.port()}/slow`;
      const attack = Bun.spawn(
        [
          "slowhttptest",
          "-c",
          `${CLIENTS}`,
          "-r",
          `${CLIENTS}`,
          "-l",
          `${SECONDS}`,
          "-p",
          "2",
          "-u",
          url,
          ...args,
        ],
        { cwd: weir.folder, stdout: "ignore", stderr: "ignore" },
      );
      stage.after(() => attack.kill("SIGKILL"));
      await attack.exited;
      const { asked, longestMs } = await normal.stop();
      expect(asked).toBeGreaterThan(20);
      expect(longestMs).toBeLessThan(PROMPT_MS);
      const isAlone = async () => (await weir.status()).listeners[0]?.connectionsActive === 0;
      await eventually(isAlone, 8000, "the slow clients to be gone");
      const metrics = await weir.metrics();
      expect(metrics).toContain("weir_listener_connections_total");
      if (args[0] === "-H") expect(failureCount(metrics, "head_timeout")).toBeGreaterThan(CLIENTS / 2);
      if (args[0] === "-B") {
        expect(
          failureCount(metrics, "body_timeout") + failureCount(metrics, "downstream_closed"),
        ).toBeGreaterThan(0);
      }
    },
    30_000,
  );
}
