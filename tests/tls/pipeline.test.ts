/** What TLS and HTTP/2 mean to routes, endpoints, answers and logs, at the real program. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { connect as connectH2, type IncomingHttpHeaders, type OutgoingHttpHeaders } from "node:http2";
import { connect as connectTls } from "node:tls";
import { testAuthority } from "../support/certificates.ts";
import { eventually, within } from "../support/eventually.ts";
import type { Origin } from "../support/origin.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { startEcho } from "../wire/ask.ts";

const DEADLINE_MS = 10_000;

let weir: Weir;
let echo: Origin;
let caPem = "";
let alice: { cert: string; key: string };
let bob: typeof alice;

const config = () => `
listeners:
  strict:
    bind: "127.0.0.1:0"
    tls:
      certificates: [ { cert: web.crt, key: web.key }, { cert: other.crt, key: other.key } ]
      clientAuth: { mode: optional, ca: ca.pem, forward: true }
      hsts: true
  easy:
    bind: "127.0.0.1:0"
    tls: { certificates: [ { cert: web.crt, key: web.key }, { cert: other.crt, key: other.key } ] }
routes:
  - { match: { path: /echo }, to: echo }
  - { name: alice, match: { path: /who, clientCert: { subject: "~(^|,)CN=alice(,|$)" } }, respond: { body: alice } }
  - { name: known, match: { path: /who, clientCert: { san: "*" } }, respond: { body: known } }
  - { name: nobody, match: { path: /who }, respond: { body: nobody } }
  - { match: { path: /down }, to: "127.0.0.1:1" }
upstreams: { echo: [ "${echo.address}" ] }
observe: { accessLog: { format: json, to: stdout } }
`;

beforeAll(async () => {
  const ca = await testAuthority();
  caPem = ca.caPem;
  const web = await ca.issue({ names: ["a.test", "b.test"] });
  const other = await ca.issue({ names: ["c.test"] });
  alice = await ca.issue({ names: ["alice.test"], subject: "CN=alice,O=Example", client: true });
  bob = await ca.issue({ names: ["bob.test"], client: true });
  echo = await startEcho();
  weir = await startWeir(config(), {
    files: {
      "ca.pem": caPem,
      "web.crt": web.cert,
      "web.key": web.key,
      "other.crt": other.cert,
      "other.key": other.key,
    },
  });
});

afterAll(async () => {
  await weir?.stop();
  await echo?.stop();
});

interface Asked {
  readonly listener?: string;
  readonly serverName?: string;
  readonly host?: string;
  readonly client?: { cert: string; key: string };
  readonly lines?: Readonly<Record<string, string>>;
  readonly method?: string;
}

interface Answer {
  readonly status: number;
  readonly field: (name: string) => string | undefined;
  readonly body: string;
}

async function overH1(path: string, asked: Asked = {}): Promise<Answer> {
  const { listener = "strict", serverName = "a.test", host = serverName, client, lines = {} } = asked;
  const socket = connectTls({
    port: weir.port(listener),
    host: "127.0.0.1",
    servername: serverName,
    ca: caPem,
    ...client,
  });
  const text = await within(
    new Promise<string>((resolve, reject) => {
      let got = "";
      socket.on("error", reject);
      socket.on("data", (bytes: Buffer) => {
        got += bytes.toString("latin1");
      });
      socket.on("close", () => resolve(got));
      const fields = Object.entries(lines).map(([name, value]) => `${name}: ${value}\r\n`);
      socket.on("secureConnect", () =>
        socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${fields.join("")}Connection: close\r\n\r\n`),
      );
    }),
    DEADLINE_MS,
    "an answer over TLS",
  );
  const end = text.indexOf("\r\n\r\n");
  const head = text.slice(0, end);
  return {
    status: Number(head.slice(9, 12)),
    field: (name) => new RegExp(`^${name}: (.*)$`, "im").exec(head)?.[1]?.trim(),
    body: text.slice(end + 4),
  };
}

async function overH2(path: string, asked: Asked = {}): Promise<Answer> {
  const {
    listener = "strict",
    serverName = "a.test",
    host = serverName,
    client,
    lines = {},
    method = "GET",
  } = asked;
  const session = connectH2(`https://127.0.0.1:${weir.port(listener)}`, {
    servername: serverName,
    ca: caPem,
    ...client,
  });
  try {
    return await within(
      new Promise<Answer>((resolve, reject) => {
        const fields: OutgoingHttpHeaders = {
          ":method": method,
          ":path": path,
          ":authority": host,
          ...lines,
        };
        const stream = session.request(fields);
        let head: IncomingHttpHeaders = {};
        let body = "";
        session.on("error", reject);
        stream.on("error", reject);
        stream.on("response", (got) => {
          head = got;
        });
        stream.on("data", (bytes: Buffer) => {
          body += bytes.toString("latin1");
        });
        stream.on("end", () => {
          resolve({
            status: Number(head[":status"]),
            field: (name) => head[name.toLowerCase()]?.toString(),
            body,
          });
        });
        stream.end();
      }),
      DEADLINE_MS,
      "an answer over HTTP/2",
    );
  } finally {
    session.destroy();
  }
}

const WAYS = [
  ["HTTP/1.1", overH1, "1.1 weir"],
  ["HTTP/2", overH2, "2.0 weir"],
] as const;

for (const [version, ask, via] of WAYS) {
  test(`${version}: routes tell clients by their certificates`, async () => {
    expect((await ask("/who", { client: alice })).body).toBe("alice");
    expect((await ask("/who", { client: bob })).body).toBe("known");
    expect((await ask("/who")).body).toBe("nobody");
    expect((await ask("/who", { listener: "easy", client: alice })).body).toBe("nobody");
  });

  test(`${version}: an endpoint learns who the client is, from us alone`, async () => {
    const lines = {
      "client-cert": ":Zm9yZ2Vk:",
      x_client_cert_subject: "CN=forged",
      "x-client-cert-verified": "1",
    };
    const { body } = await ask("/echo", { client: alice, lines });
    expect(body).toMatch(/^client-cert: :[A-Za-z0-9+/]+=*:\r$/im);
    expect(body).toMatch(/^x-client-cert-subject: .*CN=alice.*\r$/im);
    expect(body).toMatch(/^x-client-cert-san: DNS:alice\.test\r$/im);
    expect(body).toMatch(/^x-client-cert-fingerprint: [0-9a-f]{64}\r$/im);
    expect(body).toMatch(/^x-client-cert-verified: 1\r$/im);
    expect(body).toMatch(new RegExp(`^via: ${via}\\r$`, "im"));
    expect(body).toMatch(/^x-forwarded-proto: https\r$/im);
    expect(body).not.toMatch(/forged|Zm9yZ2Vk/);
    for (const listener of ["strict", "easy"]) {
      const anonymous = await ask("/echo", { listener, lines });
      expect(anonymous.body).not.toMatch(/client.cert/i);
    }
  });

  test(`${version}: every answer of the listener says HSTS, errors included, and no other listener does`, async () => {
    for (const path of ["/echo", "/who", "/none", "/down"]) {
      expect([path, (await ask(path)).field("strict-transport-security")]).toEqual([
        path,
        expect.stringMatching(/^max-age=\d+/),
      ]);
      expect((await ask(path, { listener: "easy" })).field("strict-transport-security")).toBeUndefined();
    }
  });

  test(`${version}: another name of the same certificate is served, one of another is misdirected`, async () => {
    expect((await ask("/who", { host: "b.test" })).status).toBe(200);
    expect((await ask("/who", { host: "c.test" })).status).toBe(421);
  });
}

test("without client certificates HTTP/1 may name another host, HTTP/2 may not", async () => {
  const asked = { listener: "easy", host: "c.test" };
  expect([(await overH1("/who", asked)).status, (await overH2("/who", asked)).status]).toEqual([200, 421]);
});

test("a log line tells version, cipher, server name and client", async () => {
  await overH2("/who?log", { client: alice });
  const line = await eventually(
    () =>
      weir
        .stdout()
        .split("\n")
        .find((text) => text.includes('"query":"log"')),
    DEADLINE_MS,
    "the log line",
  );
  expect(JSON.parse(line ?? "")).toMatchObject({
    protocol: "HTTP/2.0",
    scheme: "https",
    serverName: "a.test",
    tlsVersion: "TLSv1.3",
    tlsCipher: expect.stringMatching(/AES|CHACHA/),
    clientCertSubject: expect.stringContaining("CN=alice"),
    clientCertFingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
    route: "alice",
  });
});

const CALL = { "content-type": "application/grpc", te: "trailers" };
for (const [path, grpcStatus, status] of [
  ["/none", "12", 404],
  ["/down", "14", 502],
] as const) {
  test(`a gRPC client reads ${status} as grpc-status ${grpcStatus}; the log says ${status}`, async () => {
    const answer = await overH2(`${path}?${grpcStatus}`, { method: "POST", lines: CALL });
    expect([answer.status, answer.field("grpc-status"), answer.field("content-length"), answer.body]).toEqual(
      [200, grpcStatus, undefined, ""],
    );
    expect(answer.field("content-type")).toBe("application/grpc");
    const line = await eventually(
      () =>
        weir
          .stdout()
          .split("\n")
          .find((text) => text.includes(`"query":"${grpcStatus}"`)),
      DEADLINE_MS,
      "the log line",
    );
    expect(JSON.parse(line ?? "").status).toBe(status);
  });
}
