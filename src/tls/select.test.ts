import { expect, test } from "bun:test";
import type { CertificatePair } from "./materials.ts";
import { CertificateTable, NameSet } from "./select.ts";

function pair(id: string, names: readonly string[], keyType: "ec" | "rsa" = "ec"): CertificatePair {
  return { id, names, keyType, cert: `cert ${id}`, key: `key ${id}` };
}

const TABLE = new CertificateTable([
  pair("first", ["a.test", "www.a.test"]),
  pair("wild", ["*.a.test"]),
  pair("first-rsa", ["a.test", "www.a.test"], "rsa"),
  pair("later", ["a.test"]),
  pair("rsa", ["b.test"], "rsa"),
  pair("deep", ["*.x.b.test"]),
]);

const ROWS: readonly [serverName: string, id: string | undefined, why: string][] = [
  ["a.test", "first+first-rsa", "a name written out finds its pairs of both key types, the first of each"],
  ["www.a.test", "first+first-rsa", "a name written out beats a wildcard"],
  ["api.a.test", "wild", "a wildcard stands for one label (RFC 9525 §6.3)"],
  ["x.api.a.test", undefined, "and not for two"],
  ["b.test", "rsa", "a name may have an RSA certificate alone"],
  ["y.x.b.test", "deep", "a wildcard may stand below any name"],
  ["x.b.test", undefined, "a wildcard does not stand for nothing"],
  ["test", undefined, "a single label matches no wildcard"],
  [".a.test", undefined, "an empty label is no label"],
  ["", undefined, "no name is no certificate's name"],
];
for (const [serverName, id, why] of ROWS) {
  test(`${why}: ${serverName === "" ? "no name" : serverName}`, () => {
    expect(TABLE.find(serverName)?.id).toBe(id as string);
  });
}

test("the default is the first pair, with the one of the other key type for the same name", () => {
  expect(TABLE.fallback?.id).toBe("first+first-rsa");
});

test("the default is the first pair also when it has no name", () => {
  expect(new CertificateTable([pair("bare", []), pair("a", ["a.test"])]).fallback?.id).toBe("bare");
});

test("without certificates there is no default", () => {
  expect(new CertificateTable([]).fallback).toBeUndefined();
});

test("the same pairs are one choice, whatever the name", () => {
  expect(TABLE.find("a.test")).toBe(TABLE.find("www.a.test"));
  expect([...TABLE.choices].map(({ id }) => id).sort()).toEqual(["deep", "first+first-rsa", "rsa", "wild"]);
});

test("a choice covers the names of its certificates, wildcards for one label", () => {
  const names = new NameSet(["a.test", "*.b.test"]);
  expect(
    ["a.test", "x.b.test", "b.test", "x.y.b.test", "x.a.test"].map((name) => names.covers(name)),
  ).toEqual([true, true, false, false, false]);
});

test("ten thousand names are found as fast as ten", () => {
  const timeOf = (count: number) => {
    const table = new CertificateTable(
      Array.from({ length: count }, (_, at) => pair(`p${at}`, [`n${at}.test`])),
    );
    const names = Array.from({ length: 20_000 }, (_, at) => `n${at % count}.test`);
    let bestMs = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 5; round++) {
      const startMs = performance.now();
      for (const name of names) if (table.find(name) === undefined) throw new Error(name);
      bestMs = Math.min(bestMs, performance.now() - startMs);
    }
    return bestMs;
  };
  timeOf(10);
  // a search through all would take a thousand times as long; caches of the processor cost some
  expect(timeOf(10_000)).toBeLessThan(timeOf(10) * 30 + 5);
});
