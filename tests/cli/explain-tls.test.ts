/**
 * `weir explain` on listeners with TLS: the certificate that a name would get, and what follows from it.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Explanation } from "../../src/cli/explain-plan.ts";
import { main } from "../../src/cli/main.ts";
import { testAuthority } from "../support/certificates.ts";
import { keptTerminal } from "./kept-terminal.ts";

const folder = mkdtempSync(join(tmpdir(), "weir-explain-tls-"));
const file = join(folder, "weir.yaml");
const KEY_SECRET = "secret-of-the-storage";

beforeAll(async () => {
  const ca = await testAuthority();
  const pairs = {
    app: await ca.issue({ names: ["app.test", "*.app.test"] }),
    apprsa: await ca.issue({ names: ["app.test"], keyType: "rsa" }),
    shop: await ca.issue({ names: ["shop.test"] }),
  };
  for (const [name, { cert, key }] of Object.entries(pairs)) {
    writeFileSync(join(folder, `${name}.crt`), cert);
    writeFileSync(join(folder, `${name}.key`), key);
  }
  writeFileSync(join(folder, "ca.pem"), ca.caPem);
  writeFileSync(
    file,
    `
listeners:
  http: { bind: ":80", redirectToHttps: { status: 301, port: 8443 } }
  https:
    bind: ":443"
    tls:
      certificates:
        - { cert: shop.crt, key: shop.key }
        - { cert: app.crt, key: app.key }
        - { cert: apprsa.crt, key: apprsa.key }
      acme: { names: www.test.example, onDemand: "*.shops.example", storageKey: ${KEY_SECRET} }
      hsts: true
  strict: { bind: ":444", protocols: h1, tls: { certificates: { cert: app.crt, key: app.key }, unknownNames: refuse, minVersion: "1.3" } }
  staff:
    bind: ":445"
    tls: { certificates: { cert: app.crt, key: app.key }, clientAuth: { mode: optional, ca: ca.pem } }
  new: { bind: ":446", tls: { acme: { onDemand: new.example } } }
  h2only: { bind: ":50051", protocols: h2 }
routes:
  - { name: app, to: rpc }
  - { name: staff, match: { clientCert: "*" }, to: "https://10.0.0.1" }
upstreams:
  rpc: { endpoints: "10.0.0.1:50051", protocol: h2, tls: { ca: ca.pem, serverName: rpc.internal } }
`,
  );
});
afterAll(() => rmSync(folder, { recursive: true }));

async function say(...words: string[]) {
  const terminal = keptTerminal({});
  const named = words.includes("-c") ? words : ["-c", file, ...words];
  const code = await main(["explain", ...named], terminal);
  return { code, out: terminal.lines.out.join("\n"), err: terminal.lines.err.join("\n") };
}

async function explained(...words: string[]): Promise<Explanation> {
  const { code, out } = await say(...words, "--json");
  expect(code).toBe(0);
  return JSON.parse(out) as Explanation;
}

describe("the certificate", () => {
  test.each([
    ["https://shop.test/", ["shop.crt"], "it has this name"],
    ["https://APP.test:443/", ["app.crt", "apprsa.crt"], "it has this name"],
    ["https://a.app.test/", ["app.crt"], "its wildcard covers this name"],
    ["https://a.b.app.test/", ["shop.crt"], "none covers it: the default"],
    ["https://192.0.2.1/", ["shop.crt"], "the client names no server: the default"],
    ["https://www.test.example/", ["letsencrypt"], "it has this name"],
    ["https://a.shops.example/", ["shop.crt"], "one is obtained when a client first asks"],
    ["https://app.test:444/", ["app.crt"], "it has this name"],
  ])("for %s is %p: %s", async (url, origins, reason) => {
    const { tls, listener, request } = await explained("GET", url);
    expect(tls?.certificates.map(({ origin }) => origin.split("/").at(-1))).toEqual(origins);
    expect(tls?.reason).toContain(reason);
    expect(listener.reason).toStartWith("listens on port");
    expect(request.scheme).toBe("https");
  });

  test("there is none for an unknown name that is refused, and then nothing else either", async () => {
    const explanation = await explained("GET", "https://other.test:444/");
    expect(explanation.tls).toMatchObject({ isRefused: true, certificates: [], protocols: ["http/1.1"] });
    expect(explanation).toMatchObject({ refused: { code: "tls_handshake", status: 0 }, routes: [] });
    expect(explanation.outcome).toBeUndefined();
  });

  test("of a listener that has none yet is self-signed", async () => {
    const { tls, route } = await explained("GET", "https://x.example:446/");
    expect(tls).toMatchObject({ isRefused: false, certificates: [] });
    expect(tls?.reason).toContain("self-signed");
    expect(route).toBe("app");
  });
});

test("a page for people names certificate, versions, protocols and HSTS, and no secret", async () => {
  const { out, err } = await say("GET", "https://a.app.test/");
  expect(out).toContain("a.app.test  its wildcard covers this name");
  expect(out).toMatch(
    /certificate +app\.test, \*\.app\.test {2}EC P-256, until \d{4}-\d\d-\d\d, \/.*app\.crt/,
  );
  expect(out).toMatch(/offered +TLS 1\.2 or 1\.3, h2 or http\/1\.1/);
  expect(out).toContain("Strict-Transport-Security: max-age=63072000");
  expect(out + err).not.toContain(KEY_SECRET);
});

test("a redirect to https comes before every route", async () => {
  const { outcome, routes, notes } = await explained("GET", "http://a.test/x?y=1");
  expect(outcome).toEqual({ kind: "redirect", status: 301, location: "https://a.test:8443/x?y=1" });
  expect(routes).toEqual([]);
  expect(notes).toContain("this listener sends every request to https");
});

test("how endpoints are spoken to is shown", async () => {
  const { outcome } = await explained("GET", "https://app.test/");
  if (outcome?.kind !== "proxy") throw new Error("not proxied");
  expect(outcome.targets[0]?.protocol).toBe("HTTP/2 over TLS, verified as rpc.internal");
  expect(outcome.requestLine).toBe("GET / HTTP/2");
});

test("where only HTTP/2 is spoken, Via says so", async () => {
  const via = async (url: string) => {
    const { outcome } = await explained("GET", url);
    if (outcome?.kind !== "proxy") throw new Error("not proxied");
    return outcome.requestFields.find(([name]) => name === "Via")?.[1];
  };
  expect(await via("http://app.test:50051/")).toBe("2.0 weir");
  expect(await via("https://app.test/")).toBe("1.1 weir");
});

test("a client shows no certificate here, and that is noted", async () => {
  const { notes, routes } = await explained("GET", "https://app.test:445/");
  expect(notes.join()).toContain("clients may show a certificate");
  expect(routes.find(({ name }) => name === "staff")?.reason).toBe("its client certificate does not hold");
});

test("a Host that the connection may not ask for is refused where names matter", async () => {
  const words = ["GET", "https://app.test:444/", "-H", "Host: other.test"];
  expect((await explained(...words)).refused).toMatchObject({ code: "misdirected", status: 421 });
});

test("a file that cannot be read is noted", async () => {
  const broken = join(folder, "broken.yaml");
  writeFileSync(join(folder, "broken.crt"), "no PEM");
  writeFileSync(
    broken,
    'listeners: { https: { bind: ":443", tls: { certificates: { cert: broken.crt, key: app.key } } } }\nroutes: [ { to: "127.0.0.1:1" } ]\n',
  );
  const { notes } = await explained("GET", "https://a.test/", "-c", broken);
  expect(notes.join()).toContain("broken.crt cannot be read and is left out");
});
