/** Connections that were let in by other rules about clients' certificates than those of now. */
import { afterEach, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { type ClientHttp2Session, connect } from "node:http2";
import { join } from "node:path";
import { eventually, within } from "../support/eventually.ts";
import { Stage } from "../support/stage.ts";
import { asFiles, ca, certificateFiles, TlsClient, tlsListener } from "./https.ts";

const stage = new Stage();
afterEach(() => stage.clear());

const REQUIRED = "clientAuth: { mode: require, ca: ca.pem }";

async function start(tls: string, more: Readonly<Record<string, string>> = {}) {
  const files = { ...(await certificateFiles({ a: { names: ["a.test"] } })), "ca.pem": ca.caPem, ...more };
  return await stage.weir(tlsListener(tls, ["a"]), { files });
}

async function h2Session(port: number): Promise<ClientHttp2Session> {
  const session = connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false, servername: "a.test" });
  session.on("error", () => undefined);
  stage.after(() => session.destroy());
  await within(new Promise((resolve) => session.once("connect", resolve)), 5000, "a connection");
  return session;
}

/** Asks until it is told no more answers. out  how many came */
async function askUntilClosed(client: TlsClient): Promise<number> {
  for (let answers = 0; answers < 20; answers++) {
    const isAnswered = await client.get().then(
      () => true,
      () => false,
    );
    if (!isAnswered) return answers;
    await Bun.sleep(20);
  }
  return Number.POSITIVE_INFINITY;
}

test("a connection without a certificate leaves when the listener begins to require one, over HTTP/1 and HTTP/2", async () => {
  const weir = await start("");
  const client = await TlsClient.connect(weir.port());
  stage.after(() => client.close());
  expect((await client.get()).status).toBe(200);
  const session = await h2Session(weir.port());
  let isAway = false;
  session.on("goaway", () => {
    isAway = true;
  });
  expect(await weir.reload(tlsListener(REQUIRED, ["a"]))).toBe(true);
  expect(await askUntilClosed(client)).toBeLessThanOrEqual(1);
  await eventually(() => isAway && session.closed, 5000, "the HTTP/2 connection to leave");
});

test("a client whose certificate is revoked does not live on in a connection that it has", async () => {
  const mine = await ca.issue({ names: ["mine.test"], client: true });
  const other = await ca.issue({ names: ["other.test"], client: true });
  const rules = "clientAuth: { mode: require, ca: ca.pem, crl: crl.pem }";
  const weir = await start(rules, { "crl.pem": await ca.revoke(other), ...asFiles("mine", mine) });
  const client = await TlsClient.connect(weir.port(), mine);
  stage.after(() => client.close());
  expect((await client.get()).status).toBe(200);
  writeFileSync(join(weir.folder, "crl.pem"), await ca.revoke(mine));
  expect(await weir.reload(tlsListener(rules, ["a"]))).toBe(true);
  expect(await askUntilClosed(client)).toBeLessThanOrEqual(1);
});

test("a connection stays when rules about clients stay: a reload drops none", async () => {
  const mine = await ca.issue({ names: ["mine.test"], client: true });
  const weir = await start(REQUIRED, asFiles("mine", mine));
  const client = await TlsClient.connect(weir.port(), mine);
  stage.after(() => client.close());
  const changed = tlsListener(REQUIRED, ["a"]).replace("hello", "changed");
  expect(await weir.reload(changed)).toBe(true);
  for (let round = 0; round < 3; round++) expect((await client.get()).body).toStartWith("changed");
});
