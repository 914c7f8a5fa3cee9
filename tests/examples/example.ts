/**
 * Example under test: starts an example through bin/weir, on free ports and in front of small origins.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startGreeter } from "../../examples/grpc/greeter.ts";
import { type DemoOrigin, startOrigin } from "../../src/app/demo-origin.ts";
import { ROOT, WEIR } from "../cli/program.ts";
import { testAuthority } from "../support/certificates.ts";
import { eventually, within } from "../support/eventually.ts";
import { freePorts } from "../support/ports.ts";
import { RawClient, type RawResponse, type Target } from "../support/raw-client.ts";

const READY_MS = 15_000;
const STOP_MS = 15_000;

export interface Example {
  readonly port: number;
  readonly proxyPort: number;
  readonly httpsPort: number;
  /** The authority of the certificates in `certs` of the folder, PEM. */
  readonly caPem: string;
  /** Folder for unix sockets. */
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  /** Takes an origin away, so that its port refuses. */
  stopOrigin(name: "A" | "B"): Promise<void>;
  get(path: string, options?: RequestOptions): Promise<RawResponse>;
  connect(): Promise<RawClient>;
  stop(): Promise<void>;
}

export interface RequestOptions {
  readonly method?: string;
  readonly host?: string;
  /** More field lines. */
  readonly lines?: readonly string[];
  readonly target?: Target | number;
  /** Bytes before the request, such as a PROXY protocol line. */
  readonly before?: string;
}

/** One request on a connection of its own. */
export async function ask(to: Target | number, path: string, options: RequestOptions): Promise<RawResponse> {
  const { method = "GET", host = "localhost", lines = [], before = "" } = options;
  const client = await RawClient.connect(to);
  try {
    const head = [`${method} ${path} HTTP/1.1`, `Host: ${host}`, "Connection: close", ...lines];
    await client.send(`${before}${head.join("\r\n")}\r\n\r\n`);
    return await client.response(method);
  } finally {
    client.close();
  }
}

export async function startExample(file: string): Promise<Example> {
  const folder = mkdtempSync(join(tmpdir(), "weir-example-"));
  const [port = 0, proxyPort = 0, httpsPort = 0] = await freePorts(3);
  const appSocket = join(folder, "weir-example-app.sock");
  const origins = {
    A: startOrigin({ name: "A", where: { port: 0 }, eventIntervalMs: 200 }),
    B: startOrigin({ name: "B", where: { port: 0 } }),
    unix: startOrigin({ name: "unix", where: { unix: appSocket } }),
  };
  const greeter = await startGreeter(0);
  const certs = join(folder, "certs");
  const caPem = await writeCertificates(certs);
  const address = (origin: DemoOrigin) => `127.0.0.1:${origin.port}`;
  const env = {
    PORT: `${port}`,
    PROXY_PORT: `${proxyPort}`,
    HTTPS_PORT: `${httpsPort}`,
    CERTS: certs,
    RUN: folder,
    ORIGIN_A: address(origins.A),
    ORIGIN_B: address(origins.B),
    ORIGIN_GRPC: `127.0.0.1:${greeter.port}`,
  };
  const child = Bun.spawn([WEIR, "run", "-c", join(ROOT, "examples", file)], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const errors = new Response(child.stderr).text();
  const stop = async () => {
    child.kill("SIGTERM");
    try {
      await within(child.exited, STOP_MS, "weir to stop");
    } catch {
      child.kill("SIGKILL");
      await child.exited;
    }
    greeter.stop();
    await Promise.all(Object.values(origins).map((origin) => origin.stop(true)));
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await eventually(
      async () => {
        if (child.exitCode !== null) return true;
        (await RawClient.connect(port)).close();
        return true;
      },
      READY_MS,
      "weir to listen",
    );
    if (child.exitCode !== null) throw new Error(`exit code ${child.exitCode}`);
  } catch (error) {
    await stop();
    throw new Error(`${file} did not start: ${String(error)}\n${await errors}`);
  }
  return {
    port,
    proxyPort,
    httpsPort,
    caPem,
    folder,
    env,
    stop,
    stopOrigin: (name) => origins[name].stop(true),
    get: (path, options = {}) => ask(options.target ?? port, path, options),
    connect: () => RawClient.connect(port),
  };
}

/** What `examples/certificates.sh` makes, without OpenSSL. out  the authority's certificate */
export async function writeCertificates(folder: string): Promise<string> {
  const ca = await testAuthority();
  mkdirSync(folder);
  const issued = {
    localhost: await ca.issue({ names: ["localhost"] }),
    "shop.localhost": await ca.issue({ names: ["shop.localhost"] }),
    alice: await ca.issue({ client: true, subject: "O=Example,CN=alice" }),
  };
  for (const [name, { cert, key }] of Object.entries(issued)) {
    writeFileSync(join(folder, `${name}.crt`), cert);
    writeFileSync(join(folder, `${name}.key`), key);
  }
  writeFileSync(join(folder, "ca.crt"), ca.caPem);
  return ca.caPem;
}
