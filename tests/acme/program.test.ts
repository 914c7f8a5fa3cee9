/**
 * ACME in the whole program: control orders, workers answer and show, nothing in between drops.
 */
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import type { Status } from "../../src/admin/status.ts";
import { eventually } from "../support/eventually.ts";
import { type Pebble, startPebble } from "../support/pebble.ts";
import { freePorts } from "../support/ports.ts";
import { needs } from "../support/tools.ts";
import { startWeir, type Weir } from "../support/weir.ts";

const withPebble = test.skipIf(!needs("pebble"));
const CASE_MS = 40_000;
const WAIT_MS = 15_000;
const NAME = "app.example.com";
const opened: { stop(): Promise<unknown> }[] = [];

afterEach(async () => {
  for (const part of opened.splice(0).reverse()) await part.stop();
});

interface Site {
  readonly pebble: Pebble;
  readonly http: number;
  readonly https: number;
  yaml(acme?: string): string;
  start(acme?: string): Promise<Weir>;
}

async function open(workers = 2): Promise<Site> {
  const [http = 0, https = 0] = await freePorts(2);
  const storage = mkdtempSync(join(tmpdir(), "weir-acme-"));
  opened.push({ stop: async () => rmSync(storage, { recursive: true, force: true }) });
  const pebble = await startPebble({ httpPort: http, tlsPort: https });
  opened.push(pebble);
  const yaml = (acme = `names: [${NAME}]`) => `
server: { workers: ${workers} }
listeners:
  http: { bind: "127.0.0.1:${http}", redirectToHttps: true }
  https:
    bind: "127.0.0.1:${https}"
    tls:
      acme:
        email: ops@example.com
        directory: { name: pebble, url: "${pebble.directory}" }
        directoryCa: ${pebble.caFile}
        storage: ${join(storage, "store")}
        ${acme}
routes: [ { respond: { status: 200, body: "ok" } } ]
`;
  const start = async (acme?: string) => {
    const weir = await startWeir(yaml(acme));
    opened.push(weir);
    return weir;
  };
  return { pebble, http, https, yaml, start };
}

/** Issuer of the certificate that a client of this name is shown; throws when there is none. */
function issuerShown(port: number, servername: string, ca?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const rejectUnauthorized = ca !== undefined;
    const socket = connect({
      host: "127.0.0.1",
      port,
      servername,
      rejectUnauthorized,
      ...(ca === undefined ? {} : { ca }),
    });
    socket.once("secureConnect", () => {
      resolve(String(socket.getPeerCertificate().issuer["CN"]));
      socket.destroy();
    });
    socket.once("error", reject);
  });
}

async function untilIssued(weir: Weir, names: readonly string[] = [NAME]): Promise<void> {
  const isThere = async () => {
    const rows = (await weir.status()).certificates.filter(
      ({ source, notAfter }) => source === "acme" && notAfter,
    );
    return names.every((name) => rows.some((row) => row.names.includes(name)));
  };
  await eventually(isThere, WAIT_MS, `certificates for ${names}`);
}

withPebble(
  "a first start serves self-signed and says so; the real certificate follows, on every worker",
  async () => {
    const { pebble, https, start } = await open();
    await pebble.halt();
    const weir = await start();
    expect(await issuerShown(https, NAME)).not.toContain("Pebble");
    expect(weir.stderr()).toContain("self-signed");
    await eventually(() => weir.stderr().includes("cannot be reached"), WAIT_MS, "the log to say why");
    expect(
      (await weir.status()).certificates.some(({ lastError }) => lastError?.includes("cannot be reached")),
    ).toBe(true);
    await pebble.restart();
    expect(await weir.metrics()).toContain('weir_acme_orders_total{result="failed"} 1');
    // a person would wait a minute or reload; so does this test, without the minute
    weir.signal("SIGTERM");
    await weir.exited;
    const again = await start();
    await untilIssued(again);
    const root = await pebble.root();
    for (let count = 0; count < 8; count++) expect(await issuerShown(https, NAME, root)).toContain("Pebble");
    expect(await again.metrics()).toContain('weir_acme_orders_total{result="issued"} 1');
  },
  CASE_MS,
);

withPebble(
  "a plain listener that redirects everything answers challenges first, and unknown tokens as any path",
  async () => {
    const { http, start } = await open();
    await untilIssued(await start()); // http-01 went through the redirecting listener
    const path = "/.well-known/acme-challenge/nobody-knows-this";
    const answer = await fetch(`http://127.0.0.1:${http}${path}`, { redirect: "manual" });
    expect([answer.status, answer.headers.get("location")]).toEqual([308, `https://127.0.0.1${path}`]);
  },
  CASE_MS,
);

withPebble(
  "tls-alpn-01 needs no other listener: the challenge is shown to the authority, and to nobody else",
  async () => {
    const { https, start } = await open();
    const weir = await start(`challenge: tls-alpn-01\n        names: [${NAME}]`);
    await untilIssued(weir);
    expect(await issuerShown(https, NAME)).toContain("Pebble");
  },
  CASE_MS,
);

withPebble(
  "a name on demand gets its certificate when a client asks for it",
  async () => {
    const { https, start } = await open();
    const weir = await start('onDemand: ["*.shop.example.com"]');
    await issuerShown(https, "evil.test");
    await issuerShown(https, "one.shop.example.com");
    await untilIssued(weir, ["one.shop.example.com"]);
    await eventually(
      async () => (await issuerShown(https, "one.shop.example.com")).includes("Pebble"),
      WAIT_MS,
    );
    expect(weir.stderr()).not.toContain("evil.test");
  },
  CASE_MS,
);

withPebble(
  "a reload adds names, an upgrade goes on with what is stored",
  async () => {
    const { pebble, https, yaml, start } = await open();
    const weir = await start();
    await untilIssued(weir);
    expect(await weir.reload(yaml(`names: [${NAME}, b.example.com]`))).toBe(true);
    await untilIssued(weir, [NAME, "b.example.com"]);
    await pebble.halt();
    const { pid } = await weir.status();
    weir.signal("SIGUSR2");
    const heir = async () => {
      const status = await weir.status();
      return status.pid === pid ? undefined : status;
    };
    const status = await eventually(heir, WAIT_MS, "the next generation");
    const { pid: heirPid } = status as Status;
    opened.push({ stop: () => stopProcess(heirPid) });
    expect(status?.certificates.map(({ source }) => source)).toEqual(["acme", "acme"]);
    expect(await issuerShown(https, "b.example.com")).toContain("Pebble");
    await weir.exited;
    expect(weir.stderr()).not.toContain("is broken");
  },
  CASE_MS,
);

async function stopProcess(pid: number): Promise<void> {
  process.kill(pid, "SIGTERM");
  const isGone = () => {
    try {
      process.kill(pid, 0);
      return false;
    } catch {
      return true;
    }
  };
  await eventually(isGone, WAIT_MS, "the next generation to leave");
}
