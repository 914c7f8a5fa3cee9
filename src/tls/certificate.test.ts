import { describe, expect, test } from "bun:test";
import { testAuthority } from "../../tests/support/certificates.ts";
import {
  ageFlaw,
  type CertificateFacts,
  pairId,
  type ReadCertificate,
  readCertificate,
  readFacts,
  whyNoAuthorities,
} from "./certificate.ts";

const root = await testAuthority("Root");
const between = await root.intermediate("Between");
const ec = await between.issue({ names: ["A.test", "*.b.test", "127.0.0.1", "::1"] });
const ec384 = await root.issue({ keyType: "ec384" });
const rsa = await root.issue({ names: ["a.test"], keyType: "rsa" });
const ED25519_KEY = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
`;
const blocksOf = (pem: string): readonly string[] =>
  pem.match(/-----BEGIN[\s\S]+?-----END [A-Z ]+-----\n/g) ?? [];

function good(cert: string, key: string): ReadCertificate {
  const read = readCertificate(cert, key);
  if ("error" in read) throw new Error(read.error);
  return read;
}

describe("a pair", () => {
  test("has the names of its leaf in lower case, its key type, issuer and dates", () => {
    const { pair, facts } = good(ec.cert, ec.key);
    expect(pair.names).toEqual(["a.test", "*.b.test", "127.0.0.1", "0:0:0:0:0:0:0:1"]);
    expect(pair.keyType).toBe("ec");
    expect(facts).toMatchObject({ names: pair.names, keyType: "EC P-256", issuer: "Between", flaws: [] });
    expect(facts.notAfterMs - facts.notBeforeMs).toBe(31 * 86_400_000);
    expect(good(rsa.cert, rsa.key).facts.keyType).toBe("RSA 2048");
    expect(good(ec384.cert, ec384.key).facts.keyType).toBe("EC P-384");
  });

  test("has the same id while chain and key are the same, whatever stands around them", () => {
    const { pair } = good(ec.cert, ec.key);
    expect(good(`Subject: a.test\n${ec.cert}`, `\n${ec.key}\n`).pair).toEqual(pair);
    expect(pairId(pair.cert, pair.key)).toBe(pair.id);
    expect(good(rsa.cert, rsa.key).pair.id).not.toBe(pair.id);
  });

  test("is sent leaf first and each issuer next, however the file has them", () => {
    const { pair } = good(ec.cert, ec.key);
    const [leaf = "", upper = ""] = blocksOf(ec.cert);
    expect(blocksOf(pair.cert).length).toBe(2);
    const turned = good(`${root.caPem}${upper}${leaf}`, ec.key);
    expect(blocksOf(turned.pair.cert)).toEqual([...blocksOf(pair.cert), ...blocksOf(root.caPem)]);
    expect(turned.facts.flaws.map(({ message }) => message)).toEqual(["the chain is not in order"]);
  });

  test("may stand in one file with its key", () => {
    const both = ec.cert + ec.key;
    expect(good(both, both).pair).toEqual(good(ec.cert, ec.key).pair);
  });
});

describe("a pair is refused with what to do about it", () => {
  const rows: readonly (readonly [name: string, cert: string, key: string, part: string, error: string])[] = [
    ["the key of another certificate", ec.cert, rsa.key, "key", "the key does not belong to the certificate"],
    ["the two the wrong way round", ec.key, ec.cert, "cert", "there is no PEM certificate in it"],
    ["an empty certificate", "", ec.key, "cert", "there is no PEM certificate in it"],
    ["an empty key", ec.cert, "", "key", "there is no PEM private key in it"],
    ["half a key", ec.cert, ec.key.slice(0, 100), "key", "there is no PEM private key in it"],
    ["a key with a hole", ec.cert, ec.key.replace(/\n.{20}/, "\n"), "key", "the key is damaged"],
    ["half a certificate", ec.cert.slice(0, 300), ec.key, "cert", "there is no PEM certificate in it"],
    [
      "a damaged certificate",
      ec.cert.replace(/\n.{20}/, "\n"),
      ec.key,
      "cert",
      "certificate 1 in it is damaged",
    ],
    [
      "an encrypted key",
      ec.cert,
      ec.key.replaceAll("PRIVATE", "ENCRYPTED PRIVATE"),
      "key",
      "the key has a passphrase",
    ],
    ["a key of another kind", ec.cert, ED25519_KEY, "key", "the key does not belong to the certificate"],
    [
      "a bundle for a chain",
      ec.cert + root.caPem.repeat(10),
      ec.key,
      "cert",
      "there are 12 certificates in it",
    ],
  ];
  for (const [name, cert, key, part, error] of rows) {
    test(name, () => {
      const read = readCertificate(cert, key);
      expect(read).toMatchObject({ part, error });
      expect((read as { hint: string }).hint.length).toBeGreaterThan(10);
    });
  }
});

describe("what serves but should be looked at", () => {
  const rows: readonly (readonly [
    name: string,
    options: Parameters<typeof root.issue>[0],
    message: string,
  ])[] = [
    ["a short RSA key", { keyType: "rsa", rsaBits: 1024 }, "the RSA key has 1024 bits"],
    ["SHA-1", { hash: "SHA-1" }, "a certificate in the chain is signed with SHA-1 or MD5"],
    ["only a common name", { hasAlternativeNames: false }, "the certificate has no subject alternative name"],
  ];
  for (const [name, options, message] of rows) {
    test(name, async () => {
      const { cert, key } = await root.issue(options);
      expect(good(cert, key).facts.flaws.map((flaw) => flaw.message)).toEqual([message]);
    });
  }

  test("a certificate in the chain that has nothing to do with it", async () => {
    const stranger = await testAuthority("Stranger");
    const { facts } = good(rsa.cert + stranger.caPem, rsa.key);
    expect(facts.flaws.map(({ message }) => message)).toEqual([
      "the chain has a certificate in it that issued none of the others",
    ]);
  });

  test("a common name is taken where there is nothing else", async () => {
    const { cert, key } = await root.issue({ names: ["Old.test"], hasAlternativeNames: false });
    expect(good(cert, key).pair.names).toEqual(["old.test"]);
  });
});

describe("what time makes of a certificate", () => {
  const dayMs = 86_400_000;
  const startMs = Date.parse("2026-01-01");
  const facts = { notBeforeMs: startMs, notAfterMs: startMs + 90 * dayMs } as CertificateFacts;
  const rows: readonly (readonly [day: number, message: string | undefined])[] = [
    [-1, "the certificate is not valid before 2026-01-01"],
    [0, undefined],
    [76, undefined],
    [77, "the certificate expires in 13 days, on 2026-04-01"],
    [88.5, "the certificate expires in 1 day, on 2026-04-01"],
    [89.5, "the certificate expires within a day, on 2026-04-01"],
    [90, "the certificate expired on 2026-04-01"],
  ];
  for (const [day, message] of rows) {
    test(`on day ${day}`, () => {
      const nowMs = startMs + Math.round(day * dayMs);
      expect(ageFlaw(facts, nowMs)?.message).toBe(message);
    });
  }
});

test("a chain is judged without its key", () => {
  const read = good(ec.cert, ec.key);
  expect(readFacts(ec.cert)).toEqual(read.facts);
  expect(readFacts("nothing")).toMatchObject({ part: "cert" });
});

test("a file of authorities must hold certificates, any number of them", () => {
  expect(whyNoAuthorities(root.caPem.repeat(150))).toBeUndefined();
  expect(whyNoAuthorities(ec.key)?.message).toBe("there is no PEM certificate in it");
});

test("long texts of dashes are read in linear time", () => {
  const text = `-----BEGIN PRIVATE KEY-----${"-a".repeat(500_000)}`;
  const startedMs = performance.now();
  readCertificate(ec.cert, text);
  readCertificate(`-----BEGIN CERTIFICATE-----${"-----BEGIN CERTIFICATE-----a".repeat(50_000)}`, ec.key);
  expect(performance.now() - startedMs).toBeLessThan(2000);
});
