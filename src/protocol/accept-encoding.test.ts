import { describe, expect, test } from "bun:test";
import { type Coding, chooseEncoding } from "./accept-encoding.ts";

const ALL: readonly Coding[] = ["zstd", "br", "gzip"];
const NONE = "none";

describe("the coding that a client gets (RFC 9110 §12.5.3)", () => {
  const rows: readonly (readonly [accept: string | undefined, coding: Coding | typeof NONE, why: string])[] =
    [
      [undefined, NONE, "a client that says nothing may know no coding"],
      ["", NONE, "an empty value takes no coding"],
      ["gzip", "gzip", "the only one"],
      ["GZip", "gzip", "codings are named in any case (§8.4.1)"],
      ["x-gzip", "gzip", "x-gzip is gzip (§8.4.1.3)"],
      ["gzip, deflate, br, zstd", "zstd", "among equals our order decides"],
      ["gzip;q=1, br;q=0.9, zstd;q=0.8", "gzip", "the client's weights come first"],
      ["gzip; q=0.5 , br ; q=0.7", "br", "white space around the weight"],
      ["gzip;q=0.001", "gzip", "the smallest weight still is one"],
      ["gzip;q=0", NONE, "a weight of 0 refuses"],
      ["gzip;q=0.000, br;q=0.0", NONE, "whatever its digits"],
      ["*", "zstd", "any coding"],
      ["*;q=0.5, gzip", "gzip", "a named one before any other"],
      ["*, zstd;q=0", "br", "any but a refused one"],
      ["*;q=0", NONE, "none at all"],
      ["*;q=0, br", "br", "none but one"],
      ["deflate, compress", NONE, "none of ours"],
      ["identity", NONE, "no coding is asked for"],
      ["identity, gzip", "gzip", "as welcome as none: it is smaller"],
      ["identity;q=1, gzip;q=0.5", NONE, "no coding is liked better"],
      ["identity;q=0.5, gzip;q=1", "gzip", "the coding is liked better"],
      ["gzip;q=2", NONE, "a weight that is none makes the member void"],
      ["gzip;q=0.1234", NONE, "three digits at most (§12.4.2)"],
      ["gzip;level=9", NONE, "a parameter that is no weight"],
      ["gzip;q=, br", "br", "the others count"],
      [",, gzip ,", "gzip", "empty members are skipped (§5.6.1)"],
      ["gzip, gzip;q=0.2, br;q=0.9", "gzip", "named twice: the higher weight"],
      ["gzip\u0000", NONE, "no token"],
    ];
  for (const [accept, coding, why] of rows) {
    test(`${JSON.stringify(accept)}: ${coding}, ${why}`, () => {
      expect(chooseEncoding(accept, ALL).coding ?? NONE).toBe(coding);
    });
  }

  test("our order and our set decide what there is", () => {
    expect(chooseEncoding("gzip, br, zstd", ["gzip", "br"]).coding).toBe("gzip");
    expect(chooseEncoding("zstd", ["gzip", "br"]).coding).toBeUndefined();
    expect(chooseEncoding("*", []).coding).toBeUndefined();
  });

  test("what comes after 32 members is not read", () => {
    expect(chooseEncoding(`${"x,".repeat(32)}gzip`, ALL).coding).toBeUndefined();
    expect(chooseEncoding(`${"x,".repeat(31)}gzip`, ALL).coding).toBe("gzip");
  });
});

test("identity is refused by its own weight of 0, or by that of * (RFC 9110 §12.5.3)", () => {
  const rows: readonly (readonly [accept: string | undefined, isRefused: boolean])[] = [
    ["gzip, identity;q=0", true],
    ["gzip, *;q=0", true],
    ["*;q=0, identity;q=0.1", false],
    ["gzip", false],
    [undefined, false],
  ];
  for (const [accept, isRefused] of rows) {
    expect([accept, chooseEncoding(accept, ALL).refusesIdentity]).toEqual([accept, isRefused]);
  }
});
