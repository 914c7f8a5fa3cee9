/**
 * Stage: what a wire test stands on: origins, Weir and clients, all gone when the test is over.
 *
 * use    `const stage = new Stage(); afterEach(() => stage.clear());`
 */
import { within } from "./eventually.ts";
import { Origin, type OriginScript } from "./origin.ts";
import { RawClient, type Target } from "./raw-client.ts";
import { startWeir, type Weir, type WeirOptions } from "./weir.ts";

export class Stage {
  #ends: (() => unknown)[] = [];
  #clients: RawClient[] = [];

  async origin(script: OriginScript | OriginScript["data"]): Promise<Origin> {
    const origin = await Origin.start(script);
    this.after(() => origin.stop());
    return origin;
  }

  async weir(yaml: string, options: WeirOptions = {}): Promise<Weir> {
    const weir = await startWeir(yaml, options);
    this.after(() => weir.stop());
    return weir;
  }

  async client(target: Target | number): Promise<RawClient> {
    const client = await RawClient.connect(target);
    this.#clients.push(client);
    return client;
  }

  /** Resets every client now. */
  closeClients(): void {
    for (const client of this.#clients) client.reset();
    this.#clients = [];
  }

  /** Something to end when the test is over; the last one comes first. */
  after(end: () => unknown): void {
    this.#ends.push(end);
  }

  async clear(): Promise<void> {
    this.closeClients(); // by RST: a FIN alone would leave a tunnel half open
    const ends = this.#ends.reverse();
    this.#ends = [];
    for (const end of ends) await within(Promise.resolve(end()), 15_000, "the stage to be cleared");
  }
}

/** A configuration with one listener `web` and one route to one endpoint; what is left out is default. */
export function proxyTo(
  address: string,
  parts: { readonly listener?: string; readonly route?: string; readonly rest?: string } = {},
): string {
  const listener = parts.listener === undefined ? "" : `, ${parts.listener}`;
  const route = parts.route === undefined ? "" : `, ${parts.route}`;
  return `
listeners: { web: { bind: "127.0.0.1:0"${listener} } }
routes: [ { name: app, to: app${route} } ]
upstreams: { app: [ "${address}" ] }
${parts.rest ?? ""}
`;
}

/** A GET as bytes; `lines` are more field lines. */
export function get(path: string, ...lines: readonly string[]): string {
  return `${[`GET ${path} HTTP/1.1`, "Host: a.test", ...lines].join("\r\n")}\r\n\r\n`;
}
