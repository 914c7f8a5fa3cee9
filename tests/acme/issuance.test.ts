/**
 * Issuance against a real authority: Pebble checks every proof, refuses nonces and forgets accounts.
 */
import { afterEach, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AcmeConfig } from "../../src/config/config.ts";
import { type Pebble, type PebbleOptions, startPebble } from "../support/pebble.ts";
import { freePort } from "../support/ports.ts";
import { needs } from "../support/tools.ts";
import { ISSUE_MS, Stage } from "./stage.ts";

const withPebble = test.skipIf(!needs("pebble"));
const NAME = "app.example.com";
const CASE_MS = ISSUE_MS * 2;
const opened: { stop(): Promise<void> }[] = [];

afterEach(async () => {
  for (const part of opened.splice(0)) await part.stop();
});

async function open(
  options: PebbleOptions = {},
): Promise<{ stage: Stage; pebble: Pebble; acme: Partial<AcmeConfig> }> {
  const stage = await Stage.open();
  opened.push({ stop: () => stage.close() });
  const { httpPort, tlsPort } = stage;
  const pebble = await startPebble({ httpPort, tlsPort, ...options });
  opened.push(pebble);
  return { stage, pebble, acme: acmeOf(pebble) };
}

function acmeOf(pebble: Pebble, name = "pebble"): Partial<AcmeConfig> {
  return {
    authorities: [{ name, directory: pebble.directory, externalAccount: undefined }],
    directoryCa: pebble.caFile,
  };
}

withPebble(
  "http-01: the certificate is for the name, its chain leads to the authority's root",
  async () => {
    const { stage, pebble, acme } = await open();
    stage.start(stage.config(acme));
    const { certificate, origin, renewsAtMs, lastError } = await stage.issued(NAME);
    const pems = certificate?.pair.cert.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g) ?? [];
    const [leaf, above] = pems.map((pem) => new X509Certificate(pem)) as [X509Certificate, X509Certificate];
    expect(leaf.checkHost(NAME)).toBe(NAME);
    expect(leaf.verify(above.publicKey)).toBe(true);
    expect(above.verify(new X509Certificate(await pebble.root()).publicKey)).toBe(true);
    expect(certificate?.facts.keyType).toBe("EC P-256");
    expect([origin, lastError]).toEqual(["pebble", undefined]);
    const lifeMs = (certificate?.facts.notAfterMs ?? 0) - (certificate?.facts.notBeforeMs ?? 0);
    const share = ((renewsAtMs ?? 0) - (certificate?.facts.notBeforeMs ?? 0)) / lifeMs;
    expect(share).toBeGreaterThan(0.6);
    expect(share).toBeLessThanOrEqual(0.667);
    expect(stage.asked.length).toBeGreaterThan(0);
    expect(stage.challenges).toEqual({ http: {}, alpn: {} }); // nothing is left behind
  },
  CASE_MS,
);

withPebble(
  "tls-alpn-01: the proof is a certificate shown to clients that offer acme-tls/1 (RFC 8737)",
  async () => {
    const { stage, acme } = await open();
    stage.start(stage.config({ ...acme, challenge: "tls-alpn-01", keyType: "rsa2048" }));
    const { certificate } = await stage.issued(NAME);
    expect(certificate?.facts.keyType).toBe("RSA 2048");
    expect(stage.asked).toEqual([]);
    expect(stage.challenges).toEqual({ http: {}, alpn: {} });
  },
  CASE_MS,
);

withPebble(
  "dns-01: the hook sets and removes the record, and a wildcard is issued",
  async () => {
    const { stage, pebble, acme } = await open();
    const hook = join(stage.folder, "hook.ts");
    const record = join(stage.folder, "calls.txt");
    writeFileSync(
      hook,
      `import { appendFileSync } from "node:fs";
const [verb, name, value] = process.argv.slice(2);
appendFileSync(${JSON.stringify(record)}, \`\${verb} \${name}\\n\`);
const host = \`\${name}.\`;
const [path, body] = verb === "add" ? ["/set-txt", { host, value }] : ["/clear-txt", { host }];
await fetch(new URL(path, "${pebble.dns.href}"), { method: "POST", body: JSON.stringify(body) });
`,
    );
    const dnsHook = [process.execPath, hook];
    stage.start(
      stage.config({ ...acme, challenge: "dns-01", dnsHook, names: ["*.example.com"], keyType: "ec384" }),
    );
    const { certificate } = await stage.issued("*.example.com");
    expect(certificate?.pair.names).toEqual(["*.example.com"]);
    expect(certificate?.facts.keyType).toBe("EC P-384");
    const calls = readFileSync(record, "utf8");
    expect(calls).toBe("add _acme-challenge.example.com\nremove _acme-challenge.example.com\n");
  },
  CASE_MS,
);

withPebble(
  "a hook that fails is told with its exit code and its words, and nothing is asked of the authority",
  async () => {
    const { stage, acme } = await open();
    const dnsHook = ["sh", "-c", "echo no such zone >&2; exit 3", "hook"];
    stage.start(stage.config({ ...acme, challenge: "dns-01", dnsHook }));
    const line = await stage.logged("next try");
    expect(line).toContain("sh returned 3: no such zone");
    expect(stage.offer(NAME)?.lastError).toContain("returned 3");
  },
  CASE_MS,
);

withPebble(
  "half of all nonces refused: orders go through (RFC 8555 §6.5)",
  async () => {
    const { stage, acme } = await open({ env: { PEBBLE_WFE_NONCEREJECT: "50" } });
    stage.start(stage.config({ ...acme, names: ["a.example.com", "b.example.com", "c.example.com"] }));
    for (const name of ["a.example.com", "b.example.com", "c.example.com"]) await stage.issued(name);
  },
  CASE_MS * 2,
);

withPebble(
  "slow validation: the order is asked about until it is done",
  async () => {
    const { stage, acme } = await open({ env: { PEBBLE_VA_NOSLEEP: "0", PEBBLE_VA_SLEEPTIME: "4" } });
    stage.start(stage.config(acme));
    await stage.issued(NAME);
  },
  CASE_MS,
);

withPebble(
  "a second authority issues when the first is down",
  async () => {
    const { stage, pebble, acme } = await open();
    const down = {
      name: "down",
      directory: `https://127.0.0.1:${await freePort()}/dir`,
      externalAccount: undefined,
    };
    stage.start(stage.config({ ...acme, authorities: [down, ...(acme.authorities ?? [])] }));
    expect((await stage.issued(NAME)).origin).toBe("pebble");
    expect(await stage.logged("down: ")).toContain("cannot be reached");
    expect(pebble.said()).not.toContain("rejected");
  },
  CASE_MS,
);

withPebble(
  "a second authority issues when the first refuses the name",
  async () => {
    const { stage, acme } = await open();
    const strict = await startPebble({ httpPort: stage.httpPort, blocked: ["example.com"] });
    opened.push(strict);
    const both = join(stage.folder, "both.pem");
    writeFileSync(both, readFileSync(acme.directoryCa ?? "", "utf8") + strict.caPem);
    const refusing = { name: "strict", directory: strict.directory, externalAccount: undefined };
    stage.start(stage.config({ authorities: [refusing, ...(acme.authorities ?? [])], directoryCa: both }));
    expect((await stage.issued(NAME)).origin).toBe("pebble");
    expect(await stage.logged("strict: ")).toContain("rejectedIdentifier");
  },
  CASE_MS,
);

withPebble(
  "an authority that wants an external account gets its binding (RFC 8555 §7.3.4)",
  async () => {
    const hmacKey = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    const { stage, pebble, acme } = await open({ externalAccounts: { "kid-1": hmacKey } });
    const authority = {
      name: "bound",
      directory: pebble.directory,
      externalAccount: { keyId: "kid-1", hmacKey },
    };
    stage.start(stage.config({ ...acme, authorities: [authority] }));
    await stage.issued(NAME);
  },
  CASE_MS,
);

withPebble(
  "without its external account the log says what to configure",
  async () => {
    const { stage, acme } = await open({ externalAccounts: { "kid-1": "c2VjcmV0c2VjcmV0c2VjcmV0" } });
    stage.start(stage.config(acme));
    expect(await stage.logged("next try")).toContain("eab: { keyId, hmacKey }");
  },
  CASE_MS,
);

withPebble(
  "an authority that has forgotten the account gets it anew, with the same key",
  async () => {
    const { stage, pebble, acme } = await open();
    const keeper = stage.start(stage.config(acme));
    await stage.issued(NAME);
    const [file = ""] = readdirSync(join(stage.storage, "accounts"));
    const before = JSON.parse(readFileSync(join(stage.storage, "accounts", file), "utf8"));
    await pebble.restart();
    keeper.keep(stage.config({ ...acme, names: [NAME, "b.example.com"] }));
    await stage.issued("b.example.com");
    const after = JSON.parse(readFileSync(join(stage.storage, "accounts", file), "utf8"));
    expect(after.key).toBe(before.key);
  },
  CASE_MS,
);

withPebble(
  "files are for their owner alone, and a restart uses them without asking anybody",
  async () => {
    const { stage, pebble, acme } = await open();
    const config = stage.config(acme);
    const keeper = stage.start(config);
    const { id } = await stage.issued(NAME);
    keeper.stop();
    const modeOf = (...path: string[]) => (statSync(join(stage.storage, ...path)).mode & 0o777).toString(8);
    expect([modeOf(), modeOf("accounts"), modeOf("certificates")]).toEqual(["700", "700", "700"]);
    expect(modeOf("certificates", `${NAME}.pem`)).toBe("600");
    for (const file of readdirSync(join(stage.storage, "accounts")))
      expect(modeOf("accounts", file)).toBe("600");
    await pebble.halt();
    stage.offers.clear();
    stage.keeper().read(config);
    expect(stage.offer(NAME)?.certificate?.pair.id).toBe(id);
  },
  CASE_MS,
);

withPebble(
  "rights that are too wide are narrowed, and said",
  async () => {
    const { stage, acme } = await open();
    const config = stage.config(acme);
    stage.start(config).stop();
    chmodSync(stage.storage, 0o755);
    stage.start(config);
    await stage.issued(NAME);
    expect(statSync(stage.storage).mode & 0o777).toBe(0o700);
    expect(stage.lines.join("\n")).toContain(`others could read ${stage.storage} (mode 0755)`);
  },
  CASE_MS,
);

withPebble(
  "with a storageKey no key is on disk in clear, and another key changes nothing",
  async () => {
    const { stage, acme } = await open();
    const config = stage.config({ ...acme, storageKey: "correct horse battery staple" });
    const keeper = stage.start(config);
    const { id } = await stage.issued(NAME);
    keeper.stop();
    const path = join(stage.storage, "certificates", `${NAME}.pem`);
    const stored = readFileSync(path, "utf8");
    const account = readdirSync(join(stage.storage, "accounts"))[0] ?? "";
    expect(stored).toContain("WEIR SEALED KEY");
    expect(stored + readFileSync(join(stage.storage, "accounts", account), "utf8")).not.toContain(
      "PRIVATE KEY",
    );
    stage.offers.clear();
    const wrong = stage.start(stage.config({ ...acme, storageKey: "wrong" }));
    expect(await stage.logged("does not open")).toContain("tls.acme.storageKey");
    expect(stage.offer(NAME)?.lastError).toContain("does not open");
    expect(readFileSync(path, "utf8")).toBe(stored);
    wrong.keep(config); // a reload with the right one
    expect((await stage.issued(NAME)).id).toBe(id);
  },
  CASE_MS,
);

withPebble(
  "a file that is no certificate is put aside and the name ordered anew",
  async () => {
    const { stage, acme } = await open();
    const config = stage.config(acme);
    const keeper = stage.start(config);
    const { id } = await stage.issued(NAME);
    keeper.stop();
    const path = join(stage.storage, "certificates", `${NAME}.pem`);
    writeFileSync(path, readFileSync(path, "utf8").slice(0, 400));
    stage.offers.clear();
    stage.start(config);
    expect((await stage.issued(NAME, id)).id).not.toBe(id);
    expect(readdirSync(join(stage.storage, "certificates")).sort()).toEqual([
      `${NAME}.pem`,
      `${NAME}.pem.broken`,
    ]);
  },
  CASE_MS,
);

withPebble(
  "on demand: a name that is allowed is issued when a client asks, another one never",
  async () => {
    const { stage, acme } = await open();
    stage.start(stage.config({ ...acme, names: [], onDemand: ["*.shop.example.com"] }));
    for (const name of ["evil.test", "a.b.shop.example.com", "shop.example.com", "../x.shop.example.com"])
      stage.want(name);
    stage.want("one.shop.example.com");
    await stage.issued("one.shop.example.com");
    expect(stage.offers.get("web")?.flatMap(({ names }) => names)).toEqual(["one.shop.example.com"]);
  },
  CASE_MS,
);
