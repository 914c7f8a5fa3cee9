import { afterEach, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testAuthority } from "../../../tests/support/certificates.ts";
import type { CertificatePair } from "../../tls/materials.ts";
import { AccountKey } from "../protocol/account-key.ts";
import { readIssued } from "../protocol/issued.ts";
import { FolderLock } from "./folder-lock.ts";
import { isHostName, Storage } from "./storage.ts";

const ca = await testAuthority();
const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function open(storageKey?: string, folder = join(mkdtempSync(join(tmpdir(), "weir-store-")), "store")) {
  folders.push(join(folder, ".."));
  const warnings: string[] = [];
  const storage = new Storage({ folder, storageKey, warn: (text) => warnings.push(text) });
  storage.open();
  return { storage, folder, warnings };
}

async function certificateFor(name: string) {
  const { cert, key } = await ca.issue({ names: [name] });
  return { name, authority: "letsencrypt", issued: readIssued(name, cert, key, undefined) };
}

const modeOf = (path: string) => statSync(path).mode & 0o777;

for (const storageKey of [undefined, "a passphrase"]) {
  test(`certificates and accounts come back as they were kept, ${storageKey ? "sealed" : "in clear"}`, async () => {
    const { storage, folder } = open(storageKey);
    for (const name of ["a.test", "*.a.test"]) storage.keep(await certificateFor(name));
    const key = AccountKey.make();
    storage.keepAccount("le", "https://le.test/dir", { key, url: "https://le.test/1", email: "a@b.test" });
    const again = open(storageKey, folder).storage;
    expect(again.names().sort()).toEqual(["*.a.test", "a.test"]);
    expect(again.certificate("*.a.test")?.issued.pair).toEqual(
      storage.certificate("*.a.test")?.issued.pair as CertificatePair,
    );
    expect(again.certificate("*.a.test")?.authority).toBe("letsencrypt");
    expect(again.account("le", "https://le.test/dir")).toMatchObject({
      url: "https://le.test/1",
      email: "a@b.test",
    });
    expect(again.account("le", "https://le.test/dir")?.key.thumbprint).toBe(key.thumbprint);
    expect(again.account("le", "https://other.test/dir")).toBeUndefined();
    const text = readFileSync(join(folder, "certificates", "a.test.pem"), "utf8");
    expect(text.includes("PRIVATE KEY")).toBe(storageKey === undefined);
  });
}

test("keys that were in clear are sealed when a storageKey is given, and stay readable", async () => {
  const { storage, folder } = open();
  storage.keep(await certificateFor("a.test"));
  const sealed = open("new", folder).storage;
  expect(sealed.certificate("a.test")?.name).toBe("a.test");
  expect(readFileSync(join(folder, "certificates", "a.test.pem"), "utf8")).not.toContain("PRIVATE KEY");
});

test("everything changes its key when the storageKey changes, and back to clear", async () => {
  const { storage, folder } = open("old");
  storage.keep(await certificateFor("a.test"));
  storage.keepAccount("le", "u", { key: AccountKey.make(), url: "x", email: "" });
  const renewed = open("new", folder).storage;
  renewed.resealFrom(storage);
  expect(open("new", folder).storage.certificate("a.test")?.name).toBe("a.test");
  expect(open("new", folder).storage.account("le", "u")?.url).toBe("x");
  expect(() => open("old", folder).storage.certificate("a.test")).toThrow("does not open");
  open(undefined, folder).storage.resealFrom(renewed);
  expect(open(undefined, folder).storage.account("le", "u")?.url).toBe("x");
});

test("sealed keys without a storageKey say what is missing", async () => {
  const { storage, folder } = open("key");
  storage.keep(await certificateFor("a.test"));
  expect(() => open(undefined, folder).storage.certificate("a.test")).toThrow("give tls.acme.storageKey");
});

test("a certificate under another's name is put aside", async () => {
  const { storage, folder, warnings } = open();
  storage.keep(await certificateFor("a.test"));
  const text = readFileSync(join(folder, "certificates", "a.test.pem"), "utf8");
  writeFileSync(join(folder, "certificates", "b.test.pem"), text);
  expect(storage.certificate("b.test")).toBeUndefined();
  expect(warnings.at(-1)).toContain(
    "b.test.pem is broken (the certificate that came is not the one that was ordered",
  );
});

test("an account file that is damaged is put aside", () => {
  const { storage, folder, warnings } = open();
  storage.keepAccount("le", "u", { key: AccountKey.make(), url: "x", email: "" });
  const path = join(
    folder,
    "accounts",
    (/le-[0-9a-f]{8}\.json/.exec(String(Bun.spawnSync(["ls", join(folder, "accounts")]).stdout)) ?? [""])[0],
  );
  writeFileSync(path, "{");
  expect(storage.account("le", "u")).toBeUndefined();
  expect(warnings.at(-1)).toContain("making a new account");
});

test("files and folders are for their owner alone, whatever they were", async () => {
  const { storage, folder, warnings } = open();
  storage.keep(await certificateFor("a.test"));
  const path = join(folder, "certificates", "a.test.pem");
  chmodSync(path, 0o644);
  storage.certificate("a.test");
  expect(modeOf(path)).toBe(0o600);
  expect(warnings.at(-1)).toContain("mode 0644");
});

test("a symbolic link in place of a file is not followed", async () => {
  const { storage, folder } = open();
  const elsewhere = join(folder, "..", "elsewhere.pem");
  writeFileSync(elsewhere, "secret");
  symlinkSync(elsewhere, join(folder, "certificates", "a.test.pem"));
  expect(() => storage.certificate("a.test")).toThrow("symbolic link");
});

const HOST_NAMES: readonly [name: string, isOne: boolean][] = [
  ["a.test", true],
  ["*.a.test", true],
  ["xn--bcher-kva.test", true],
  ["localhost", true],
  ["../../etc/passwd", false],
  ["a/b", false],
  ["A.test", false],
  ["a..test", false],
  [".test", false],
  ["*.*.test", false],
  ["a.*.test", false],
  ["", false],
  ["a\0.test", false],
  [`${"a".repeat(64)}.test`, false],
];
for (const [name, isOne] of HOST_NAMES) {
  test(`${JSON.stringify(name)} is ${isOne ? "a" : "no"} name of a file here`, () => {
    expect(isHostName(name)).toBe(isOne);
    if (!isOne) expect(() => open().storage.certificate(name)).toThrow("no host name");
  });
}

// ── the lock ──

const BEGAN = { host: "h1", pid: 1, beganAt: "1" };

test("the lock of a process that is gone is taken over, of one that lives it is not", () => {
  const { folder } = open();
  const self = new FolderLock(folder);
  expect(self.acquire()).toBeUndefined();
  expect(self.isHeld).toBe(true);
  const here = JSON.parse(readFileSync(join(folder, "lock"), "utf8"));
  const neighbour = new FolderLock(folder, { ...here, pid: 2 ** 22 + 1, beganAt: "1" });
  expect(neighbour.acquire()).toMatchObject({ pid: process.pid });
  writeFileSync(join(folder, "lock"), JSON.stringify({ ...here, pid: 2 ** 22 + 2 }));
  expect(neighbour.acquire()).toBeUndefined();
  self.release(); // it is no longer its own
  expect(JSON.parse(readFileSync(join(folder, "lock"), "utf8")).pid).toBe(2 ** 22 + 1);
});

test("a process id that another process has now does not keep the lock", () => {
  const { folder } = open();
  const here = { host: "h1", pid: process.pid, beganAt: "of another life" };
  writeFileSync(join(folder, "lock"), JSON.stringify(here));
  expect(new FolderLock(folder, BEGAN).acquire()).toBeUndefined();
});

test("the lock of another machine holds while it is renewed", () => {
  const { folder } = open();
  const far = new FolderLock(folder, { host: "h2", pid: 1, beganAt: "1" });
  expect(far.acquire()).toBeUndefined();
  const near = new FolderLock(folder, BEGAN);
  expect(near.acquire()).toMatchObject({ host: "h2" });
  far.renew(Date.now() - 6 * 60_000);
  expect(near.acquire()).toBeUndefined();
  expect(far.acquire()).toMatchObject({ host: "h1" });
});

test("a lock that cannot be read is no lock", () => {
  const { folder } = open();
  writeFileSync(join(folder, "lock"), "{ half");
  expect(new FolderLock(folder, BEGAN).acquire()).toBeUndefined();
});
