/**
 * Stories: header blocks that other encoders made, decoded whole.
 *
 * use    a few are kept in tests/hpack/stories; WEIR_HPACK_STORIES=FOLDER decodes every story below FOLDER too
 */
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { DECODED_END, DECODED_FAILED, HpackDecoder } from "../../src/protocol/hpack/decoder.ts";
import { STATIC_COUNT } from "../../src/protocol/hpack/static-table.ts";

interface Story {
  readonly cases: readonly {
    readonly wire: string;
    /** Our SETTINGS_HEADER_TABLE_SIZE from this block on. */
    readonly header_table_size?: number;
    readonly headers: readonly Readonly<Record<string, string>>[];
  }[];
}

const KEPT = join(import.meta.dir, "stories");
const { WEIR_HPACK_STORIES: MORE } = process.env;

function storiesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".json"))
    .map((name) => join(folder, name))
    .sort();
}

function decode(decoder: HpackDecoder, wire: string): [name: string, value: string][] {
  const block = Buffer.from(wire, "hex");
  const fields: [string, string][] = [];
  expect(decoder.start(block, 0, block.length)).toBe("");
  for (let decoded = decoder.next(); decoded !== DECODED_END; decoded = decoder.next()) {
    if (decoded === DECODED_FAILED) throw new Error(decoder.failure);
    const { bytes, lineStart, nameLength, valueLength } = decoder;
    const nameEnd = lineStart + nameLength;
    const value = bytes.latin1Slice(nameEnd + 2, nameEnd + 2 + valueLength);
    expect(decoder.text()).toBe(value);
    fields.push([bytes.latin1Slice(lineStart, nameEnd), value]);
  }
  return fields;
}

for (const path of [...storiesIn(KEPT), ...(MORE === undefined ? [] : storiesIn(MORE))]) {
  test(`${relative(path.startsWith(KEPT) ? KEPT : (MORE as string), path)} is decoded whole`, () => {
    const story: Story = JSON.parse(readFileSync(path, "utf8"));
    const decoder = new HpackDecoder(new Int32Array(STATIC_COUNT + 1));
    expect(story.cases.length).toBeGreaterThan(0);
    for (const { wire, headers, header_table_size: tableBytes } of story.cases) {
      if (tableBytes !== undefined) decoder.setTableBytes(tableBytes);
      expect(decode(decoder, wire)).toEqual(
        headers.map((header) => Object.entries(header)[0] as [string, string]),
      );
    }
  });
}
