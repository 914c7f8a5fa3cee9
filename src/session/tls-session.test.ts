import { expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { testAuthority } from "../../tests/support/certificates.ts";
import { FakeSocket } from "../../tests/support/fake-socket.ts";
import { CidrSet } from "../core/address.ts";
import type { CertificatePair } from "../tls/materials.ts";
import type { TlsSocket } from "../transport/tls.ts";
import type { Listener } from "./listener.ts";
import { ListenerTls } from "./listener-tls.ts";
import { nameRules, TlsContexts } from "./tls-contexts.ts";
import { SettledTls, verifiedCertificate } from "./tls-session.ts";

const ca = await testAuthority("CA");

function socketOf(parts: Partial<TlsSocket>): TlsSocket {
  return Object.assign(new FakeSocket(), {
    authorized: true,
    alpnProtocol: false as const,
    getServername: () => "A.Test.",
    getTLSVersion: () => "TLSv1.3",
    getCipher: () => ({ name: "TLS_AES_128_GCM_SHA256" }),
    isSessionReused: () => false,
    getPeerX509Certificate: () => undefined,
    ...parts,
  }) as unknown as TlsSocket;
}

function listenerWith(pairs: readonly CertificatePair[]): Listener {
  const rules = nameRules({
    minVersion: "1.2",
    ciphers: "",
    curves: "",
    clientAuth: "off",
    ca: undefined,
    crl: undefined,
  });
  const settings = { rules, refusesUnknown: false, isPeeked: false, protocols: [], onDemand: [] };
  const services = { contexts: new TlsContexts(), want() {}, report() {} };
  return {
    name: "web",
    limits: { connections: 1, requestHeadBytes: 1, headers: 1, bodyBytes: 0, requestsPerConnection: 0 },
    timeouts: { handshakeMs: 1, headMs: 1, bodyMs: 1, idleMs: 1 },
    trustedProxies: new CidrSet([]),
    proxyProtocolFrom: new CidrSet([]),
    protocols: ["h1"],
    http2: { maxStreams: 1, streamWindowBytes: 1, connectionWindowBytes: 1, extendedConnect: false },
    tls: new ListenerTls(settings, pairs, {}, services),
    slot: 0,
    site: undefined,
    isLeaving: false,
  };
}

const pair = (id: string, ...names: string[]): CertificatePair => ({
  id,
  names,
  keyType: "ec",
  cert: "",
  key: "",
});

test("the client's certificate is told as RFC 4514, RFC 9440 and a fingerprint want it", async () => {
  const issued = await ca.issue({
    names: ["x.test", "10.0.0.1"],
    subject: "C=DE, O=A\\, B, CN=good",
    client: true,
  });
  const x509 = new X509Certificate(issued.cert);
  const { client } = new SettledTls(socketOf({}), listenerWith([]), x509);
  expect(client).toEqual({
    subject: "CN=good,O=A\\, B,C=DE",
    issuer: "CN=CA",
    sans: ["DNS:x.test", "IP:10.0.0.1"],
    serial: x509.serialNumber,
    fingerprint: x509.fingerprint256.replaceAll(":", "").toLowerCase(),
    der: x509.raw.toString("base64"),
  });
});

test("a control character in a subject stays escaped: it ends no field line", async () => {
  const { cert } = await ca.issue({ subject: "CN=a\\0D\\0AX: y", client: true });
  const { client } = new SettledTls(socketOf({}), listenerWith([]), new X509Certificate(cert));
  const codes = [...(client?.subject ?? "")].map((character) => character.charCodeAt(0));
  expect(codes.filter((code) => code < 32 || code === 127)).toEqual([]);
  expect(client?.subject).toContain("CN=a");
});

test("names, version and cipher are as the handshake settled them", () => {
  const session = new SettledTls(socketOf({}), listenerWith([]), undefined);
  expect([session.serverName, session.version, session.cipher, session.client]).toEqual([
    "a.test",
    "TLSv1.3",
    "TLS_AES_128_GCM_SHA256",
    undefined,
  ]);
});

const PAIRS = [pair("a", "a.test", "*.a.test"), pair("b", "b.test")];
const COVERS: readonly [serverName: string | undefined, host: string, isCovered: boolean, why: string][] = [
  [undefined, "b.test", true, "a client that named no server may ask for any host"],
  ["a.test", "a.test", true, "the host that was named"],
  ["a.test", "x.a.test", true, "a host that the same certificate names"],
  ["a.test", "b.test", false, "not one that another certificate names"],
  ["b.test", "nobody.test", false, "not an unknown one, which would be shown another certificate"],
  ["a.test", "nobody.test", true, "an unknown one that would be shown the same"],
  ["nobody.test", "else.test", true, "two unknown ones are shown the default alike"],
  ["nobody.test", "b.test", false, "the default does not speak for those that have their own"],
];
for (const [serverName, host, isCovered, why] of COVERS) {
  test(`hosts of a connection (RFC 9110 §7.4): ${why}`, () => {
    const socket = socketOf({ getServername: () => serverName });
    expect(new SettledTls(socket, listenerWith(PAIRS), undefined).covers(host)).toBe(isCovered);
  });
}

test("a host that has got a certificate of its own meanwhile is another's", () => {
  const listener = listenerWith(PAIRS);
  const session = new SettledTls(socketOf({ getServername: () => "nobody.test" }), listener, undefined);
  expect(session.covers("else.test")).toBe(true);
  listener.tls = listenerWith([...PAIRS, pair("c", "else.test")]).tls;
  expect(session.covers("else.test")).toBe(false);
});

test("a certificate counts when library and socket say so and it has not expired", async () => {
  const valid = new X509Certificate((await ca.issue({ client: true })).cert);
  const expired = new X509Certificate((await ca.issue({ client: true, days: -1 })).cert);
  const of = (x509: X509Certificate, parts: Partial<TlsSocket> = {}, error: Error | null = null) =>
    verifiedCertificate(socketOf({ getPeerX509Certificate: () => x509, ...parts }), error);
  expect(of(valid)).toBe(valid);
  expect(of(expired)).toBeUndefined();
  expect(of(valid, { authorized: false })).toBeUndefined();
  expect(of(valid, {}, new Error("revoked"))).toBeUndefined();
});
