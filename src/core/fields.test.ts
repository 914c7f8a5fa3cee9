/** Fields: found, dropped, added and written, without touching what stays. */
import { expect, test } from "bun:test";
import { ID_UNKNOWN } from "./field-names.table.ts";
import { fieldIdOf, fieldMask } from "./field-names.ts";
import { Fields, fieldsOfLines, markLines, pairsOfLines } from "./fields.ts";
import { Out } from "./out.ts";

const TEXT = "Host: a\r\nX-One: 1\r\nVia: p\r\nX-Two: 2\r\nVIA: q\r\nx-one: 3\r\n";
const VIA = fieldIdOf("via");
const HOST = fieldIdOf("host");
const AGE = fieldIdOf("age");
const SERVER = fieldIdOf("server");

const sample = () => fieldsOfLines(TEXT);

function written(fields: Fields, low = 0, high = 0): string {
  const out = new Out();
  fields.writeTo(out, low, high);
  return out.bytes.toString("latin1", 0, out.length);
}

test("known fields are found by id, the first one first, all of them joined (RFC 9110 §5.3)", () => {
  const fields = sample();
  expect([fields.has(VIA), fields.has(AGE), fields.count]).toEqual([true, false, 6]);
  expect([fields.get(VIA), fields.joined(VIA), fields.get(AGE), fields.joined(AGE)]).toEqual([
    "p",
    "p, q",
    undefined,
    undefined,
  ]);
  expect([fields.indexOf(VIA), fields.indexOf(VIA, 3), fields.indexOf(VIA, 5), fields.indexOf(AGE)]).toEqual([
    2, 4, -1, -1,
  ]);
});

test("any field is found by its lower-case name", () => {
  const fields = sample();
  expect([fields.find("x-one"), fields.find("via"), fields.find("x-six"), fields.find("age")]).toEqual([
    "1",
    "p",
    undefined,
    undefined,
  ]);
});

test("names and values keep their spelling", () => {
  const fields = sample();
  expect([fields.nameAt(4), fields.valueAt(4), fields.idAt(4), fields.idAt(1)]).toEqual([
    "VIA",
    "q",
    VIA,
    ID_UNKNOWN,
  ]);
});

test("a value is compared byte by byte", () => {
  const fields = sample();
  expect([
    fields.isValue(0, "a"),
    fields.isValue(0, "A"),
    fields.isValue(0, "ab"),
    fields.isValue(0, ""),
  ]).toEqual([true, false, false, false]);
});

for (const [value, digits, number] of [
  ["0", 15, 0],
  ["5", 15, 5],
  ["007", 15, 7],
  ["123456789012345", 15, 123456789012345],
  ["1234567890123456", 15, -1],
  ["", 15, -1],
  ["+5", 15, -1],
  ["5a", 15, -1],
  [":", 15, -1],
  ["/", 15, -1],
  ["12", 1, -1],
] as const) {
  test(`${JSON.stringify(value)} in at most ${digits} digits is ${number}`, () => {
    expect(fieldsOfLines(`Age: ${value}\r\n`).digitsAt(0, digits)).toBe(number);
  });
}

test("dropped fields are gone for every question and every writer, the others stay as they are", () => {
  for (const [name, left] of [
    ["via", "Host: a\r\nX-One: 1\r\nX-Two: 2\r\nx-one: 3\r\n"],
    ["x-one", "Host: a\r\nVia: p\r\nX-Two: 2\r\nVIA: q\r\n"],
    ["host", TEXT.slice(9)],
    ["age", TEXT],
    ["x-none", TEXT],
  ] as const) {
    const fields = sample();
    fields.drop(name);
    expect(fields.find(name)).toBeUndefined();
    expect(written(fields)).toBe(left);
    expect(fields.linesWithout(0, 0)).toBe(left);
  }
});

test("dropping a high and a low id clears their bits only", () => {
  const fields = fieldsOfLines("Server: a\r\nAge: 1\r\nHost: b\r\nVia: c\r\n");
  fields.drop("server");
  fields.drop("host");
  expect([SERVER, AGE, HOST, VIA].map((id) => fields.has(id))).toEqual([false, true, false, true]);
  expect(written(fields)).toBe("Age: 1\r\nVia: c\r\n");
});

test("a name that shares its id with others is found, joined and dropped alone", () => {
  const text =
    "X-Client-Cert-San: a\r\nX_Real_IP: b\r\nClient-Cert: :c:\r\nX-CLIENT-CERT-SAN: d\r\nX_Request_Id: e\r\n";
  const fields = fieldsOfLines(text);
  expect([
    fields.find("client-cert"),
    fields.joinedNamed("x-client-cert-san"),
    fields.find("x_request_id"),
  ]).toEqual([":c:", "a, d", "e"]);
  expect([fields.find("x-client-cert-serial"), fields.joinedNamed("x_forwarded_for")]).toEqual([
    undefined,
    undefined,
  ]);
  fields.drop("x-client-cert-san");
  fields.drop("x_real_ip");
  expect(written(fields)).toBe("Client-Cert: :c:\r\nX_Request_Id: e\r\n");
  const { low, high } = fieldMask("client certificate");
  expect(written(fields, low, high)).toBe("X_Request_Id: e\r\n");
});

test("joinedNamed joins names known and unknown (RFC 9110 §5.3)", () => {
  const fields = sample();
  expect([fields.joinedNamed("via"), fields.joinedNamed("x-one"), fields.joinedNamed("x-six")]).toEqual([
    "p, q",
    "1, 3",
    undefined,
  ]);
});

test("a mask leaves fields out without dropping them", () => {
  const fields = fieldsOfLines("Server: a\r\nHost: b\r\nX-A: 1\r\nAge: 1\r\n");
  const low = 1 << HOST;
  const high = (1 << (SERVER - 32)) | (1 << (AGE - 32));
  expect(written(fields, low, 0)).toBe("Server: a\r\nX-A: 1\r\nAge: 1\r\n");
  expect(written(fields, 0, high)).toBe("Host: b\r\nX-A: 1\r\n");
  expect(written(fields, low, high)).toBe("X-A: 1\r\n");
  expect(written(fields, -1, -1)).toBe("");
  expect(fields.linesWithout(low, high)).toBe("X-A: 1\r\n");
  expect(written(fields)).toBe("Server: a\r\nHost: b\r\nX-A: 1\r\nAge: 1\r\n");
});

test("added fields come last, after drops and masks", () => {
  const fields = sample();
  fields.drop("x-one");
  fields.add("X-New", "n");
  expect(written(fields, 1 << VIA)).toBe("Host: a\r\nX-Two: 2\r\nX-New: n\r\n");
  expect(pairsOfLines(fields.linesWithout(0, 0)).at(-1)).toEqual(["X-New", "n"]);
});

test("more fields than there was room for are kept", () => {
  const text = Array.from({ length: 300 }, (_, at) => `X-${at}: ${at}\r\n`).join("");
  const fields = fieldsOfLines(text);
  expect([fields.count, fields.find("x-299"), written(fields) === text]).toEqual([300, "299", true]);
});

test("marks count from the base: a message may stand anywhere in its bytes", () => {
  const bytes = Buffer.from("junkGET\r\nA: b \r\nVia:c\r\n\r\njunk", "latin1");
  const fields = new Fields();
  fields.mark(5, 6, 8, 9, ID_UNKNOWN);
  fields.mark(12, 15, 16, 17, VIA);
  fields.bind(bytes, 4, 5, 19);
  expect([fields.find("a"), fields.get(VIA), written(fields)]).toEqual(["b", "c", "A: b \r\nVia:c\r\n"]);
  fields.drop("a");
  expect(written(fields)).toBe("Via:c\r\n");
});

test("a reset forgets fields, drops and additions", () => {
  const fields = sample();
  fields.drop("via");
  fields.add("X-New", "n");
  fields.reset();
  expect([fields.count, fields.low, fields.high, written(fields), fields.find("host")]).toEqual([
    0,
    0,
    0,
    "",
    undefined,
  ]);
});

test("marks tell where a field stands in its bytes", () => {
  const bytes = Buffer.from("junkHost: a\r\nX-One:  1 \r\n", "latin1");
  const fields = new Fields();
  fields.mark(0, 4, 6, 7, HOST);
  fields.mark(9, 14, 17, 18, ID_UNKNOWN);
  fields.bind(bytes, 4, 0, bytes.length - 4);
  const texts = [0, 1].map((index) => [
    bytes.toString("latin1", fields.nameStartAt(index), fields.nameEndAt(index)),
    bytes.toString("latin1", fields.valueStartAt(index), fields.valueEndAt(index)),
  ]);
  expect(texts).toEqual([
    ["Host", "a"],
    ["X-One", "1"],
  ]);
});

test("a last line that became longer is read to its new end", () => {
  const bytes = Buffer.from("A: 1\r\nCookie: a=1\r\n", "latin1");
  const fields = new Fields();
  markLines(fields, bytes, bytes.length);
  const longer = Buffer.from("A: 1\r\nCookie: a=1; b=2\r\n", "latin1");
  fields.extend(1, 5);
  fields.bind(longer, 0, 0, longer.length);
  expect([fields.find("cookie"), fields.find("a"), written(fields)]).toEqual([
    "a=1; b=2",
    "1",
    longer.toString(),
  ]);
});

test("lines are marked up to the end that is given, whatever stands behind it", () => {
  const fields = new Fields();
  markLines(fields, Buffer.from("Via: p\r\nX-A: \r\nX-B: 2\r\n", "latin1"), 15);
  expect([fields.count, fields.get(VIA), fields.find("x-a"), written(fields)]).toEqual([
    2,
    "p",
    "",
    "Via: p\r\nX-A: \r\n",
  ]);
});
