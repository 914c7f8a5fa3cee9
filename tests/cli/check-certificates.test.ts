/**
 * `weir check` and certificates: what is wrong with them is found before anything is started.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testAuthority } from "../support/certificates.ts";
import { WEIR, weir } from "./program.ts";

let folder = "";
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "weir-check-"));
  const ca = await testAuthority();
  const issued = {
    good: await ca.issue(),
    old: await ca.issue({ days: -1 }),
    soon: await ca.issue({ days: 5 }),
    weak: await ca.issue({ keyType: "rsa", rsaBits: 1024 }),
  };
  for (const [name, { cert, key }] of Object.entries(issued)) {
    writeFileSync(join(folder, `${name}.pem`), cert);
    writeFileSync(join(folder, `${name}.key`), key);
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Checks a listener with this pair. */
async function check(cert: string, key: string) {
  const pair = `{ cert: ${cert}.pem, key: ${key}.key }`;
  const yaml = [
    "listeners:",
    "  web:",
    '    bind: "127.0.0.1:0"',
    "    tls:",
    "      certificates:",
    `        - ${pair}`,
    "routes: [{ respond: { status: 204 } }]",
  ];
  writeFileSync(join(folder, "weir.yaml"), `${yaml.join("\n")}\n`);
  return await weir(["check", "-c", "weir.yaml"], { cwd: folder });
}

const ROWS: readonly (readonly [name: string, cert: string, key: string, code: number, text: string])[] = [
  ["a good pair", "good", "good", 0, ""],
  ["an expired one is a warning", "old", "old", 0, "the certificate expired on"],
  ["one that expires within two weeks is a warning", "soon", "soon", 0, "the certificate expires in 4 days"],
  ["a weak key is a warning", "weak", "weak", 0, "the RSA key has 1024 bits"],
  [
    "the key of another certificate is an error",
    "good",
    "old",
    2,
    "the key does not belong to the certificate",
  ],
];
for (const [name, cert, key, code, text] of ROWS) {
  test(name, async () => {
    const run = await check(cert, key);
    expect(run.code).toBe(code);
    expect(run.err).toContain(text);
    if (text === "") expect(run.err).toBe("");
    else expect(run.err).toMatch(/^weir\.yaml:6:\d+: /);
  });
}

// root may read everything: then somebody else looks
const isRoot = process.getuid?.() === 0;
const AS_NOBODY = isRoot ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : [];
const mayNobodyRun = Bun.spawnSync([...AS_NOBODY, "head", "-c1", WEIR]).exitCode === 0;

test.skipIf(!mayNobodyRun)(
  "a key that we may not read is a warning, and its certificate is judged",
  async () => {
    await check("soon", "soon");
    chmodSync(folder, 0o755);
    chmodSync(join(folder, "soon.key"), 0);
    const [program = "", ...words] = [...AS_NOBODY, WEIR, "check", "-c", "weir.yaml"];
    const run = await weir(words, { program, cwd: folder });
    chmodSync(join(folder, "soon.key"), 0o600);
    expect(run.code).toBe(0);
    const lines = run.err.trim().split("\n");
    expect(lines).toHaveLength(2);
    expect(lines[0]).toContain("soon.key: no permission to read it. It was not checked");
    expect(lines[1]).toContain("soon.pem: the certificate expires in 4 days");
  },
);
