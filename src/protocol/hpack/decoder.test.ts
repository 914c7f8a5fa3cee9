/** Decoder: the examples of the RFC, and every way in which a block can be wrong. */
import { expect, test } from "bun:test";
import { DECODED_END, DECODED_FAILED, HpackDecoder } from "./decoder.ts";
import { STATIC_COUNT } from "./static-table.ts";

const newDecoder = () => new HpackDecoder(new Int32Array(STATIC_COUNT + 1));

/** The fields as `name: value`, or the failure. */
function decode(decoder: HpackDecoder, hex: string): readonly string[] | string {
  const block = Buffer.from(`aa${hex.replaceAll(" ", "")}aa`, "hex");
  const fields: string[] = [];
  if (decoder.start(block, 1, block.length - 1) !== "") return decoder.failure;
  for (let decoded = decoder.next(); decoded !== DECODED_END; decoded = decoder.next()) {
    if (decoded === DECODED_FAILED) return decoder.failure;
    const { bytes, lineStart, nameLength, valueLength } = decoder;
    const line = bytes.latin1Slice(lineStart, lineStart + nameLength + valueLength + 4);
    expect(line.slice(nameLength, nameLength + 2) + line.slice(-2)).toBe(": \r\n");
    expect(line.slice(nameLength + 2, -2)).toBe(decoder.text());
    fields.push(line.slice(0, -2));
  }
  return fields;
}

const GET = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
const GET_HTTPS = [":method: GET", ":scheme: https", ":path: /index.html", ":authority: www.example.com"];
const FOUND = [
  "cache-control: private",
  "date: Mon, 21 Oct 2013 20:13:21 GMT",
  "location: https://www.example.com",
];
const LAST_RESPONSE = [
  ":status: 200",
  "cache-control: private",
  "date: Mon, 21 Oct 2013 20:13:22 GMT",
  "location: https://www.example.com",
  "content-encoding: gzip",
  "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
];

for (const [example, tableBytes, blocks] of [
  [
    "C.2.1",
    4096,
    [["400a637573746f6d2d6b65790d637573746f6d2d686561646572", ["custom-key: custom-header"], 55]],
  ],
  ["C.2.2", 4096, [["040c2f73616d706c652f70617468", [":path: /sample/path"], 0]]],
  ["C.2.3", 4096, [["100870617373776f726406736563726574", ["password: secret"], 0]]],
  ["C.2.4", 4096, [["82", [":method: GET"], 0]]],
  [
    "C.3",
    4096,
    [
      ["828684410f7777772e6578616d706c652e636f6d", GET, 57],
      ["828684be58086e6f2d6361636865", [...GET, "cache-control: no-cache"], 110],
      [
        "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
        [...GET_HTTPS, "custom-key: custom-value"],
        164,
      ],
    ],
  ],
  [
    "C.4",
    4096,
    [
      ["828684418cf1e3c2e5f23a6ba0ab90f4ff", GET, 57],
      ["828684be5886a8eb10649cbf", [...GET, "cache-control: no-cache"], 110],
      ["828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", [...GET_HTTPS, "custom-key: custom-value"], 164],
    ],
  ],
  [
    "C.5",
    256,
    [
      [
        "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d",
        [":status: 302", ...FOUND],
        222,
      ],
      ["4803333037c1c0bf", [":status: 307", ...FOUND], 222],
      [
        "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
        LAST_RESPONSE,
        215,
      ],
    ],
  ],
  [
    "C.6",
    256,
    [
      [
        "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
        [":status: 302", ...FOUND],
        222,
      ],
      ["4883640effc1c0bf", [":status: 307", ...FOUND], 222],
      [
        "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
        LAST_RESPONSE,
        215,
      ],
    ],
  ],
] as const) {
  test(`RFC 7541 Appendix ${example} is decoded, and leaves the table as it says`, () => {
    const decoder = newDecoder();
    if (tableBytes !== 4096) {
      decoder.setTableBytes(tableBytes);
      decoder.table.resize(tableBytes);
    }
    for (const [hex, fields, size] of blocks) {
      expect(decode(decoder, hex)).toEqual([...fields]);
      expect(decoder.table.size).toBe(size);
    }
  });
}

for (const [what, hex, failure] of [
  ["index 0 (§6.1)", "80", "index 0"],
  ["an index past an empty table (§2.3.3)", "be", "index past the end of the table"],
  ["a name index past the table", "7f00 0161", "index past the end of the table"],
  ["an integer of too many bytes (§5.1)", "ff8080808080808000", "integer too large, or cut"],
  ["an integer that is too large", "ffffffffff7f", "integer too large, or cut"],
  ["an integer that is cut", "ff80", "integer too large, or cut"],
  ["an integer without its first byte behind it", "ff", "integer too large, or cut"],
  ["a literal without a name", "40", "block ends inside of a field"],
  ["a literal without a value", "400161", "block ends inside of a field"],
  ["a name past the end of the block", "40056162", "string past the end of the block"],
  ["a value past the end of the block", "4001610562", "string past the end of the block"],
  ["a string of 2^28 bytes", "4001617fffffff7f", "string past the end of the block"],
  ["a name with bad Huffman code (§5.2)", "40 84ffffffff 0161", "Huffman code"],
  ["a value with bad Huffman code (§5.2)", "40 0161 81ff", "Huffman code"],
  ["a table size above the limit (§6.3)", "3fe21f", "table size above SETTINGS_HEADER_TABLE_SIZE"],
  ["a table size behind a field (§4.2)", "8220", "table size update inside of a block"],
] as const) {
  test(`${what} fails`, () => {
    expect(decode(newDecoder(), hex)).toBe(failure);
  });
}

test("table sizes at the start of a block are taken, and evict (§4.3)", () => {
  const decoder = newDecoder();
  expect(decode(decoder, "400161013140016201324001630133")).toEqual(["a: 1", "b: 2", "c: 3"]);
  expect([decode(decoder, "3f25 be"), decoder.table.count]).toEqual([["c: 3"], 2]);
  expect([decode(decoder, "20 3fe11f"), decoder.table.count, decoder.table.maxBytes]).toEqual([[], 0, 4096]);
  expect(decode(decoder, "be")).toBe("index past the end of the table");
});

test("a limit that was lowered has to be confirmed before the next field (§4.2)", () => {
  const decoder = newDecoder();
  decoder.setTableBytes(100);
  expect(decode(decoder, "82")).toBe("table size not lowered");
  expect(decode(decoder, "3f45 82")).toEqual([":method: GET"]);
});

test("an entry larger than the table empties it (§4.4)", () => {
  const decoder = newDecoder();
  decode(decoder, "3f21 4001610131"); // 64 bytes; one entry of 34
  expect(decoder.table.count).toBe(1);
  const value = "62".repeat(40);
  expect(decode(decoder, `40016128${value}`)).toEqual([`a: ${"b".repeat(40)}`]);
  expect([decoder.table.count, decoder.table.size]).toEqual([0, 0]);
});

test("a new entry may take its name from the one that it pushes out (§4.4)", () => {
  const decoder = newDecoder();
  decode(decoder, "3f0b 400a637573746f6d2d6b65790131"); // 42 bytes; the entry has 43
  expect(decoder.table.count).toBe(0);
  decode(decoder, "3f0c 400a637573746f6d2d6b65790131");
  expect(decoder.table.count).toBe(1);
  expect(decode(decoder, "7e0132")).toEqual(["custom-key: 2"]);
  expect(decode(decoder, "be")).toEqual(["custom-key: 2"]);
});

test("a literal that is not indexed leaves the table alone", () => {
  const decoder = newDecoder();
  expect(decode(decoder, "0001610131 1001620132 0f0d0133")).toEqual(["a: 1", "b: 2", "content-length: 3"]);
  expect(decoder.table.count).toBe(0);
});

test("what was noted about an entry comes back with it; of a name, with its other values", () => {
  const decoder = newDecoder();
  const block = Buffer.from("4001610131be7e0132", "hex");
  decoder.start(block, 0, block.length);
  decoder.next();
  expect(decoder.note).toBe(0);
  decoder.remember(0x142);
  decoder.next();
  expect(decoder.note).toBe(0x142);
  decoder.next();
  expect([decoder.note, decoder.text()]).toEqual([0x42, "2"]);
});
