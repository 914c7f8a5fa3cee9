/**
 * Certificates: all pairs of a listener are replaced, again and again, under a steady load over TLS.
 *
 * out    requests sent and lost, and names that were still shown their old certificate when each round was over
 */
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "node:tls";
import { type Issued, type TestAuthority, testAuthority } from "../support/certificates.ts";
import { eventually, within } from "../support/eventually.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { startEchoOrigin } from "./echo-origin.ts";
import { H2Load, type H2LoadReport } from "./h2-load.ts";
import { Load, type LoadFailure, type LoadReport } from "./load.ts";

export interface CertificatesOptions {
  readonly certificates: number;
  readonly swaps: number;
  /** Half of them over HTTP/1.1, half over HTTP/2. */
  readonly ratePerSec: number;
  /** Connections over HTTP/1.1. */
  readonly lanes: number;
  readonly say: (line: string) => void;
}

export interface CertificatesReport {
  readonly load: LoadReport;
  readonly h2: H2LoadReport;
  readonly lost: readonly string[];
  /** Names whose new certificate was not seen in time. */
  readonly stale: readonly string[];
}

const SWAP_MS = 30_000;
const WARM_MS = 1000;
const H2_CONNECTIONS = 16;
const H2_STREAMS = 50;
/** Few: a connection that is made sees the certificates of now. */
const H2_REQUESTS_A_CONNECTION = 50;
/** One in so many names is looked at after a swap. */
const LOOKS = 20;
const LOOK_MS = 100;
/** Pairs written before others have their turn. */
const AT_ONCE = 2;

const nameOf = (index: number) => `host-${index}.campaign.test`;

export async function runCertificates(options: CertificatesOptions): Promise<CertificatesReport> {
  const { certificates, ratePerSec, lanes, say } = options;
  const authority = await testAuthority();
  const origin = startEchoOrigin();
  // all of them ahead: whoever makes the load must have no other work
  const sets: Issued[][] = [];
  for (let set = 0; set <= options.swaps; set++) sets.push(await issueAll(authority, certificates));
  const files: Record<string, string> = {};
  for (const [index, { cert, key }] of (sets[0] ?? []).entries()) {
    files[`${index}.crt`] = cert;
    files[`${index}.key`] = key;
  }
  const weir = await startWeir(configOf(certificates, origin.port), { files });
  const failures: LoadFailure[] = [];
  const serverNames = Array.from({ length: certificates }, (_, index) => nameOf(index));
  const tls = { ca: [authority.caPem], serverNames };
  const shared = { port: weir.port(), ratePerSec: ratePerSec / 2, failures, tls };
  const load = new Load({ ...shared, lanes, freshEvery: 10 });
  const h2 = new H2Load({
    ...shared,
    connections: H2_CONNECTIONS,
    streams: H2_STREAMS,
    requestsPerConnection: H2_REQUESTS_A_CONNECTION,
  });
  try {
    load.start();
    h2.start();
    const stale: string[] = [];
    await Bun.sleep(WARM_MS);
    for (const [index, pairs] of sets.slice(1).entries()) {
      stale.push(...(await swap(weir, pairs)));
      const sent = load.report().sent + h2.report().sent;
      say(`swap ${index + 1}: ${sent} sent, ${failures.length} lost, ${stale.length} stale`);
    }
    const report = { load: await load.stop(), h2: await h2.stop() };
    return { ...report, lost: failures.map(({ why }) => why), stale };
  } finally {
    await Promise.all([load.stop(), h2.stop()]);
    await weir.stop();
    await origin.stop();
  }
}

function configOf(count: number, originPort: number): string {
  const pairs = Array.from(
    { length: count },
    (_, index) => `        - { cert: ${index}.crt, key: ${index}.key }`,
  );
  return `
listeners:
  web:
    bind: "127.0.0.1:0"
    tls:
      certificates:
${pairs.join("\n")}
routes: [ { to: app } ]
upstreams: { app: [ "127.0.0.1:${originPort}" ] }
`;
}

async function issueAll(authority: TestAuthority, count: number): Promise<Issued[]> {
  const made: Issued[] = [];
  for (let index = 0; index < count; index++) made.push(await authority.issue({ names: [nameOf(index)] }));
  return made;
}

/** Puts new pairs in place of all, as a careful tool does: written beside, then renamed. out  names still old */
async function swap(weir: Weir, pairs: readonly Issued[]): Promise<string[]> {
  const fresh = join(weir.folder, "fresh");
  mkdirSync(fresh, { recursive: true });
  for (const [index, { cert, key }] of pairs.entries()) {
    // in between the load must have its turn: it shares this process
    if (index % AT_ONCE === 0) await Bun.sleep(1);
    for (const [name, text] of [
      [`${index}.crt`, cert],
      [`${index}.key`, key],
    ] as const) {
      writeFileSync(join(fresh, name), text);
      renameSync(join(fresh, name), join(weir.folder, name));
    }
  }
  const stale: string[] = [];
  const step = Math.max(1, Math.floor(pairs.length / LOOKS));
  for (let index = 0; index < pairs.length; index += step) {
    const serial = BigInt(`0x${pairs[index]?.serial}`);
    const isNew = async () => {
      const isShown = (await serialShown(weir.port(), nameOf(index))) === serial;
      if (!isShown) await Bun.sleep(LOOK_MS);
      return isShown;
    };
    await eventually(isNew, SWAP_MS, `the new certificate of ${nameOf(index)}`).catch(() => {
      stale.push(nameOf(index));
    });
  }
  return stale;
}

/** Serial number of the certificate that this name is shown. */
function serialShown(port: number, servername: string): Promise<bigint> {
  const shown = new Promise<bigint>((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, servername, rejectUnauthorized: false });
    socket.once("secureConnect", () => {
      const { serialNumber } = socket.getPeerCertificate();
      socket.destroy();
      resolve(BigInt(`0x${serialNumber}`));
    });
    socket.once("error", reject);
  });
  return within(shown, 5000, `a handshake for ${servername}`);
}
