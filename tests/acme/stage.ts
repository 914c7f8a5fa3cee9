/**
 * Stage: a keeper with everything around it but workers: a board, the listeners that an authority looks at, a log.
 *
 * why    cases of issuance take a second each here; that the whole program puts them together is told elsewhere
 */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSecureContext, createServer as createTlsServer, type Server as TlsServer } from "node:tls";
import { CertificateKeeper, type KeeperBoard } from "../../src/acme/keeper.ts";
import type { Timing } from "../../src/acme/timing.ts";
import type { AcmeConfig, Config, ListenerConfig } from "../../src/config/config.ts";
import type { Offer } from "../../src/control/materials.ts";
import { challengeAnswer } from "../../src/pipeline/acme-challenge.ts";
import type { Challenges } from "../../src/tls/materials.ts";
import { eventually } from "../support/eventually.ts";
import { freePorts } from "../support/ports.ts";

export const ISSUE_MS = 20_000;

export class Stage implements KeeperBoard {
  readonly folder = mkdtempSync(join(tmpdir(), "weir-acme-"));
  readonly storage = join(this.folder, "store");
  readonly lines: string[] = [];
  readonly offers = new Map<string, readonly Offer[]>();
  httpPort = 0;
  tlsPort = 0;
  /** Tokens asked for over HTTP, in order. */
  readonly asked: string[] = [];
  #challenges: Challenges = { http: {}, alpn: {} };
  #want: (listener: string, name: string) => void = () => {};
  #servers: (Server | TlsServer)[] = [];
  #keepers = new Set<CertificateKeeper>();

  static async open(): Promise<Stage> {
    const stage = new Stage();
    const [httpPort = 0, tlsPort = 0] = await freePorts(2);
    stage.httpPort = httpPort;
    stage.tlsPort = tlsPort;
    await stage.#serveHttp();
    await stage.#serveTls();
    return stage;
  }

  async #serveHttp(): Promise<void> {
    const server = createServer((request, response) => {
      const tokens = new Map(Object.entries(this.#challenges.http));
      this.asked.push(request.url ?? "");
      const answer = challengeAnswer(request.method ?? "", request.url ?? "", tokens);
      response.writeHead(answer?.status ?? 404).end(answer?.body);
    });
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(this.httpPort, "127.0.0.1", resolve));
  }

  async #serveTls(): Promise<void> {
    const server = createTlsServer({
      ALPNProtocols: ["acme-tls/1"],
      SNICallback: (name, done) => {
        const pair = this.#challenges.alpn[name];
        if (pair === undefined) done(new Error("no challenge"));
        else done(null, createSecureContext({ cert: pair.cert, key: pair.key }));
      },
    });
    server.on("tlsClientError", () => {});
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(this.tlsPort, "127.0.0.1", resolve));
  }

  // ── the board ──

  setOffers(listener: string, offers: readonly Offer[]): Promise<void> {
    if (offers.length === 0) this.offers.delete(listener);
    else this.offers.set(listener, offers);
    return Promise.resolve();
  }

  setChallenges(challenges: Challenges): Promise<void> {
    this.#challenges = challenges;
    return Promise.resolve();
  }

  onWanted(run: (listener: string, name: string) => void): () => void {
    this.#want = run;
    return () => {};
  }

  // ── for tests ──

  /** A client asks for a name that no certificate covers. */
  want(name: string, listener = "web"): void {
    this.#want(listener, name);
  }

  get challenges(): Challenges {
    return this.#challenges;
  }

  keeper(timing?: Timing): CertificateKeeper {
    const log = (level: string, area: string, text: string) => this.lines.push(`${level} ${area} ${text}`);
    const keeper = new CertificateKeeper({ board: this, log, ...(timing === undefined ? {} : { timing }) });
    this.#keepers.add(keeper);
    return keeper;
  }

  /** A keeper at work on this configuration. */
  start(config: Config, timing?: Timing): CertificateKeeper {
    const keeper = this.keeper(timing);
    keeper.read(config);
    keeper.keep(config);
    return keeper;
  }

  offer(name: string, listener = "web"): Offer | undefined {
    return this.offers.get(listener)?.find((offer) => offer.names.includes(name));
  }

  /** The certificate of a name, once it is there. */
  async issued(name: string, but?: string): Promise<Offer & { readonly id: string }> {
    const there = () => {
      const offer = this.offer(name);
      const id = offer?.certificate?.pair.id;
      return offer === undefined || id === undefined || id === but ? undefined : { ...offer, id };
    };
    try {
      return (await eventually(there, ISSUE_MS, `a certificate for ${name}`)) as Offer & { id: string };
    } catch (error) {
      throw new Error(`${String(error)}\n${this.lines.join("\n")}`);
    }
  }

  async logged(text: string): Promise<string> {
    const found = () => this.lines.find((line) => line.includes(text));
    try {
      return (await eventually(found, ISSUE_MS, `a log line with "${text}"`)) as string;
    } catch (error) {
      throw new Error(`${String(error)}\n${this.lines.join("\n")}`);
    }
  }

  async close(): Promise<void> {
    for (const keeper of this.#keepers) keeper.stop();
    for (const server of this.#servers) server.close();
    rmSync(this.folder, { recursive: true, force: true });
    await Bun.sleep(0);
  }

  config(acme: Partial<AcmeConfig>, listener = "web"): Config {
    return { listeners: [listenerOf(listener, { ...this.acme(), ...acme })] } as unknown as Config;
  }

  acme(): AcmeConfig {
    return {
      email: "ops@example.com",
      authorities: [],
      challenge: "http-01",
      names: ["app.example.com"],
      onDemand: [],
      dnsHook: undefined,
      storage: this.storage,
      storageKey: undefined,
      keyType: "ec256",
      directoryCa: undefined,
    };
  }
}

/** The parts of a listener that the keeper reads. */
export function listenerOf(name: string, acme: AcmeConfig): ListenerConfig {
  return { name, tls: { acme } } as unknown as ListenerConfig;
}
