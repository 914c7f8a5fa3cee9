/**
 * Endpoint: one origin process of the fault campaign, and what can be done to it.
 */
import { join } from "node:path";
import { freePort } from "../../tests/support/ports.ts";
import { ORIGIN_CORE, type Running, start } from "../processes.ts";
import { type Behaviour, type OriginReport, WELL } from "./behaviour.ts";

const PROGRAM = join(import.meta.dir, "origin-program.ts");

export class Endpoint {
  readonly name: string;
  readonly port: number;
  readonly #controlPort: number;
  readonly #folder: string;
  readonly #usual: Behaviour;
  /** Of processes that were killed: [tenth, count]. */
  readonly #past = new Map<number, number>();
  #process: Running | undefined;

  private constructor(name: string, ports: readonly [number, number], folder: string, usual: Behaviour) {
    this.name = name;
    [this.port, this.#controlPort] = ports;
    this.#folder = folder;
    this.#usual = usual;
  }

  /** in  how it behaves when all is well */
  static async start(name: string, folder: string, usual: Behaviour = WELL): Promise<Endpoint> {
    const endpoint = new Endpoint(name, [await freePort(), await freePort()], folder, usual);
    await endpoint.revive();
    return endpoint;
  }

  /** The address as configurations write it. */
  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Starts a process again, with other manners than usual if told. */
  async revive(behaviour: Behaviour = this.#usual): Promise<void> {
    const ports = [String(this.port), String(this.#controlPort)];
    this.#process = await start({
      name: `endpoint ${this.name}`,
      cores: ORIGIN_CORE,
      command: [process.execPath, PROGRAM, this.name, ...ports, JSON.stringify(behaviour)],
      logFile: join(this.#folder, `endpoint-${this.name}.stderr`),
      port: this.#controlPort,
    });
  }

  /** kill -9. */
  async kill(): Promise<void> {
    // what it has counted dies with it
    for (const [tenth, count] of (await this.report()).begun)
      this.#past.set(tenth, (this.#past.get(tenth) ?? 0) + count);
    this.signal("SIGKILL");
  }

  signal(name: NodeJS.Signals): void {
    if (this.#process !== undefined) process.kill(this.#process.pid, name);
  }

  /** Changes how it behaves; what is left out is as usual. */
  async behave(change: Partial<Behaviour>): Promise<void> {
    const body = JSON.stringify({ ...this.#usual, ...change });
    await fetch(`http://127.0.0.1:${this.#controlPort}/behave`, { method: "POST", body });
  }

  async report(): Promise<OriginReport> {
    return (await (await fetch(`http://127.0.0.1:${this.#controlPort}/report`)).json()) as OriginReport;
  }

  /** Requests begun by tenths of a second, over all of its lives. */
  async begun(): Promise<ReadonlyMap<number, number>> {
    const sum = new Map(this.#past);
    for (const [tenth, count] of (await this.report()).begun) sum.set(tenth, (sum.get(tenth) ?? 0) + count);
    return sum;
  }

  async stop(): Promise<void> {
    await this.#process?.stop();
  }
}
