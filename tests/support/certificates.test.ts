/** Certificates for tests: what is issued holds together, as independent eyes see it. */
import { expect, test } from "bun:test";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testAuthority } from "./certificates.ts";
import { needs } from "./tools.ts";

test("what an authority issues is its own, has the names asked for and fits its key", async () => {
  const ca = await testAuthority();
  const { cert, key } = await ca.issue({ names: ["a.test", "*.b.test", "127.0.0.1"] });
  const leaf = new X509Certificate(cert);
  expect(leaf.verify(new X509Certificate(ca.caPem).publicKey)).toBe(true);
  expect(leaf.checkPrivateKey(createPrivateKey(key))).toBe(true);
  expect(leaf.subjectAltName).toBe("DNS:a.test, DNS:*.b.test, IP Address:127.0.0.1");
});

test.skipIf(!needs("openssl"))(
  "openssl accepts a chain over an intermediate, and refuses what is revoked",
  async () => {
    const root = await testAuthority();
    const between = await root.intermediate();
    const issued = await between.issue({ names: ["a.test"] });
    const folder = mkdtempSync(join(tmpdir(), "weir-certificates-"));
    const put = (name: string, text: string) => {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    };
    try {
      const leaf = put("leaf.pem", issued.cert);
      const verify = ["openssl", "verify", "-CAfile", put("root.pem", root.caPem), "-untrusted", leaf];
      expect(Bun.spawnSync([...verify, leaf]).exitCode).toBe(0);
      const list = put("list.pem", await between.revoke(issued));
      const answer = Bun.spawnSync([...verify, "-crl_check", "-CRLfile", list, leaf]);
      expect(answer.stderr.toString()).toContain("certificate revoked");
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);
