/**
 * Echo worker: a worker whose engine answers every request with what it is, so that processes can be tested
 * without the proxy. `/slow` takes a second; a listener named `broken` cannot be prepared; one named
 * `suicidal` ends the process.
 */

import { runWorker, type WorkerEngine } from "../../src/app/worker-loop.ts";
import type { Config } from "../../src/config/config.ts";
import { LISTENER } from "../../src/observe/metrics.table.ts";
import { seriesKey } from "../../src/observe/series.ts";
import { type Materials, NO_MATERIALS } from "../../src/tls/materials.ts";

type Socket = { write(text: string): void; end(): void };
type Listen = (options: { fd: number; socket: Record<string, (socket: Socket, data: Buffer) => void> }) => {
  stop(isForced?: boolean): void;
};
const listenOnDescriptor = Bun.listen as unknown as Listen;
const SLOW_MS = 1000;

class EchoEngine implements WorkerEngine {
  readonly #row: Float64Array;
  readonly #listeners = new Map<string, { stop(isForced?: boolean): void }>();
  #prepared: { config: Config; slots: Record<string, number> } | undefined;
  #running: { config: Config; slots: Record<string, number> } | undefined;
  #inFlight = 0;
  #addresses: Record<string, readonly string[]> = {};
  #preparedMaterials = NO_MATERIALS;
  #materials = NO_MATERIALS;
  readonly #open = new Set<Socket>();

  constructor(row: Float64Array) {
    this.#row = row;
  }

  prepare(
    config: Config,
    slots: Record<string, number>,
    addresses: Record<string, readonly string[]>,
    materials: Materials,
  ) {
    if (config.listeners.some((listener) => listener.name === "broken")) return "a broken listener";
    if (config.listeners.some((listener) => listener.name === "suicidal")) process.exit(3);
    this.#prepared = { config, slots };
    this.#addresses = { ...addresses };
    this.#preparedMaterials = materials;
    return undefined;
  }

  commit() {
    this.#running = this.#prepared;
    this.#materials = this.#preparedMaterials;
  }

  abandon() {
    this.#prepared = undefined;
  }

  listen(id: string, listener: string, fd: number) {
    const socket = {
      open: (socket: Socket) => {
        this.#open.add(socket);
        this.#count(listener, LISTENER.at.active, 1);
      },
      close: (socket: Socket) => {
        this.#open.delete(socket);
        this.#count(listener, LISTENER.at.active, -1);
      },
      data: (socket: Socket, data: Buffer) => this.#answer(socket, data.toString(), listener),
    };
    this.#listeners.set(id, listenOnDescriptor({ fd, socket }));
  }

  #count(listener: string, offset: number, by: number) {
    const slot = this.#running?.slots[seriesKey("listener", listener)];
    if (slot !== undefined) this.#row[slot + offset] = (this.#row[slot + offset] ?? 0) + by;
  }

  #answer(socket: Socket, request: string, listener: string) {
    this.#count(listener, LISTENER.at.requests, 1);
    const path = request.split(" ")[1] ?? "/";
    if (path === "/hang") for (;;);
    const body = JSON.stringify({
      pid: process.pid,
      uid: process.getuid?.(),
      listener,
      text: this.#running?.config.routes[0]?.name ?? "",
      addresses: this.#addresses,
      certificates: (this.#materials.certificates[listener] ?? []).map(({ names }) => names[0]),
    });
    this.#inFlight++;
    const finish = () => {
      this.#inFlight--;
      socket.write(`HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      socket.end();
    };
    if (path === "/slow") setTimeout(finish, SLOW_MS);
    else finish();
  }

  unlisten(id: string) {
    this.#listeners.get(id)?.stop();
    this.#listeners.delete(id);
  }

  setMaterials(materials: Partial<Materials>): undefined {
    this.#materials = { ...this.#materials, ...materials };
  }

  setAddresses(host: string, addresses: readonly string[]) {
    this.#addresses[host] = addresses;
  }

  async drain(timeoutMs: number) {
    for (const listener of this.#listeners.values()) listener.stop();
    const deadline = performance.now() + timeoutMs;
    while ((this.#inFlight > 0 || this.#open.size > 0) && performance.now() < deadline) await Bun.sleep(5);
  }

  reopenLogs() {
    process.stderr.write("reopened\n");
  }
}

runWorker(({ zone, worker }) => new EchoEngine(zone.row(worker)));
