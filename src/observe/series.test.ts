import { describe, expect, test } from "bun:test";
import { BLOCKS, LISTENER, ROUTE } from "./metrics.table.ts";
import { parseSeriesKey, SeriesTable, seriesKey, sharedKey } from "./series.ts";

const RESERVED = Object.values(BLOCKS).reduce((sum, { slots }) => sum + slots, 0);

describe("series keys", () => {
  const rows: [key: string, expected: string, kind: string, labels: string[]][] = [
    [seriesKey("worker"), "worker", "worker", []],
    [seriesKey("listener", "http"), "listener:http", "listener", ["http"]],
    [seriesKey("route", "api:v1"), "route:api:v1", "route", ["api:v1"]],
    [seriesKey("endpoint", "app", "[::1]:80"), "endpoint:app|[::1]:80", "endpoint", ["app", "[::1]:80"]],
    [
      seriesKey("endpoint", "a|b", "unix:/c%7Cd"),
      "endpoint:a%7Cb|unix:/c%257Cd",
      "endpoint",
      ["a|b", "unix:/c%7Cd"],
    ],
    [seriesKey("route", "__proto__"), "route:__proto__", "route", ["__proto__"]],
    [seriesKey("route", ""), "route:", "route", [""]],
  ];
  for (const [key, expected, kind, labels] of rows) {
    test(`${expected} is written and read back`, () => {
      expect(key).toBe(expected);
      expect(parseSeriesKey(key)).toEqual({ kind, labels } as ReturnType<typeof parseSeriesKey>);
    });
  }
  for (const key of ["", "route", "routes:x", "worker:1", "endpoint:app", "endpoint:a|b|c", "toString:x"]) {
    test(`${JSON.stringify(key)} is not a key`, () => expect(parseSeriesKey(key)).toBeUndefined());
  }
});

describe("slots", () => {
  test("blocks never overlap, whatever their kind", () => {
    const table = new SeriesTable(10_000);
    const keys = [
      seriesKey("worker"),
      seriesKey("listener", "a"),
      seriesKey("endpoint", "u", "e"),
      seriesKey("route", "a"),
      seriesKey("listener", "b"),
      seriesKey("route", "other"),
    ];
    const slots = table.allocate(keys);
    const taken = new Set<number>();
    for (const key of keys) {
      const kind = parseSeriesKey(key)?.kind ?? "worker";
      for (let at = 0; at < BLOCKS[kind].slots; at++) {
        const slot = (slots[key] as number) + at;
        expect(taken.has(slot)).toBe(false);
        taken.add(slot);
      }
    }
    expect(Math.max(...taken)).toBeLessThan(table.used);
  });

  test("a key keeps its slot over reloads, even when it was gone in between", () => {
    const table = new SeriesTable(10_000);
    const first = table.allocate([seriesKey("route", "a"), seriesKey("route", "b")]);
    const second = table.allocate([seriesKey("route", "c"), seriesKey("route", "b")]);
    const third = table.allocate([seriesKey("route", "a")]);
    expect(second["route:b"]).toBe(first["route:b"] as number);
    expect(third["route:a"]).toBe(first["route:a"] as number);
    expect(Object.keys(third)).toEqual(["route:a"]);
    expect(Object.keys(table.slots())).toEqual(["route:a", "route:b", "route:c"]);
  });

  test("when the row is full further names share `other`, and a smaller kind may still fit", () => {
    const table = new SeriesTable(RESERVED + ROUTE.slots + LISTENER.slots);
    const slots = table.allocate(["route:a", "route:b", "route:c", "listener:l", "listener:m"]);
    expect(slots["route:a"]).toBe(RESERVED);
    expect(slots["route:b"]).toBe(slots["route:other"] as number);
    expect(slots["route:c"]).toBe(slots["route:other"] as number);
    expect(slots["listener:l"]).toBe(RESERVED + ROUTE.slots);
    expect(slots["listener:m"]).toBe(slots["listener:other"] as number);
    expect(table.slots()["route:c"]).toBe(slots["route:other"] as number);
    expect(table.used).toBeLessThanOrEqual(RESERVED + ROUTE.slots + LISTENER.slots);
  });

  test("names that share are forgotten with the configuration that had them", () => {
    const table = new SeriesTable(RESERVED);
    for (let version = 0; version < 50; version++) table.allocate([`route:r${version}`]);
    expect(Object.keys(table.slots())).toEqual(["route:other", "route:r49"]);
  });

  test("the shared series of each kind lie apart", () => {
    const table = new SeriesTable(RESERVED);
    const slots = table.allocate(["worker", "route:r", "listener:l", "endpoint:u|e"]);
    expect(slots[seriesKey("worker")]).toBe(0);
    expect(
      new Set([slots[seriesKey("worker")], slots["route:r"], slots["listener:l"], slots["endpoint:u|e"]])
        .size,
    ).toBe(4);
    expect(sharedKey("endpoint")).toBe("endpoint:other|other");
  });

  test("a saved table goes on where it was, through JSON", () => {
    const table = new SeriesTable(10_000);
    const before = table.allocate(["worker", "route:a", "endpoint:u|e"]);
    const restored = SeriesTable.restore(JSON.parse(JSON.stringify(table.save())));
    expect(restored.slots()).toEqual(table.slots());
    const after = restored.allocate(["route:b", "route:a"]);
    expect(after["route:a"]).toBe(before["route:a"] as number);
    expect(after["route:b"]).toBe(table.used);
  });

  test("a row too short for the shared series, and a key that is none, are defects", () => {
    expect(() => new SeriesTable(RESERVED - 1)).toThrow(RangeError);
    expect(() => new SeriesTable(RESERVED).allocate(["nonsense:x"])).toThrow(TypeError);
  });
});
