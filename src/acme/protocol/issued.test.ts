import { expect, test } from "bun:test";
import {
  AuthorityKeyIdentifierExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { testAuthority } from "../../../tests/support/certificates.ts";
import { readIssued } from "./issued.ts";

const NOW_MS = Date.now();
const ca = await (await testAuthority()).intermediate();

test("the certificate that was ordered is taken, its chain with it", async () => {
  const { cert, key } = await ca.issue({ names: ["a.test"] });
  const issued = readIssued("a.test", cert, key, NOW_MS);
  expect(issued.pair.names).toEqual(["a.test"]);
  expect(issued.pair.cert.match(/BEGIN/g)?.length).toBe(2);
  expect(issued.chance).toBeGreaterThanOrEqual(0);
  expect(issued.chance).toBeLessThan(1);
});

test("a wildcard must be there as it was ordered", async () => {
  const { cert, key } = await ca.issue({ names: ["*.a.test"] });
  expect(readIssued("*.a.test", cert, key, NOW_MS).pair.names).toEqual(["*.a.test"]);
  expect(() => readIssued("b.a.test", cert, key, NOW_MS)).toThrow("it is for *.a.test, not for b.a.test");
});

test("an expired one is refused when it comes, and read back when it was stored", async () => {
  const { cert, key } = await ca.issue({ names: ["a.test"], days: -1 });
  expect(() => readIssued("a.test", cert, key, NOW_MS)).toThrow("expired since");
  expect(readIssued("a.test", cert, key, undefined).facts.notAfterMs).toBeLessThan(NOW_MS);
});

test("one that is not valid yet is refused, but for an hour that clocks may differ", async () => {
  const { cert, key } = await ca.issue({ names: ["a.test"] });
  const { notBeforeMs } = readIssued("a.test", cert, key, undefined).facts;
  expect(() => readIssued("a.test", cert, key, notBeforeMs - 2 * 3600_000)).toThrow("not valid before");
  expect(readIssued("a.test", cert, key, notBeforeMs - 1800_000).pair.names).toEqual(["a.test"]);
});

test("the identifier for renewal is that of the example (RFC 9773 §4.1)", async () => {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = (await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as CryptoKeyPair;
  const made = await X509CertificateGenerator.createSelfSigned({
    serialNumber: "0087654321",
    name: "CN=a.test",
    keys,
    signingAlgorithm: algorithm,
    notAfter: new Date(NOW_MS + 86_400_000),
    extensions: [
      new SubjectAlternativeNameExtension([{ type: "dns", value: "a.test" }]),
      new AuthorityKeyIdentifierExtension("69885b6b87464041e1b37b847ba0ae2cde01c8d4"),
    ],
  });
  const der = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey));
  const key = `-----BEGIN PRIVATE KEY-----\n${der.toString("base64")}\n-----END PRIVATE KEY-----\n`;
  expect(readIssued("a.test", made.toString("pem"), key, NOW_MS).renewalId).toBe(
    "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE",
  );
});
