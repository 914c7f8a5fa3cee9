import { expect, test } from "bun:test";
import { testAuthority } from "../../tests/support/certificates.ts";
import { readRevocations, revocationsFlaw } from "./revocations.ts";

const ca = await testAuthority();
const list = await ca.revoke(await ca.issue());
const DAY_MS = 86_400_000;

/** A list of which only what is read here is real. */
function listOf(...elements: readonly (readonly [tag: number, content: string])[]): string {
  const wrap = (tag: number, content: Buffer) => Buffer.concat([Buffer.from([tag, content.length]), content]);
  const body = wrap(0x30, Buffer.concat(elements.map(([tag, content]) => wrap(tag, Buffer.from(content)))));
  return `-----BEGIN X509 CRL-----\n${wrap(0x30, body).toString("base64")}\n-----END X509 CRL-----\n`;
}
const HEAD = [
  [0x30, ""],
  [0x30, ""],
] as const;

test("a list tells when the next one is due", () => {
  const dueMs = readRevocations(list) as number;
  expect(Math.abs(dueMs - Date.now() - DAY_MS)).toBeLessThan(DAY_MS / 2);
});

const ROWS: readonly (readonly [name: string, pem: string, dueMs: number])[] = [
  [
    "a two-digit year",
    listOf(...HEAD, [0x17, "260101000000Z"], [0x17, "260201030405Z"]),
    Date.UTC(2026, 1, 1, 3, 4, 5),
  ],
  [
    "one of the last century",
    listOf(...HEAD, [0x17, "980101000000Z"], [0x17, "990101000000Z"]),
    Date.UTC(1999, 0, 1),
  ],
  [
    "a four-digit year",
    listOf(...HEAD, [0x18, "20500101000000Z"], [0x18, "20510101000000Z"]),
    Date.UTC(2051, 0, 1),
  ],
  [
    "a version in front",
    listOf([0x02, "\x01"], ...HEAD, [0x17, "260101000000Z"], [0x17, "260201000000Z"]),
    Date.UTC(2026, 1, 1),
  ],
  ["no next list", listOf(...HEAD, [0x17, "260101000000Z"]), Number.POSITIVE_INFINITY],
  [
    "no next list, but entries",
    listOf(...HEAD, [0x17, "260101000000Z"], [0x30, ""]),
    Number.POSITIVE_INFINITY,
  ],
];
for (const [name, pem, dueMs] of ROWS) {
  test(`${name} is read`, () => {
    expect(readRevocations(pem)).toBe(dueMs);
  });
}

test("of several lists the first to be due counts", () => {
  const soon = listOf(...HEAD, [0x17, "260101000000Z"], [0x17, "260201000000Z"]);
  expect(readRevocations(list + soon)).toBe(Date.UTC(2026, 1, 1));
});

test("what is no list is refused", () => {
  expect(readRevocations(ca.caPem)).toMatchObject({ message: "there is no PEM revocation list in it" });
});

test("a list that is cut anywhere is damaged, and is never read beyond its end (X.690 §8.1)", () => {
  const der = Buffer.from(list.split("\n").slice(1, -2).join(""), "base64");
  for (let length = 0; length < der.length; length++) {
    const text = der.subarray(0, length).toString("base64");
    const cut = `-----BEGIN X509 CRL-----\n${text}\n-----END X509 CRL-----\n`;
    expect(readRevocations(cut)).toMatchObject({ message: "revocation list 1 in it is damaged" });
  }
});

test("a list that is overdue is told", () => {
  const dueMs = Date.UTC(2026, 1, 1);
  expect(revocationsFlaw(dueMs, dueMs - 1)).toBeUndefined();
  expect(revocationsFlaw(dueMs, dueMs)?.message).toBe("the revocation list was to be replaced by 2026-02-01");
  expect(revocationsFlaw(Number.POSITIVE_INFINITY, dueMs)).toBeUndefined();
});
