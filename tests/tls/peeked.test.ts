/** TLS behind a PROXY header, ACME challenges over TLS, and HTTP/2 without TLS: what is seen before HTTP begins. */
import { afterEach, expect, test } from "bun:test";
import { connect as connectH2 } from "node:http2";
import { Entrances } from "../../src/app/entrances.ts";
import type { ListenerConfig } from "../../src/config/config.ts";
import { LISTENER } from "../../src/observe/metrics.table.ts";
import type { SessionServices } from "../../src/session/services.ts";
import type { CertificatePair, Materials } from "../../src/tls/materials.ts";
import { openListenSocket } from "../../src/transport/listen-sockets.ts";
import { SocketBudget } from "../../src/transport/socket-budget.ts";
import { Wheel } from "../../src/transport/timers.ts";
import { BufferBudget } from "../../src/transport/wire.ts";
import { eventually, within } from "../support/eventually.ts";
import { Stage } from "../support/stage.ts";
import { startEcho } from "../wire/ask.ts";
import { ca, certificateFiles, shownBy, TlsClient, tlsListener } from "./https.ts";

const stage = new Stage();
afterEach(() => stage.clear());

const FILES = await certificateFiles({ a: { names: ["a.test"] } });
const HEADER = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n";

test("behind a PROXY header TLS is spoken, and the client is whom the header names", async () => {
  const echo = await startEcho();
  stage.after(() => echo.stop());
  const yaml = `
listeners:
  web:
    bind: "127.0.0.1:0"
    proxyProtocol: { from: ["127.0.0.0/8"] }
    tls: { certificates: [ { cert: a.pem, key: a.key } ] }
routes: [ { match: { path: /* }, to: "${echo.address}" } ]
`;
  const weir = await stage.weir(yaml, { files: FILES });
  const client = await TlsClient.connect(weir.port(), { preface: HEADER });
  const { body } = await client.get();
  expect(body).toMatch(/^x-forwarded-for: 192\.0\.2\.7\r$/im);
  expect(body).toMatch(/^x-forwarded-proto: https\r$/im);
  client.close();
  expect(await shownBy(weir.port())).not.toBe("a.test"); // without the header nobody comes in
});

test("behind a PROXY header, too, plain HTTP is told that the port speaks TLS", async () => {
  const yaml = tlsListener("", ["a"], 'proxyProtocol: { from: ["127.0.0.0/8"] }');
  const weir = await stage.weir(yaml, { files: FILES });
  const client = await stage.client(weir.port());
  await client.send(`${HEADER}GET / HTTP/1.1\r\nHost: a.test\r\n\r\n`, [
    5,
    40,
    HEADER.length,
    HEADER.length + 2,
  ]);
  expect((await client.response()).status).toBe(400);
});

test("PROXY header and handshake together have timeouts.handshake", async () => {
  const yaml = tlsListener(
    "",
    ["a"],
    'proxyProtocol: { from: ["127.0.0.0/8"] }, timeouts: { handshake: 500ms }',
  );
  const weir = await stage.weir(yaml, { files: FILES });
  const startMs = performance.now();
  const client = await stage.client(weir.port());
  await client.send(HEADER.slice(0, 10));
  await Bun.sleep(300); // the clock must not start again with the next bytes
  await client.send(HEADER.slice(10));
  await client.untilClose();
  expect(performance.now() - startMs).toBeLessThan(1500);
});

test("without TLS, HTTP/2 comes with prior knowledge and HTTP/1 without, on one port (RFC 9113 §3.3)", async () => {
  const yaml = `
listeners: { web: { bind: "127.0.0.1:0", protocols: [ h1, h2 ] } }
routes: [ { match: { path: /* }, respond: { body: "hello" } } ]
`;
  const weir = await stage.weir(yaml);
  for (const cuts of [[], "every"] as const) {
    const client = await stage.client(weir.port());
    await client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n", cuts);
    expect((await client.response()).body).toBe("hello");
  }
  const session = connectH2(`http://127.0.0.1:${weir.port()}`);
  const answered = new Promise((resolve, reject) => {
    session.on("error", reject);
    session.request({ ":path": "/" }).on("response", (head) => resolve(head[":status"]));
  });
  expect(await within(answered, 5000, "an answer over h2c")).toBe(200);
  session.destroy();
});

// ── tls-alpn-01 ──

const SERVER: ListenerConfig = {
  name: "web",
  bind: [],
  protocols: ["h1"],
  tls: {
    certificates: [],
    acme: {
      email: undefined,
      authorities: [],
      challenge: "tls-alpn-01",
      names: ["a.test"],
      onDemand: ["*.later.test"],
      dnsHook: undefined,
      storage: "",
      storageKey: undefined,
      keyType: "ec256",
      directoryCa: undefined,
    },
    unknownNames: "refuse",
    minVersion: "1.2",
    ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256",
    curves: "X25519:P-256",
    clientAuth: { mode: "off", ca: undefined, crl: undefined, forward: false },
    hsts: "",
  },
  http2: { maxStreams: 1, streamWindowBytes: 65_535, connectionWindowBytes: 65_535, extendedConnect: false },
  redirectToHttps: undefined,
  proxyProtocolFrom: [],
  trustedProxies: [],
  encodedSlash: "refuse",
  limits: { connections: 10, requestHeadBytes: 4096, headers: 50, bodyBytes: 0, requestsPerConnection: 0 },
  timeouts: { handshakeMs: 1000, headMs: 1000, bodyMs: 1000, idleMs: 1000 },
};

async function pairFor(name: string, subject: string): Promise<CertificatePair> {
  return {
    id: subject,
    names: [name],
    keyType: "ec",
    ...(await ca.issue({ names: [name], subject: `CN=${subject}` })),
  };
}

function entrances(wanted: string[]): { port: number; entrances: Entrances; counters: Float64Array } {
  const nothing = () => undefined;
  const counters = new Float64Array(1000);
  const sessions: SessionServices = {
    wheel: new Wheel(),
    budget: new BufferBudget(1e6),
    sockets: new SocketBudget(undefined),
    events: {
      request: nothing,
      requestBody: nothing,
      requestEnd: nothing,
      downstreamDrained: nothing,
      responseSent: nothing,
      downstreamFailed: nothing,
    },
    counters,
    workerSlot: 500,
    isDraining: false,
  };
  const made = new Entrances({
    sessions,
    log: nothing,
    activeEverywhere: () => 0,
    wantCertificate: (_, name) => wanted.push(name),
  });
  const socket = openListenSocket({ kind: "tcp", host: "127.0.0.1", port: 0 }, false);
  if (socket.kind === "failure") throw new Error(socket.text);
  made.commit([SERVER], { "listener:web": 0 }, new Map());
  made.listen("1", "web", socket.descriptor);
  stage.after(() => {
    made.leave();
    made.kill();
  });
  return { port: socket.port, entrances: made, counters };
}

test("a validator that offers acme-tls/1 is shown the challenge, everybody else the certificate (RFC 8737 §3)", async () => {
  const { port, entrances: worker, counters } = entrances([]);
  const alpn = { "a.test": await pairFor("a.test", "challenge"), "b.test": await pairFor("b.test", "other") };
  const certificates: Materials["certificates"] = { web: [await pairFor("a.test", "real")] };
  worker.setMaterials({ certificates, challenges: { http: {}, alpn } });
  const validator = { ALPNProtocols: ["acme-tls/1"] };
  const client = await TlsClient.connect(port, validator);
  expect([client.shown, client.socket.alpnProtocol]).toEqual(["challenge", "acme-tls/1"]);
  await eventually(() => client.isClosed); // nothing is spoken on such a connection
  expect(await shownBy(port, { ALPNProtocols: ["http/1.1"] })).toBe("real");
  expect(await shownBy(port, { ...validator, servername: "b.test" })).toBe("other");
  expect(await shownBy(port, { ...validator, servername: "c.test" })).toMatch(/no.application.protocol/i);
  worker.setMaterials({ challenges: { http: {}, alpn: {} } });
  expect(await shownBy(port, validator)).toMatch(/no.application.protocol/i);
  expect(counters[LISTENER.at.handshakeFailures]).toBe(2);
});

test("a name that may have a certificate is asked for, and the default is shown meanwhile", async () => {
  const wanted: string[] = [];
  const { port, entrances: worker } = entrances(wanted);
  worker.setMaterials({ certificates: { web: [await pairFor("a.test", "default")] } });
  for (const servername of ["X.later.test", "x.later.test", "x.y.later.test", "nobody.test", "a.test"]) {
    await shownBy(port, { servername });
  }
  expect(await shownBy(port, { servername: "y.later.test" })).toBe("default");
  expect(wanted).toEqual(["x.later.test", "y.later.test"]);
  const came = await pairFor("y.later.test", "came");
  worker.setMaterials({ certificates: { web: [await pairFor("a.test", "default"), came] } });
  expect(await shownBy(port, { servername: "y.later.test" })).toBe("came");
});

test("a pair that cannot be used changes nothing: what served goes on", async () => {
  const { port, entrances: worker } = entrances([]);
  const good = await pairFor("a.test", "good");
  worker.setMaterials({ certificates: { web: [good] } });
  const other = await pairFor("a.test", "other");
  const config = { ...SERVER, tls: SERVER.tls && { ...SERVER.tls, unknownNames: "default" as const } };
  const broken = { web: [{ ...other, key: good.key }] };
  expect(() =>
    worker.prepare([config], { certificates: broken, files: {}, challenges: { http: {}, alpn: {} } }),
  ).toThrow();
  expect(await shownBy(port)).toBe("good");
});
