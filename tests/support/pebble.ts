/**
 * Pebble: a real ACME server (Debian package `pebble`) with a name server of its own, both on loopback.
 *
 * in     the ports at which it is to look for challenges; how long its certificates live; what its environment says
 * out    the directory's URL, the CA of the directory's own server, the root that it issues under
 * rule   every name resolves to 127.0.0.1; stop it in `finally`
 * fails  throws with what the programs said when they do not answer in time
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testAuthority } from "./certificates.ts";
import { eventually } from "./eventually.ts";
import { freePorts } from "./ports.ts";
import { collect } from "./proc.ts";

export interface PebbleOptions {
  readonly httpPort?: number;
  readonly tlsPort?: number;
  /** Port of the directory; a free one unless told. */
  readonly port?: number;
  /** Life of a certificate; 90 days unless told. */
  readonly lifeSec?: number;
  /** HMAC keys by key id: without one of these there is no account. */
  readonly externalAccounts?: Readonly<Record<string, string>>;
  /** Names that it refuses. */
  readonly blocked?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface Pebble {
  readonly directory: string;
  /** File with the CA that vouches for the directory's own server. */
  readonly caFile: string;
  readonly caPem: string;
  /** Where a hook sets TXT records: POST `/set-txt` and `/clear-txt`. */
  readonly dns: URL;
  /** What it has written. */
  said(): string;
  /** PEM of the root that certificates are issued under; another one after each start. */
  root(): Promise<string>;
  /** Ends the authority; the name server goes on. */
  halt(): Promise<void>;
  /** Starts it again, as another authority at the same address: it keeps nothing. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

type Child = Bun.Subprocess<"ignore", "pipe", "pipe">;

const READY_MS = 10_000;
const DAY_SEC = 86_400;

export async function startPebble(options: PebbleOptions = {}): Promise<Pebble> {
  const folder = mkdtempSync(join(tmpdir(), "weir-pebble-"));
  const [port = 0, management = 0, dnsPort = 0, dnsManagement = 0] = await freePorts(4);
  const pebble = new RunningPebble(folder, options.env ?? {}, {
    directory: options.port ?? port,
    management,
    dns: dnsPort,
    dnsManagement,
  });
  try {
    await pebble.begin(options);
  } catch (error) {
    await pebble.stop();
    throw new Error(`pebble did not become ready: ${String(error)}\n${pebble.said()}`);
  }
  return pebble;
}

interface Ports {
  readonly directory: number;
  readonly management: number;
  readonly dns: number;
  readonly dnsManagement: number;
}

class RunningPebble implements Pebble {
  readonly #folder: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #ports: Ports;
  #pebble: Child | undefined;
  #names: Child | undefined;
  #said: (() => string)[] = [];
  caPem = "";

  constructor(folder: string, env: Readonly<Record<string, string>>, ports: Ports) {
    this.#folder = folder;
    this.#env = env;
    this.#ports = ports;
  }

  get directory(): string {
    return `https://127.0.0.1:${this.#ports.directory}/dir`;
  }

  get caFile(): string {
    return join(this.#folder, "ca.pem");
  }

  get dns(): URL {
    return new URL(`http://127.0.0.1:${this.#ports.dnsManagement}`);
  }

  said(): string {
    return this.#said.map((said) => said()).join("");
  }

  async begin(options: PebbleOptions): Promise<void> {
    const authority = await testAuthority("Directory Authority");
    const { cert, key } = await authority.issue({ names: ["127.0.0.1", "localhost"] });
    this.caPem = authority.caPem;
    this.#write("ca.pem", authority.caPem);
    const {
      externalAccounts = {},
      blocked = [],
      httpPort = 1,
      tlsPort = 1,
      lifeSec = 90 * DAY_SEC,
    } = options;
    const pebble = {
      listenAddress: `127.0.0.1:${this.#ports.directory}`,
      managementListenAddress: `127.0.0.1:${this.#ports.management}`,
      certificate: this.#write("cert.pem", cert),
      privateKey: this.#write("key.pem", key),
      httpPort,
      tlsPort,
      ocspResponderURL: "",
      externalAccountBindingRequired: Object.keys(externalAccounts).length > 0,
      externalAccountMACKeys: externalAccounts,
      certificateValidityPeriod: lifeSec,
      domainBlocklist: blocked,
    };
    this.#write("pebble.json", JSON.stringify({ pebble }));
    const none = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""];
    const { dns, dnsManagement } = this.#ports;
    const places = ["-dns01", `127.0.0.1:${dns}`, "-management", `127.0.0.1:${dnsManagement}`];
    this.#names = this.#spawn(["pebble-challtestsrv", ...places, ...none]);
    await this.restart();
  }

  #write(name: string, text: string): string {
    writeFileSync(join(this.#folder, name), text);
    return join(this.#folder, name);
  }

  #spawn(command: string[]): Child {
    const env = { ...process.env, PEBBLE_VA_NOSLEEP: "1", ...this.#env };
    const child = Bun.spawn(command, {
      cwd: this.#folder,
      env,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    this.#said.push(collect(child.stdout), collect(child.stderr));
    return child;
  }

  async restart(): Promise<void> {
    await this.halt();
    const config = join(this.#folder, "pebble.json");
    this.#pebble = this.#spawn(["pebble", "-config", config, "-dnsserver", `127.0.0.1:${this.#ports.dns}`]);
    const answers = async () => (await this.#get(this.directory)).ok;
    await eventually(answers, READY_MS, "pebble to answer");
  }

  async root(): Promise<string> {
    return await (await this.#get(`https://127.0.0.1:${this.#ports.management}/roots/0`)).text();
  }

  #get(url: string): Promise<Response> {
    return fetch(url, { tls: { ca: this.caPem } });
  }

  async halt(): Promise<void> {
    this.#pebble?.kill("SIGKILL");
    await this.#pebble?.exited;
  }

  async stop(): Promise<void> {
    this.#names?.kill("SIGKILL");
    await this.#names?.exited;
    await this.halt();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
