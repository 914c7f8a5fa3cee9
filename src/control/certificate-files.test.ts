import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testAuthority } from "../../tests/support/certificates.ts";
import type { Config } from "../config/config.ts";
import { CertificateFiles, type Changes } from "./certificate-files.ts";
import type { FileMaterials } from "./materials.ts";

const ca = await testAuthority();
const first = await ca.issue({ names: ["first.test"] });
const second = await ca.issue({ names: ["second.test"] });
const nowMs = Date.now();

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "weir-files-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const at = (name: string) => join(folder, name);
const put = (name: string, text: string) => {
  writeFileSync(at(name), text);
  return at(name);
};
const putPair = (name: string, { cert, key } = first) => ({
  cert: put(`${name}.pem`, cert),
  key: put(`${name}.key`, key),
});

interface Named {
  readonly certificates?: readonly { cert: string; key: string }[];
  readonly ca?: string;
  readonly crl?: string;
  readonly upstream?: { ca?: string; cert?: string; key?: string };
}

/** A configuration with what this folder of the code reads of it. */
function configOf({ certificates = [], ca, crl, upstream }: Named): Config {
  const tls = { certificates, clientAuth: { mode: "off", ca, crl, forward: false } };
  return {
    listeners: [{ name: "web", tls }, { name: "plain" }],
    upstreams: upstream === undefined ? [] : [{ name: "app", tls: upstream }],
  } as unknown as Config;
}

/** Files that are followed, with what is in force. */
class Following {
  readonly files = new CertificateFiles();
  current: FileMaterials;
  #ms = 0;

  constructor(named: Named) {
    const loading = this.files.load(configOf(named), nowMs);
    expect(loading.problems.filter(({ severity }) => severity === "error")).toEqual([]);
    this.files.adopt(loading);
    this.current = loading.materials;
  }

  /** Looks once a second for so long. */
  after(seconds: number): Changes[] {
    const found: Changes[] = [];
    for (let second = 0; second < seconds; second++) {
      this.#ms += 1000;
      const changes = this.files.look(this.current, this.#ms);
      if (changes === undefined) continue;
      this.current = changes.materials;
      found.push(changes);
    }
    return found;
  }

  get shown(): (string | undefined)[] {
    return (this.current.offers["web"] ?? []).map(({ certificate }) => certificate?.pair.names[0]);
  }

  get errors(): (string | undefined)[] {
    return (this.current.offers["web"] ?? []).map(({ lastError }) => lastError);
  }
}

describe("loading", () => {
  test("pairs stand by listener in the order of the configuration, other files as text by path", () => {
    const upstream = { ...putPair("own"), ca: put("ca.pem", ca.caPem) };
    const certificates = [putPair("b", second), putPair("a")];
    const { materials, problems } = new CertificateFiles().load(configOf({ certificates, upstream }), nowMs);
    expect(problems).toEqual([]);
    expect(Object.keys(materials.offers)).toEqual(["web"]);
    const names = materials.offers["web"]?.map(({ certificate }) => certificate?.pair.names);
    expect(names).toEqual([["second.test"], ["first.test"]]);
    expect(materials.files).toEqual({
      [at("ca.pem")]: ca.caPem,
      [at("own.pem")]: first.cert,
      [at("own.key")]: first.key,
    });
  });

  const broken: readonly (readonly [name: string, make: () => Named, place: string, message: string])[] = [
    [
      "a missing certificate",
      () => ({ certificates: [{ ...putPair("a"), cert: at("none.pem") }] }),
      "listeners web tls certificates 0 cert",
      "there is no such file",
    ],
    [
      "the key of another certificate",
      () => ({ certificates: [putPair("a"), { ...putPair("b", second), key: at("a.key") }] }),
      "listeners web tls certificates 1 key",
      "the key does not belong to the certificate",
    ],
    [
      "a folder",
      () => ({ certificates: [{ ...putPair("a"), key: folder }] }),
      "listeners web tls certificates 0 key",
      "it is a folder",
    ],
    [
      "a device, which never ends",
      () => ({ certificates: [{ ...putPair("a"), cert: "/dev/zero" }] }),
      "listeners web tls certificates 0 cert",
      "it is no regular file",
    ],
    [
      "authorities that are none",
      () => ({ ca: put("ca.pem", first.key) }),
      "listeners web tls clientAuth ca",
      "there is no PEM certificate in it",
    ],
    [
      "revocations that are none",
      () => ({ crl: put("crl.pem", ca.caPem) }),
      "listeners web tls clientAuth crl",
      "there is no PEM revocation list in it",
    ],
    [
      "a client certificate with a wrong key",
      () => ({ upstream: { ...putPair("a"), key: putPair("b", second).key } }),
      "upstreams app tls key",
      "the key does not belong to the certificate",
    ],
  ];
  for (const [name, make, place, message] of broken) {
    test(`${name} is an error at its place`, () => {
      const { problems } = new CertificateFiles().load(configOf(make()), nowMs);
      expect(problems).toHaveLength(1);
      expect(problems[0]?.severity).toBe("error");
      expect(problems[0]?.place.join(" ")).toBe(place);
      expect(problems[0]?.message).toEndWith(message);
    });
  }

  test("an expired certificate is a warning: it serves as it did", async () => {
    const old = putPair("old", await ca.issue({ days: -1 }));
    const { problems, materials } = new CertificateFiles().load(configOf({ certificates: [old] }), nowMs);
    expect(problems.map(({ severity }) => severity)).toEqual(["warning"]);
    expect(problems[0]?.message).toContain("expired on");
    expect(materials.offers["web"]).toHaveLength(1);
  });

  test("revocations that are overdue are a warning", async () => {
    const crl = put("crl.pem", await ca.revoke(first));
    const { problems } = new CertificateFiles().load(configOf({ crl }), nowMs + 2 * 86_400_000);
    expect(problems.map(({ severity }) => severity)).toEqual(["warning"]);
    expect(problems[0]?.message).toContain("the revocation list was to be replaced by");
    expect(new CertificateFiles().load(configOf({ crl }), nowMs).problems).toEqual([]);
  });

  test("what is unchanged is not read again", () => {
    const certificates = [putPair("a"), putPair("b", second)];
    const following = new Following({ certificates });
    const [before] = following.current.offers["web"] ?? [];
    const again = following.files.load(configOf({ certificates: certificates.toReversed() }), nowMs);
    expect(again.materials.offers["web"]?.[1]?.certificate).toBe(before?.certificate);
  });
});

describe("following", () => {
  test("a pair that was replaced is taken over when it has stood still for a look", () => {
    const following = new Following({ certificates: [putPair("a")] });
    expect(following.after(3)).toEqual([]);
    putPair("a", second);
    expect(following.after(1)).toEqual([]);
    expect(following.after(1)[0]?.replaced).toMatchObject([
      { file: at("a.pem"), facts: { names: ["second.test"] } },
    ]);
    expect(following.shown).toEqual(["second.test"]);
    expect(following.after(10)).toEqual([]);
  });

  test("a link that is pointed elsewhere is a change, as certbot and Kubernetes make it", () => {
    for (const [version, pair] of [
      ["v1", first],
      ["v2", second],
    ] as const) {
      mkdirSync(at(version));
      writeFileSync(join(at(version), "tls.crt"), pair.cert);
      writeFileSync(join(at(version), "tls.key"), pair.key);
    }
    symlinkSync("v1", at("..data"));
    symlinkSync("..data/tls.crt", at("tls.crt"));
    symlinkSync("..data/tls.key", at("tls.key"));
    const following = new Following({ certificates: [{ cert: at("tls.crt"), key: at("tls.key") }] });
    expect(following.shown).toEqual(["first.test"]);
    symlinkSync("v2", at("..data_tmp"));
    renameSync(at("..data_tmp"), at("..data"));
    following.after(2);
    expect(following.shown).toEqual(["second.test"]);
  });

  test("a certificate and its key may change some seconds apart, and nobody hears of it", () => {
    const following = new Following({ certificates: [putPair("a")] });
    put("a.pem", second.cert);
    expect(following.after(4)).toEqual([]);
    expect(following.shown).toEqual(["first.test"]);
    put("a.key", second.key);
    expect(following.after(2)).toHaveLength(1);
    expect(following.shown).toEqual(["second.test"]);
    expect(following.errors).toEqual([undefined]);
  });

  const accidents: readonly (readonly [name: string, act: () => void, message: string])[] = [
    [
      "the key of another certificate",
      () => put("a.key", second.key),
      "the key does not belong to the certificate",
    ],
    [
      "half a certificate",
      () => put("a.pem", second.cert.slice(0, 200)),
      "there is no PEM certificate in it",
    ],
    ["an empty key", () => put("a.key", ""), "there is no PEM private key in it"],
    ["no file", () => rmSync(at("a.pem")), "there is no such file"],
  ];
  for (const [name, act, message] of accidents) {
    test(`${name}: the pair before goes on, the reason is told once, and the next good pair is taken`, () => {
      const following = new Following({ certificates: [putPair("a"), putPair("b", second)] });
      act();
      const told = following.after(30);
      expect(told).toHaveLength(1);
      expect(told[0]?.failures.map((failure) => failure.message)).toEqual([expect.stringContaining(message)]);
      expect(following.shown).toEqual(["first.test", "second.test"]);
      expect(following.errors).toEqual([expect.stringContaining(message), undefined]);
      expect(following.files.failures).toBe(1);
      putPair("a", second);
      following.after(2);
      expect(following.shown).toEqual(["second.test", "second.test"]);
      expect(following.errors).toEqual([undefined, undefined]);
    });
  }

  test("a file that is put back as it was is no event", () => {
    const following = new Following({ certificates: [putPair("a")] });
    renameSync(at("a.pem"), at("away.pem"));
    following.after(3);
    renameSync(at("away.pem"), at("a.pem"));
    expect(following.after(30)).toEqual([]);
  });

  test("one pair that keeps changing does not hold up another", () => {
    const following = new Following({ certificates: [putPair("a"), putPair("b")] });
    putPair("b", second);
    for (let round = 0; round < 5; round++) {
      put("a.pem", "x".repeat(round));
      following.after(1);
    }
    expect(following.shown).toEqual(["first.test", "second.test"]);
  });

  test("a broken pair that goes on since before a reload is an error of that reload", () => {
    const certificates = [putPair("a")];
    const following = new Following({ certificates });
    put("a.key", second.key);
    following.after(10);
    const { problems } = following.files.load(configOf({ certificates }), nowMs);
    expect(problems.map(({ severity }) => severity)).toEqual(["error"]);
  });

  test("files of endpoints and of client authentication are followed too", () => {
    const following = new Following({ upstream: { ca: put("ca.pem", ca.caPem) } });
    put("ca.pem", ca.caPem + ca.caPem);
    following.after(2);
    expect(following.current.files[at("ca.pem")]).toBe(ca.caPem + ca.caPem);
  });
});

test("what has aged since it was loaded is told, a line a file", async () => {
  const crl = put("crl.pem", await ca.revoke(first));
  const certificates = [putPair("a"), putPair("a")];
  const { files } = new Following({ certificates, crl, upstream: certificates[0] as { cert: string } });
  expect(files.aged(nowMs)).toEqual([]);
  expect(files.aged(nowMs + 25 * 86_400_000)).toEqual([
    expect.stringContaining("a.pem: the certificate expires in 4 days"),
    expect.stringContaining("crl.pem: the revocation list was to be replaced"),
  ]);
});

test("a thousand certificates are loaded within a second, and looked at in a few milliseconds", () => {
  const certificates = Array.from({ length: 1000 }, (_, index) => putPair(`p${index}`));
  const timed = (run: () => void): number => {
    const startedMs = performance.now();
    run();
    return performance.now() - startedMs;
  };
  let following: Following | undefined;
  // eight times what a quiet machine needs, and twenty times
  expect(
    timed(() => {
      following = new Following({ certificates });
    }),
  ).toBeLessThan(1000);
  expect(timed(() => following?.after(1))).toBeLessThan(100);
  expect(timed(() => following?.files.load(configOf({ certificates }), nowMs))).toBeLessThan(100);
});
