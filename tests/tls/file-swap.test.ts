/**
 * Certificates replaced on the disk under a running Weir: what clients see of it.
 */
import { afterEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { type Issued, testAuthority } from "../support/certificates.ts";
import { eventually, within } from "../support/eventually.ts";
import { startWeir, type Weir } from "../support/weir.ts";

const ca = await testAuthority();
const SEEN_MS = 15_000;
const TEST_MS = 4 * SEEN_MS;

let weir: Weir | undefined;
let folder = "";
afterEach(async () => {
  await weir?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Puts a pair where Kubernetes puts a secret: a folder of its own, reached over a link that is replaced whole. */
function publish(version: string, { cert, key }: Issued): void {
  mkdirSync(join(folder, version));
  writeFileSync(join(folder, version, "tls.crt"), cert);
  writeFileSync(join(folder, version, "tls.key"), key);
  symlinkSync(version, join(folder, "..data_tmp"));
  renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
}

async function start(first: Issued): Promise<Weir> {
  folder = mkdtempSync(join(tmpdir(), "weir-swap-"));
  publish("v1", first);
  for (const name of ["tls.crt", "tls.key"]) symlinkSync(`..data/${name}`, join(folder, name));
  weir = await startWeir(`
server: { workers: 2 }
listeners:
  web:
    bind: "127.0.0.1:0"
    tls: { certificates: { cert: ${folder}/tls.crt, key: ${folder}/tls.key } }
routes:
  - respond: { status: 200, body: "here" }
`);
  return weir;
}

/** A connection that has shaken hands. */
async function open(port: number): Promise<TLSSocket> {
  const socket = connect({
    host: "127.0.0.1",
    port,
    ca: ca.caPem,
    servername: "a.test",
    ALPNProtocols: ["http/1.1"],
  });
  const ready = Promise.withResolvers<void>();
  socket.once("secureConnect", ready.resolve).once("error", ready.reject);
  await within(ready.promise, SEEN_MS, "the handshake");
  return socket;
}

const serialOf = (socket: TLSSocket) =>
  socket.getPeerCertificate().serialNumber.replace(/^0+/, "").toLowerCase();

async function serialShown(port: number): Promise<string> {
  const socket = await open(port);
  const serial = serialOf(socket);
  socket.destroy();
  return serial;
}

/** One request on an open connection. */
async function ask(socket: TLSSocket): Promise<string> {
  let text = "";
  const answered = Promise.withResolvers<void>();
  const read = (chunk: Buffer) => {
    text += chunk.toString("latin1");
    if (text.endsWith("here")) answered.resolve();
  };
  socket.on("data", read).once("close", answered.reject);
  socket.write("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  await within(answered.promise, SEEN_MS, "the answer");
  socket.off("data", read).off("close", answered.reject);
  return text;
}

test(
  "a link pointed elsewhere: new handshakes see the new certificate, open connections go on",
  async () => {
    const [first, second] = [await ca.issue(), await ca.issue()];
    const running = await start(first);
    const port = running.port("web");
    const kept = await open(port);
    expect(serialOf(kept)).toBe(first.serial);
    expect(await ask(kept)).toStartWith("HTTP/1.1 200");
    publish("v2", second);
    // both workers: each has its own queue and the kernel takes turns at its own liking
    const isSwapped = async () => {
      for (let count = 0; count < 10; count++) if ((await serialShown(port)) !== second.serial) return false;
      return true;
    };
    await eventually(isSwapped, SEEN_MS, "the new certificate to be shown");
    expect(await ask(kept)).toStartWith("HTTP/1.1 200");
    kept.destroy();
  },
  TEST_MS,
);

test(
  "a pair that does not match: every handshake goes on with the old one, and the status says why",
  async () => {
    const [first, second] = [await ca.issue(), await ca.issue()];
    const running = await start(first);
    publish("v2", { ...second, key: first.key });
    const isTold = async () => (await running.status()).certificates[0]?.lastError !== undefined;
    await eventually(isTold, SEEN_MS, "the error to be told");
    expect(await serialShown(running.port("web"))).toBe(first.serial);
    publish("v3", second);
    const isHealed = async () => (await serialShown(running.port("web"))) === second.serial;
    await eventually(isHealed, SEEN_MS, "the right pair to be taken");
    const isForgotten = async () => (await running.status()).certificates[0]?.lastError === undefined;
    await eventually(isForgotten, SEEN_MS, "the error to be forgotten");
  },
  TEST_MS,
);
