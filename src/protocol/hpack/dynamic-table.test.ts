/** Dynamic table: counted, evicted and moved, and still every entry is what it was. */
import { expect, test } from "bun:test";
import { DynamicTable } from "./dynamic-table.ts";

function insert(table: DynamicTable, name: string, value: string): void {
  const start = table.insert(name.length, value.length, name.length);
  if (start !== -1) table.bytes.latin1Write(`${name}: ${value}\r\n`, start);
}

function entries(table: DynamicTable): string[] {
  return Array.from({ length: table.count }, (_, index) => {
    const slot = table.slotOf(index + 1);
    const start = table.startAt(slot);
    const length = table.nameLengthAt(slot) + table.valueLengthAt(slot) + 2;
    const line = table.bytes.latin1Slice(start, start + length);
    expect(line.endsWith(`: ${table.textAt(slot)}`)).toBe(true);
    expect(table.noteAt(slot)).toBe(table.nameLengthAt(slot));
    return line;
  });
}

test("entries of every size come, go and keep their bytes; size and memory keep their bounds", () => {
  for (const maxBytes of [0, 64, 200, 4096, 16384]) {
    const table = new DynamicTable(maxBytes);
    const model: string[] = [];
    let size = 0;
    for (let number = 0; number < 3000; number++) {
      const name = "n".repeat(1 + (number % 17));
      const value = String(number).repeat(1 + ((number * 7) % 23));
      insert(table, name, value);
      model.unshift(`${name}: ${value}`);
      size += name.length + value.length + 32;
      while (size > maxBytes) size -= (model.pop() as string).length - 2 + 32;
      expect(table.size).toBe(size);
      if (number % 50 === 0) expect(entries(table)).toEqual(model);
    }
    expect(table.bytes.length).toBeLessThanOrEqual(Math.max(512, maxBytes * 4));
  }
});

test("a smaller bound lets the oldest go", () => {
  const table = new DynamicTable(4096);
  for (const name of ["a", "b", "c"]) insert(table, name, "1");
  table.resize(70);
  expect(entries(table)).toEqual(["c: 1", "b: 1"]);
  table.resize(0);
  expect([table.count, table.size, table.insert(1, 1, 0)]).toEqual([0, 0, -1]);
  table.resize(4096);
  insert(table, "d", "2");
  expect(entries(table)).toEqual(["d: 2"]);
});

test("an empty table holds no memory for lines", () => {
  expect(new DynamicTable(4096).bytes.length).toBe(0);
});
