/**
 * TLS to endpoints: what Bun.connect does with a native context, tickets, and what it tells when.
 */
import { afterEach, beforeAll, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSecureContext } from "node:tls";
import { type Issued, type TestAuthority, testAuthority } from "../support/certificates.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/ports.ts";
import { needs } from "../support/tools.ts";

const HAS_OPENSSL = needs("openssl");

interface Secured {
  readonly alpnProtocol: string | false | null;
  write(text: string): number;
  setSession(ticket: Buffer): void;
  isSessionReused(): boolean;
  getTLSVersion(): string;
  terminate(): void;
}

/** What one connection told, in order. */
class Client {
  readonly events: string[] = [];
  readonly tickets: Buffer[] = [];
  isReused = false;
  version = "";
  written = -1;
}

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0).reverse()) end();
});

let ca: TestAuthority;
let pair: Issued;
beforeAll(async () => {
  ca = await testAuthority();
  pair = await ca.issue({ names: ["good.test"] });
});

/** A server that resumes sessions by tickets, which the runtime's own does not do. */
async function openssl(...options: readonly string[]): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "weir-tls-"));
  writeFileSync(join(folder, "cert.pem"), pair.cert);
  writeFileSync(join(folder, "key.pem"), pair.key);
  writeFileSync(join(folder, "ca.pem"), ca.caPem);
  const port = await freePort();
  const args = ["s_server", "-accept", `127.0.0.1:${port}`, "-cert", "cert.pem", "-key", "key.pem", "-www"];
  const server: ChildProcess = spawn("openssl", [...args, ...options], { cwd: folder, stdio: "pipe" });
  let said = "";
  server.stdout?.on("data", (text) => {
    said += String(text);
  });
  ends.push(() => {
    server.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  });
  await eventually(() => said.includes("ACCEPT"), 5000, "openssl s_server");
  return port;
}

interface Wish {
  readonly serverName?: string;
  readonly ticket?: Buffer | undefined;
}

function connect(port: number, { serverName = "good.test", ticket }: Wish = {}): Client {
  const client = new Client();
  const context = createSecureContext({ ca: ca.caPem }).context;
  const socket = {
    open(opened: Secured) {
      client.events.push("open");
      if (ticket !== undefined) opened.setSession(ticket); // before any write: that would begin the handshake
      client.written = opened.write("early");
      ends.push(() => opened.terminate());
    },
    handshake(opened: Secured, isDone: boolean, error: { code?: string } | null) {
      client.events.push(`handshake ${isDone} ${error?.code ?? "fine"}`);
      client.isReused = opened.isSessionReused();
      client.version = opened.getTLSVersion();
      if (isDone) opened.write("GET / HTTP/1.0\r\n\r\n"); // tickets are told with the first bytes read
    },
    session(_opened: Secured, given: Buffer) {
      client.tickets.push(given);
    },
    data() {
      client.events.push("data");
    },
    error(_opened: Secured, error: { code?: string }) {
      client.events.push(`error ${error.code}`);
    },
    close() {
      client.events.push("close");
    },
  };
  const tls = { secureContext: context, serverName, rejectUnauthorized: true };
  const options = { hostname: "127.0.0.1", port, socket, tls };
  Bun.connect(options as unknown as Parameters<typeof Bun.connect>[0]).catch(() => undefined);
  return client;
}

const told = (client: Client, event: string) => eventually(() => client.events.includes(event));

test.skipIf(!HAS_OPENSSL)(
  "open comes before the handshake, and nothing is written before the certificate is verified",
  async () => {
    const client = connect(await openssl());
    await told(client, "handshake true fine");
    expect([client.events.slice(0, 2), client.written]).toEqual([["open", "handshake true fine"], 0]);
  },
);

for (const version of ["TLSv1.3", "TLSv1.2"]) {
  test.skipIf(!HAS_OPENSSL)(
    `a ticket set in open resumes the session (${version}), for the same name only`,
    async () => {
      const port = await openssl(...(version === "TLSv1.2" ? ["-tls1_2"] : []));
      const first = connect(port);
      await eventually(() => first.tickets.length > 0);
      const [ticket] = first.tickets;
      const second = connect(port, { ticket });
      await told(second, "handshake true fine");
      expect([first.isReused, second.isReused, second.version]).toEqual([false, true, version]);
      const wrong = connect(port, { ticket, serverName: "bad.test" });
      await told(wrong, "close");
      expect(wrong.events).toEqual(["open", "handshake false ERR_TLS_CERT_ALTNAME_INVALID", "close"]);
    },
  );
}

test.skipIf(!HAS_OPENSSL)("a ticket that is none makes a full handshake", async () => {
  const client = connect(await openssl(), { ticket: Buffer.from("no ticket") });
  await told(client, "handshake true fine");
  expect(client.isReused).toBe(false);
});

test.skipIf(!HAS_OPENSSL)(
  "an alert behind the handshake is told by error, with code EPROTO, and then by close",
  async () => {
    // a TLS 1.3 client is through before the server has seen that it shows no certificate (RFC 8446 §4.4.2.4)
    const client = connect(await openssl("-Verify", "1", "-verify_return_error", "-CAfile", "ca.pem"));
    await told(client, "close");
    expect(client.events).toEqual(["open", "handshake true fine", "error EPROTO", "close"]);
  },
);

test("the wrapper of a context is not taken for the context", () => {
  const context = createSecureContext({ ca: ca.caPem });
  const socket = { data() {} };
  const options = { hostname: "127.0.0.1", port: 1, socket, tls: { secureContext: context } };
  expect(() => Bun.connect(options as unknown as Parameters<typeof Bun.connect>[0])).toThrow("SecureContext");
});
