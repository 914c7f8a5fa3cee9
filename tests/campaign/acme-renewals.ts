/**
 * ACME renewals: every certificate of a listener is replaced by a real authority, one after the other, under a steady
 * load of verified TLS connections, and not one request fails.
 *
 * in     how many names, and how much load
 * out    what was renewed, what the load lost, and files of keys that others could read
 * shape  the storage folder begins with certificates past two thirds of their life: a reload that names them makes all
 *        of them due at once
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readIssued } from "../../src/acme/protocol/issued.ts";
import { Storage } from "../../src/acme/storage-folder/storage.ts";
import { type TestAuthority, testAuthority } from "../support/certificates.ts";
import { eventually } from "../support/eventually.ts";
import { type Pebble, startPebble } from "../support/pebble.ts";
import { freePorts } from "../support/ports.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { type EchoOrigin, startEchoOrigin } from "./echo-origin.ts";
import { Load, type LoadFailure, type LoadReport } from "./load.ts";

export interface RenewalOptions {
  readonly names: number;
  readonly ratePerSec: number;
  readonly lanes: number;
  readonly say: (line: string) => void;
}

export interface RenewalReport {
  readonly load: LoadReport;
  readonly lost: readonly string[];
  /** Names whose certificate is still the old one. */
  readonly left: readonly string[];
  readonly issued: number;
  readonly failed: number;
  /** Files and folders of the storage folder that group or others have rights to. */
  readonly readable: readonly string[];
  readonly tookMs: number;
  readonly stderr: string;
}

/** One second at the pace of four orders at a time, and room for refused nonces. */
const MS_A_NAME = 2000;
const SETTLE_MS = 500;
/** Of a life that began a day before: three quarters are over. */
const DAYS_LEFT = 0.33;
const HOST = "campaign.test";

export async function runAcmeRenewals(options: RenewalOptions): Promise<RenewalReport> {
  const [http = 0, https = 0] = await freePorts(2);
  const folder = mkdtempSync(join(tmpdir(), "weir-renewals-"));
  const origin = startEchoOrigin();
  const pebble = await startPebble({ httpPort: http });
  try {
    const site = {
      names: namesOf(options.names),
      storage: join(folder, "store"),
      http,
      https,
      origin,
      pebble,
    };
    const old = await testAuthority("Old Authority");
    await fill(site, old);
    return await renewAll(site, old, options);
  } finally {
    await pebble.stop();
    await origin.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Site {
  readonly names: readonly string[];
  readonly storage: string;
  readonly http: number;
  readonly https: number;
  readonly origin: EchoOrigin;
  readonly pebble: Pebble;
}

function namesOf(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `n${index}.${HOST}`);
}

async function fill({ names, storage: folder }: Site, old: TestAuthority): Promise<void> {
  const storage = new Storage({ folder, storageKey: undefined, warn: () => {} });
  storage.open();
  for (const name of names) {
    const { cert, key } = await old.issue({ names: [name], days: DAYS_LEFT });
    storage.keep({ name, authority: "pebble", issued: readIssued(name, cert, key, undefined) });
  }
}

async function renewAll(site: Site, old: TestAuthority, options: RenewalOptions): Promise<RenewalReport> {
  const { names, pebble } = site;
  const { cert, key } = await old.issue({ names: [`*.${HOST}`] });
  const weir = await startWeir(yamlOf(site, false), { files: { "wild.pem": cert, "wild.key": key } });
  const failures: LoadFailure[] = [];
  const ca = [old.caPem, await pebble.root()];
  const { ratePerSec, lanes, say } = options;
  const tls = { ca, serverNames: names };
  const load = new Load({ port: site.https, ratePerSec, lanes, freshEvery: 5, failures, tls });
  try {
    load.start();
    await Bun.sleep(SETTLE_MS);
    const startedAtMs = performance.now();
    if (!(await weir.reload(yamlOf(site, true)))) throw new Error(`the reload failed\n${weir.stderr()}`);
    const left = await untilRenewed(weir, names, say);
    const tookMs = Math.round(performance.now() - startedAtMs);
    await Bun.sleep(SETTLE_MS);
    const metrics = await weir.metrics();
    return {
      load: await load.stop(),
      lost: failures.map(({ why }) => why),
      left,
      issued: counted(metrics, "issued"),
      failed: counted(metrics, "failed"),
      readable: readableIn(site.storage),
      tookMs,
      stderr: weir.stderr(),
    };
  } finally {
    await weir.stop();
  }
}

function yamlOf({ names, storage, http, https, origin, pebble }: Site, hasAcme: boolean): string {
  const acme = `
      acme:
        directory: { name: pebble, url: "${pebble.directory}" }
        directoryCa: ${pebble.caFile}
        storage: ${storage}
        names: [${names.join(", ")}]`;
  return `
server: { workers: 2 }
listeners:
  http: { bind: "127.0.0.1:${http}" }
  https:
    bind: "127.0.0.1:${https}"
    tls:
      certificates: [ { cert: wild.pem, key: wild.key } ]${hasAcme ? acme : ""}
routes: [ { to: app } ]
upstreams: { app: [ "127.0.0.1:${origin.port}" ] }
`;
}

/** out  names that were not renewed in time */
async function untilRenewed(
  weir: Weir,
  names: readonly string[],
  say: (line: string) => void,
): Promise<string[]> {
  let left: string[] = [...names];
  const isDone = async () => {
    const { certificates } = await weir.status();
    const renewed = certificates.filter(({ issuer }) => issuer?.startsWith("Pebble"));
    const done = new Set(renewed.flatMap((row) => row.names));
    left = names.filter((name) => !done.has(name));
    await Bun.sleep(SETTLE_MS);
    return left.length === 0;
  };
  await eventually(isDone, names.length * MS_A_NAME, "all names to be renewed").catch((error: unknown) => {
    say(String(error));
  });
  return left;
}

function counted(metrics: string, result: string): number {
  return Number(new RegExp(`weir_acme_orders_total\\{result="${result}"\\} (\\d+)`).exec(metrics)?.[1] ?? -1);
}

function readableIn(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true }).map(String);
  return ["", ...entries].filter((entry) => (statSync(join(folder, entry)).mode & 0o077) !== 0);
}
