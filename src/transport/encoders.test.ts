import { afterEach, expect, test } from "bun:test";
import { eventually } from "../../tests/support/eventually.ts";
import type { Encoder } from "./encoder.ts";
import { CALM_LEVEL, Encoders } from "./encoders.ts";
import { BufferBudget } from "./wire.ts";

const MIB = 1024 * 1024;
let ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends) end();
  ends = [];
});

function encodersOf(limitBytes: number): {
  encoders: Encoders;
  budget: BufferBudget;
  open: () => Encoder | undefined;
} {
  const budget = new BufferBudget(limitBytes);
  const encoders = new Encoders(budget);
  const open = () => {
    const encoder = encoders.take("gzip", 5, "usual");
    if (encoder !== undefined) ends.push(() => encoder.close());
    return encoder;
  };
  return { encoders, budget, open };
}

test("encoders hold no more than their share of what may be buffered; the next body goes as it is", () => {
  const { encoders, budget, open } = encodersOf(8 * MIB);
  const opened: Encoder[] = [];
  for (let encoder = open(); encoder !== undefined; encoder = open()) opened.push(encoder);
  expect(opened.length).toBe(Math.ceil((2 * MIB) / (320 * 1024)));
  expect([encoders.open, encoders.refused]).toEqual([opened.length, 1]);
  expect(budget.usedBytes).toBe(opened.length * 320 * 1024);
  for (const encoder of opened) encoders.giveBack(encoder);
  expect([encoders.open, budget.usedBytes]).toEqual([0, 0]);
  expect(open()).toBeDefined();
});

test("while other buffers take half of the ceiling, none is opened", () => {
  const { budget, open } = encodersOf(100 * MIB);
  budget.usedBytes = 51 * MIB;
  expect(open()).toBeUndefined();
  budget.usedBytes = 49 * MIB;
  expect(open()).toBeDefined();
});

test("the level falls while the thread is busy, rises while it is calm, and stays between", () => {
  const { encoders } = encodersOf(MIB);
  expect(encoders.level).toBe(CALM_LEVEL);
  for (let looks = 0; looks < 20; looks++) encoders.judge(1, false);
  expect(encoders.level).toBe(1);
  encoders.judge(0.5, false); // averages 0.75
  for (let looks = 0; looks < 20; looks++) encoders.judge(0.7, false);
  expect(encoders.level).toBe(1);
  for (let looks = 0; looks < 20; looks++) encoders.judge(0.2, false);
  expect(encoders.level).toBe(CALM_LEVEL);
});

test("one busy moment is no load", () => {
  const { encoders } = encodersOf(MIB);
  encoders.judge(1, false);
  expect(encoders.level).toBe(CALM_LEVEL);
});

test("a look measures the thread: one that does nothing else is busy", () => {
  const { encoders } = encodersOf(MIB);
  const spin = (ms: number) => {
    const endMs = performance.now() + ms;
    while (performance.now() < endMs);
  };
  const deadlineMs = performance.now() + 3000;
  while (encoders.level === CALM_LEVEL && performance.now() < deadlineMs) {
    spin(20);
    encoders.look(false);
  }
  expect(encoders.level).toBeLessThan(CALM_LEVEL);
});

test("it is known while requests are turned away", () => {
  const { encoders } = encodersOf(MIB);
  encoders.look(true);
  expect(encoders.isOverloaded).toBe(true);
  encoders.look(false);
  expect(encoders.isOverloaded).toBe(false);
});

test("bodies are flushed together, once for each time they ask", async () => {
  const { encoders } = encodersOf(MIB);
  const told: string[] = [];
  encoders.flushSoon({ flush: () => told.push("one") });
  encoders.flushSoon({ flush: () => told.push("two") });
  expect(told).toEqual([]);
  await eventually(() => told.length === 2, 1000, "both to be flushed");
  encoders.flushSoon({ flush: () => told.push("again") });
  await eventually(() => told.length === 3, 1000, "the next round");
  expect(told).toEqual(["one", "two", "again"]);
});

test("apart from the thread one body is encoded at a time, and its memory counts", () => {
  const { encoders, budget } = encodersOf(100 * MIB);
  expect(encoders.beginApart(MIB, false)).toBe(true);
  expect([encoders.open, budget.usedBytes]).toEqual([1, MIB]);
  expect(encoders.beginApart(MIB, true)).toBe(false);
  encoders.endApart(MIB);
  expect([encoders.open, budget.usedBytes]).toEqual([0, 0]);
  expect(encoders.beginApart(MIB, true)).toBe(true);
});

test("it begins only where its memory is a small part of all", () => {
  const { encoders } = encodersOf(8 * MIB);
  expect(encoders.beginApart(MIB + 1, true)).toBe(false);
  expect(encoders.beginApart(MIB, true)).toBe(true);
});

test("in a busy thread it begins only where it spares that work; never while requests are turned away", () => {
  const { encoders } = encodersOf(100 * MIB);
  for (let looks = 0; looks < 5; looks++) encoders.judge(1, false);
  expect(encoders.beginApart(MIB, false)).toBe(false);
  expect(encoders.beginApart(MIB, true)).toBe(true);
  encoders.endApart(MIB);
  encoders.judge(1, true);
  expect(encoders.beginApart(MIB, true)).toBe(false);
});
