import { expect, test } from "bun:test";
import { BufferArena } from "./memory/arena.ts";
import { BOARD_RULES, privateMemory, RULE_BYTES } from "./memory/layout.ts";
import { LAST_CLOCK, SharedPurgeBoard, secretIn } from "./purge-board.ts";
import { factsOf } from "./store.cases.ts";
import type { PurgeScope } from "./store.ts";

const SIZES = { memoryBytes: 1024 * 1024, diskBytes: 0, workers: 1 };

function memoryOf(secret: readonly [number, number] = [7, 8]) {
  return privateMemory(SIZES, secret, () => new BufferArena(0));
}

const URL = "a.example:8080/shop/item?id=1";
const OF = {
  url: URL,
  host: "a.example",
  tags: ["item-1", "shop"],
  origin: "https://a.example:8080",
  groups: ["g"],
};

/** Facts of what was fetched just now. */
function fetched(board: SharedPurgeBoard) {
  return factsOf({ mark: board.clock, purgeSlots: board.slotsOf(OF) });
}

const HITS: readonly PurgeScope[] = [
  { kind: "all" },
  { kind: "url", url: URL },
  { kind: "host", host: "a.example" },
  { kind: "tag", tag: "item-1" },
  { kind: "tag", tag: "shop" },
  { kind: "group", origin: "https://a.example:8080", group: "g" },
  { kind: "prefix", prefix: "a.example:8080/shop/" },
  { kind: "prefix", prefix: "a.example" },
  { kind: "prefix", prefix: URL },
  { kind: "prefix", prefix: "" },
];
const MISSES: readonly PurgeScope[] = [
  { kind: "url", url: "a.example:8080/shop/item?id=2" },
  { kind: "host", host: "b.example" },
  { kind: "tag", tag: "item-2" },
  { kind: "tag", tag: URL },
  { kind: "group", origin: "https://b.example", group: "g" },
  { kind: "group", origin: "https://a.example:8080", group: "h" },
  { kind: "prefix", prefix: "a.example:8080/shopping" },
  { kind: "prefix", prefix: "b" },
];

for (const scope of HITS) {
  test(`a purge reaches what it is for: ${JSON.stringify(scope)}`, () => {
    const board = new SharedPurgeBoard(memoryOf());
    const before = fetched(board);
    expect(board.stateOf(before, URL)).toBe("alive");
    board.purge(scope, true);
    expect(board.stateOf(before, URL)).toBe("stale");
    board.purge(scope, false);
    expect(board.stateOf(before, URL)).toBe("gone");
    expect(board.stateOf(fetched(board), URL)).toBe("alive");
  });
}

for (const scope of MISSES) {
  test(`a purge leaves what it is not for: ${JSON.stringify(scope)}`, () => {
    const board = new SharedPurgeBoard(memoryOf());
    const before = fetched(board);
    board.purge(scope, false);
    board.purge(scope, true);
    expect(board.stateOf(before, URL)).toBe("alive");
  });
}

test("what a fetch brings that began before the purge is purged, though it came after", () => {
  const board = new SharedPurgeBoard(memoryOf());
  const facts = fetched(board);
  board.purge({ kind: "tag", tag: "shop" }, false);
  board.purge({ kind: "tag", tag: "other" }, false);
  expect(board.stateOf(facts, URL)).toBe("gone");
});

test("of a full ring of prefixes the oldest becomes a purge of its host: never too little", () => {
  const board = new SharedPurgeBoard(memoryOf());
  const old = fetched(board);
  board.purge({ kind: "prefix", prefix: "a.example:8080/shop" }, false);
  const later = fetched(board);
  for (let number = 0; number < BOARD_RULES * 2; number++) {
    board.purge({ kind: "prefix", prefix: `b.example/${number}` }, false);
    if (board.stateOf(old, URL) !== "gone") throw new Error(`lives again after ${number} more`);
  }
  expect(board.stateOf(later, URL)).toBe("alive");
  expect(board.rules()).toHaveLength(BOARD_RULES);
});

test("a long prefix is cut, so that it purges more", () => {
  const board = new SharedPurgeBoard(memoryOf());
  const url = `a.example/${"x".repeat(2 * RULE_BYTES)}`;
  const facts = factsOf({ mark: board.clock });
  board.purge({ kind: "prefix", prefix: url }, false);
  expect([board.stateOf(facts, url), board.stateOf(facts, "a.example/")]).toEqual(["gone", "alive"]);
});

test("a process that died while it wrote a prefix delays nobody, and the next one purges a host instead", () => {
  const memory = memoryOf();
  const board = new SharedPurgeBoard(memory);
  const facts = fetched(board);
  memory.board[2] = 1;
  board.purge({ kind: "prefix", prefix: "a.example:8080/elsewhere" }, false);
  expect(board.stateOf(facts, URL)).toBe("gone");
});

test("all boards of one memory are one, and each tells by a number that something was purged", () => {
  const memory = memoryOf();
  const [one, other] = [new SharedPurgeBoard(memory), new SharedPurgeBoard(memory)];
  const facts = fetched(one);
  for (const scope of HITS) {
    const { made } = other;
    one.purge(scope, false);
    expect(other.made).not.toBe(made);
    expect(other.stateOf(facts, URL)).toBe("gone");
  }
});

test("a snapshot brings all purges back, to a board with its secret only", () => {
  const board = new SharedPurgeBoard(memoryOf());
  const purged = fetched(board);
  board.purge({ kind: "tag", tag: "shop" }, false);
  board.purge({ kind: "prefix", prefix: "c.example/x" }, true);
  const later = fetched(board);
  const snapshot = board.snapshot();
  expect(secretIn(snapshot)).toEqual([7, 8]);
  const next = new SharedPurgeBoard(memoryOf());
  expect([next.restore(snapshot), next.restore(snapshot)]).toEqual([true, true]);
  expect(next.rules()).toHaveLength(1);
  expect([next.clock, next.stateOf(purged, URL), next.stateOf(later, URL)]).toEqual([2, "gone", "alive"]);
  expect(next.stateOf(purged, "c.example/xy")).toBe("gone");
  expect(next.stateOf(factsOf({ mark: 0 }), "c.example/xy")).toBe("stale");
  expect(next.slotsOf(OF)).toEqual(board.slotsOf(OF));
  expect(new SharedPurgeBoard(memoryOf([7, 9])).restore(snapshot)).toBe(false);
});

test("what is no snapshot, or half of one, is refused", () => {
  const board = new SharedPurgeBoard(memoryOf());
  board.purge({ kind: "prefix", prefix: "c.example/x" }, true);
  board.purge({ kind: "tag", tag: "x" }, true);
  const snapshot = board.snapshot();
  for (let length = 0; length < snapshot.length; length++) {
    expect(new SharedPurgeBoard(memoryOf()).restore(snapshot.subarray(0, length))).toBe(false);
  }
});

test("a purge that was written down is the same when it is made again", () => {
  const board = new SharedPurgeBoard(memoryOf());
  const before = fetched(board);
  const clock = board.nextClock();
  board.purgeAt({ kind: "tag", tag: "shop" }, false, clock);
  const after = fetched(board);
  board.purgeAt({ kind: "tag", tag: "shop" }, false, clock);
  expect([board.stateOf(before, URL), board.stateOf(after, URL), board.clock]).toEqual([
    "gone",
    "alive",
    clock,
  ]);
});

test("when no later clock is left, everything counts as purged, and marks still fit a record", () => {
  const board = new SharedPurgeBoard(memoryOf());
  const early = fetched(board);
  board.skipTo(LAST_CLOCK - 2);
  const late = fetched(board);
  expect([board.stateOf(early, URL), board.stateOf(late, URL), board.isWornOut]).toEqual([
    "alive",
    "alive",
    false,
  ]);
  for (let purge = 0; purge < 5; purge++) board.purge({ kind: "tag", tag: "other" }, false);
  expect([board.clock, board.isWornOut]).toEqual([LAST_CLOCK, true]);
  for (const facts of [early, late, fetched(board)]) expect(board.stateOf(facts, URL)).toBe("gone");
});

test("an unsafe request purges a URL only where something was fetched for it since the last such purge", () => {
  const board = new SharedPurgeBoard(memoryOf());
  expect(board.invalidate(URL)).toBe(false);
  expect(board.clock).toBe(0);
  const facts = factsOf({ mark: board.begin(URL), purgeSlots: board.slotsOf(OF) });
  expect(board.stateOf(facts, URL)).toBe("alive");
  expect(board.invalidate(URL)).toBe(true);
  expect(board.stateOf(facts, URL)).toBe("gone");
  expect(board.invalidate(URL)).toBe(false);
});

test("after a start that found something, anything may be there", () => {
  const board = new SharedPurgeBoard(memoryOf());
  board.knowAll();
  expect(board.invalidate("a.example/never-seen")).toBe(true);
});

test("a purge that a killed process had begun hides nothing from the next, and is in force for all", () => {
  const memory = memoryOf();
  const board = new SharedPurgeBoard(memory);
  const mark = board.begin(URL);
  const before = factsOf({ mark, purgeSlots: board.slotsOf(OF) });
  const killed = new SharedPurgeBoard(memory);
  killed.nextClock = () => {
    throw new Error("killed");
  };
  expect(() => killed.invalidate(URL)).toThrow("killed");
  const { made } = board;
  board.recover();
  expect(board.made).not.toBe(made);
  expect([board.invalidate(URL), board.stateOf(before, URL)]).toEqual([true, "gone"]);
});
