/** Client certificates, in both ways in which a listener shakes hands. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash, X509Certificate } from "node:crypto";
import { testAuthority } from "../support/certificates.ts";
import { eventually } from "../support/eventually.ts";
import type { Origin } from "../support/origin.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { metric } from "../support/weir-metrics.ts";
import { startEcho } from "../wire/ask.ts";
import { asFiles, ca, certificateFiles, TlsClient } from "./https.ts";

const good = await ca.issue({ names: ["good.test"], subject: "C=DE, O=A\\, B, CN=good", client: true });
const revoked = await ca.issue({ names: ["revoked.test"], client: true });
const expired = await ca.issue({ names: ["expired.test"], client: true, days: -1 });
const foreign = await (await testAuthority("Other")).issue({ names: ["foreign.test"], client: true });
const server = await ca.issue({ names: ["server.test"] });

let weir: Weir;
let echo: Origin;

beforeAll(async () => {
  echo = await startEcho();
  const listener = (name: string, mode: string, rest: string) => `
  ${name}:
    bind: "127.0.0.1:0"
    tls: { certificates: [ { cert: a.pem, key: a.key } ], clientAuth: { mode: ${mode}, ca: ca.pem, crl: crl.pem, forward: true } }
${rest}`;
  const peeked = '    proxyProtocol: { from: ["10.0.0.0/8"] }\n';
  const yaml = `
listeners:${listener("native-optional", "optional", "")}${listener("native-require", "require", "")}${listener("peeked-optional", "optional", peeked)}${listener("peeked-require", "require", peeked)}
routes: [ { match: { path: /* }, to: echo } ]
upstreams: { echo: [ "${echo.address}" ] }
`;
  const files = { ...(await certificateFiles({ a: { names: ["a.test"] } })), "ca.pem": ca.caPem };
  weir = await startWeir(yaml, {
    files: { ...files, ...asFiles("good", good), "crl.pem": await ca.revoke(revoked) },
  });
});

afterAll(async () => {
  await weir?.stop();
  await echo?.stop();
});

/** Fingerprint that the endpoint was told, "none", or "refused". */
async function toldBy(listener: string, pair: { cert?: string; key?: string }, version?: "TLSv1.2") {
  try {
    const options = version === undefined ? pair : { ...pair, maxVersion: version };
    const client = await TlsClient.connect(weir.port(listener), options);
    const { body } = await client.get();
    client.close();
    return /^x-client-cert-fingerprint: (\S+)/im.exec(body)?.[1] ?? "none";
  } catch {
    return "refused";
  }
}

const fingerprint = createHash("sha256").update(new X509Certificate(good.cert).raw).digest("hex");

describe.each(["native", "peeked"])("%s", (way) => {
  for (const version of [undefined, "TLSv1.2"] as const) {
    const name = version ?? "TLSv1.3";
    test(`${name}: required: only a certificate that is verified comes through`, async () => {
      const outcomes: Record<string, string> = {};
      const pairs = { good, revoked, expired, foreign, server, none: {} };
      for (const [who, pair] of Object.entries(pairs)) {
        outcomes[who] = await toldBy(`${way}-require`, pair, version);
      }
      const refused = "refused";
      expect(outcomes).toEqual({
        good: fingerprint,
        revoked: refused,
        expired: refused,
        foreign: refused,
        server: refused,
        none: refused,
      });
    });

    test(`${name}: optional: what is not verified counts as none`, async () => {
      const outcomes: Record<string, string> = {};
      for (const [who, pair] of Object.entries({ good, revoked, expired, foreign, server, none: {} })) {
        outcomes[who] = await toldBy(`${way}-optional`, pair, version);
      }
      const none = "none";
      expect(outcomes).toEqual({
        good: fingerprint,
        revoked: none,
        expired: none,
        foreign: none,
        server: none,
        none,
      });
    });
  }

  test("a session that resumes keeps its client, and only its own", async () => {
    const port = weir.port(`${way}-optional`);
    const first = await TlsClient.connect(port, good);
    await first.get();
    await eventually(() => first.session !== undefined);
    const again = await TlsClient.connect(port, { session: first.session as Buffer });
    const { body } = await again.get();
    expect([again.socket.isSessionReused(), body.includes(fingerprint)]).toEqual([true, true]);
    const elsewhere = await TlsClient.connect(weir.port(`${way}-require`), {
      session: first.session as Buffer,
    }).catch(() => undefined);
    const outcome = await elsewhere?.get().catch(() => undefined);
    expect(outcome).toBeUndefined();
    for (const client of [first, again, elsewhere]) client?.close();
  });
});

test("refused handshakes are counted", async () => {
  const before = metric(await weir.metrics(), "weir_tls_handshake_failures_total", {
    listener: "native-require",
  });
  await toldBy("native-require", {});
  const after = async () =>
    metric(await weir.metrics(), "weir_tls_handshake_failures_total", { listener: "native-require" });
  await eventually(async () => (await after()) === before + 1);
});
