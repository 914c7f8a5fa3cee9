import { expect, test } from "bun:test";
import { pairsOfLines } from "../core/fields.ts";
import type { ClientCertificate } from "../session/exchange.ts";
import { certificateLines } from "./client-certificate.ts";

const ALICE: ClientCertificate = {
  subject: "CN=alice,O=Example",
  issuer: "CN=clients",
  sans: ["DNS:alice.example.com", "URI:spiffe://example/alice"],
  serial: "0A1B",
  fingerprint: "ab".repeat(32),
  der: "MIIB+w==",
};
const linesOf = (parts: Partial<ClientCertificate> = {}) =>
  Object.fromEntries(pairsOfLines(certificateLines({ ...ALICE, ...parts })));

test("endpoints learn who the client is (RFC 9440 §2.2)", () => {
  expect(linesOf()).toEqual({
    "Client-Cert": ":MIIB+w==:",
    "X-Client-Cert-Subject": "CN=alice,O=Example",
    "X-Client-Cert-Issuer": "CN=clients",
    "X-Client-Cert-San": "DNS:alice.example.com, URI:spiffe://example/alice",
    "X-Client-Cert-Serial": "0A1B",
    "X-Client-Cert-Fingerprint": "ab".repeat(32),
    "X-Client-Cert-Verified": "1",
  });
});

test("what no field may hold is written as bytes (RFC 4514 §2.4)", () => {
  const lines = linesOf({ subject: "CN=Jos\u00e9 \u20ac\u{1f600},O=a\r\nX-Admin: 1\0\x7f", issuer: "CN=\t" });
  expect(lines["X-Client-Cert-Subject"]).toBe(
    "CN=Jos\\C3\\A9 \\E2\\82\\AC\\F0\\9F\\98\\80,O=a\\0D\\0AX-Admin: 1\\00\\7F",
  );
  expect(lines["X-Client-Cert-Issuer"]).toBe("CN=\\09");
  expect(lines["X-Admin"]).toBeUndefined();
});

test("no name can pass for two", () => {
  const { "X-Client-Cert-San": names } = linesOf({ sans: ["URI:a,DNS:admin", "DNS:b\\2C"] });
  expect(names).toBe("URI:a\\2CDNS:admin, DNS:b\\5C2C");
});
