/** The Connection field (RFC 9110 §7.6.1): what it asks for, what it takes out, what it may not touch. */
import { expect, test } from "bun:test";
import { KNOWN_NAMES } from "../../core/field-names.table.ts";
import { fieldsOfLines, pairsOfLines } from "../../core/fields.ts";
import {
  CONNECTION_CLOSE,
  CONNECTION_KEEP_ALIVE,
  CONNECTION_UPGRADE,
  HOP_BY_HOP,
  readConnection,
} from "./connection-field.ts";

const fieldsOf = (...lines: readonly string[]) => fieldsOfLines(lines.map((line) => `${line}\r\n`).join(""));

for (const [lines, bits] of [
  [[], 0],
  [["Connection: close"], CONNECTION_CLOSE],
  [["Connection: Close"], CONNECTION_CLOSE],
  [["Connection: keep-alive"], CONNECTION_KEEP_ALIVE],
  [["Connection: Keep-Alive"], CONNECTION_KEEP_ALIVE],
  [["Connection: Upgrade"], CONNECTION_UPGRADE],
  [["Connection: keep-alive, Upgrade"], CONNECTION_KEEP_ALIVE | CONNECTION_UPGRADE],
  [["Connection: keep-alive", "Connection: close"], CONNECTION_KEEP_ALIVE | CONNECTION_CLOSE],
  [["Connection: close", "Connection: close"], CONNECTION_CLOSE],
  [["Connection: ,, close ,"], CONNECTION_CLOSE],
  [["Connection: "], 0],
  [["Connection: closed, x-close"], 0],
  [['Connection: "close"'], 0],
] as const) {
  test(`${JSON.stringify(lines)} asks for ${bits}`, () => {
    expect(readConnection(fieldsOf(...lines))).toBe(bits);
  });
}

test("named fields are taken out in any case, all of them, the others stay", () => {
  const fields = fieldsOf("X-A: 1", "Connection: x-a, X-B,close", "X-B: 2", "x-a: 3", "X-C: 4", "ETag: 5");
  readConnection(fields);
  expect(pairsOfLines(fields.linesWithout(0, 0)).map(([name]) => name)).toEqual([
    "Connection",
    "X-C",
    "ETag",
  ]);
});

const PROTECTED = [
  "host",
  "content-length",
  "transfer-encoding",
  "upgrade",
  "te",
  "trailer",
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-forwarded-port",
  "forwarded",
  "via",
  "x-request-id",
  "x-real-ip",
  "client-cert",
  "x-client-cert-subject",
  "authorization",
  "cookie",
  "set-cookie",
  "cache-control",
  "vary",
  "age",
  "expires",
  "pragma",
  "content-encoding",
];

for (const name of PROTECTED) {
  test(`${name} stays although Connection names it`, () => {
    const fields = fieldsOf(`${name}: 1`, `Connection: ${name.toUpperCase()}, connection`);
    readConnection(fields);
    expect([fields.find(name), fields.find("connection")]).toEqual([
      "1",
      `${name.toUpperCase()}, connection`,
    ]);
  });
}

test("every other known field goes when it is named", () => {
  for (const name of KNOWN_NAMES) {
    if (PROTECTED.includes(name) || name === "connection") continue;
    const fields = fieldsOf(`${name}: 1`, `Connection: ${name}`);
    readConnection(fields);
    expect([name, name === "keep-alive" ? undefined : fields.find(name)]).toEqual([name, undefined]);
  }
});

test("the fields of one hop are these (RFC 9110 §7.6.1)", () => {
  const names = KNOWN_NAMES.filter(
    (_, id) => (id < 32 ? HOP_BY_HOP.low >>> id : HOP_BY_HOP.high >>> (id - 32)) & 1,
  );
  expect([...names].sort()).toEqual([
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
  ]);
});
