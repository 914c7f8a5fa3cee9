import { expect, test } from "bun:test";
import { eventually } from "../../tests/support/eventually.ts";
import type { BodyReader, BodyWriter } from "../cache/store.ts";
import type { BodyRef } from "../cache/stored.ts";
import { BufferBudget } from "../transport/wire.ts";
import { GrowingBody, type GrowthReader, type Keeper } from "./growing-body.ts";

const SMALL = 1000;
const WINDOW = 1024 * 1024;

/** A number in [0, 1) each time, the same ones for a seed. */
function chances(seed: number): () => number {
  let state = seed * 2654435761 + 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Bytes that say where they stand. */
function pattern(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at++) bytes[at] = (at * 31 + (at >> 8) * 7) & 0xff;
  return bytes;
}

/** A file of the store that is as slow, as full and as fragile as a test says. */
class TestFile implements BodyWriter {
  length = 0;
  onDrain: (() => void) | undefined;
  onFail: ((detail: string) => void) | undefined;
  state: "open" | "failed" | "kept" | "gone" = "open";
  readonly bytes: Buffer;
  readonly failsAfter: number;
  readonly isSlow: boolean;
  isLost = false;

  constructor(room: number, failsAfter: number, isSlow: boolean) {
    this.bytes = Buffer.alloc(room);
    this.failsAfter = failsAfter;
    this.isSlow = isSlow;
  }

  write(bytes: Buffer): boolean {
    if (this.state !== "open") return true;
    if (this.length + bytes.length > this.failsAfter) {
      this.state = "failed";
      this.onFail?.("full");
      return true;
    }
    bytes.copy(this.bytes, this.length);
    this.length += bytes.length;
    if (this.isSlow) setImmediate(() => this.onDrain?.());
    return !this.isSlow;
  }

  async read(position: number, end: number): Promise<Buffer> {
    await Bun.sleep(0);
    if (this.state === "gone" || this.isLost) throw new Error("gone");
    if (end > this.length) throw new Error("behind what was taken");
    return Buffer.from(this.bytes.subarray(position, Math.min(end, position + 700)));
  }

  async finish(): Promise<BodyRef> {
    await Bun.sleep(0);
    if (this.state !== "open") throw new Error("cannot be kept");
    this.state = "kept";
    return { id: 1, length: this.length };
  }

  abort(): void {
    if (this.state !== "kept") this.state = "gone";
  }
}

class TestKeeper implements Keeper {
  readonly smallBytes = SMALL;
  readonly maxBytes: number;
  readonly file: TestFile | undefined;
  small: Buffer | undefined;
  kept: BodyRef | undefined;
  forgotten = "";
  openCount = 0;

  constructor(maxBytes: number, file: TestFile | undefined) {
    this.maxBytes = maxBytes;
    this.file = file;
  }

  write = () => this.file;
  keepSmall(body: Buffer): void {
    this.small = Buffer.from(body);
  }

  keepFile(ref: BodyRef): void {
    this.kept = ref;
  }

  forget(why: string): void {
    this.forgotten += why;
  }

  async open(ref: BodyRef): Promise<BodyReader | undefined> {
    const bytes = Buffer.from(this.file?.bytes.subarray(0, ref.length) ?? "");
    this.openCount++;
    await Bun.sleep(0);
    return {
      length: ref.length,
      read: (position, end) => Promise.resolve(bytes.subarray(position, end)),
      close: () => void this.openCount--,
    };
  }
}

/** Reads when told to, as far as it likes. */
class TestReader implements GrowthReader {
  position = 0;
  readonly pieces: Buffer[] = [];
  isBroken = false;
  isOver = false;
  readonly #body: GrowingBody;
  #isReading = false;

  constructor(body: GrowingBody) {
    this.#body = body;
    body.join(this);
  }

  grown(): void {
    // it reads at its own pace
  }

  broken(): void {
    this.isBroken = true;
    this.#leave();
  }

  /** One piece, if there is one. */
  async step(): Promise<void> {
    if (this.isOver || this.#isReading) return;
    if (this.position === this.#body.length) {
      if (this.#body.isComplete) this.#leave();
      return;
    }
    this.#isReading = true;
    const held = this.#body.peek(this.position);
    const bytes = held ?? (await this.#body.read(this.position, this.#body.length).catch(() => undefined));
    this.#isReading = false;
    if (this.isOver) return;
    if (bytes === undefined) {
      this.broken();
      return;
    }
    this.pieces.push(Buffer.from(bytes));
    this.position += bytes.length;
    this.#body.moved();
  }

  #leave(): void {
    this.isOver = true;
    this.#body.leave(this);
  }

  leave(): void {
    if (!this.isOver) this.#leave();
  }
}

interface Law {
  readonly what: string;
  readonly bytes: number;
  readonly piece: number;
  readonly maxBytes?: number;
  readonly file?: { readonly failsAfter?: number; readonly isSlow?: boolean };
  readonly isDeclared?: boolean;
}

const LAWS: readonly Law[] = [
  { what: "a small body", bytes: 900, piece: 100 },
  { what: "a small body of known length", bytes: 900, piece: 100, isDeclared: true },
  { what: "an empty body", bytes: 0, piece: 1 },
  { what: "a large body", bytes: 50_000, piece: 3000, file: {} },
  { what: "a large body of known length", bytes: 50_000, piece: 3000, file: {}, isDeclared: true },
  { what: "a large body and a slow file", bytes: 50_000, piece: 3000, file: { isSlow: true } },
  { what: "a large body and no file", bytes: 2_600_000, piece: 300_000 },
  { what: "a large body of known length and no file", bytes: 2_600_000, piece: 300_000, isDeclared: true },
  { what: "a file that fills up", bytes: 2_600_000, piece: 300_000, file: { failsAfter: 700_000 } },
  {
    what: "a file that takes nothing",
    bytes: 2_600_000,
    piece: 300_000,
    file: { failsAfter: 0, isSlow: true },
  },
  { what: "a body that is too large", bytes: 2_600_000, piece: 300_000, maxBytes: 1_000_000, file: {} },
  {
    what: "a body that is too large for a slow file",
    bytes: 2_600_000,
    piece: 300_000,
    maxBytes: 1_000_000,
    file: { isSlow: true },
  },
];

for (const law of LAWS) {
  test(`${law.what}: each reader gets exactly its bytes, whatever the cuts and the pace; nothing is held in the end`, async () => {
    for (let seed = 1; seed <= 5; seed++) await obey(law, seed);
  });
}

/** One body with its file, its readers and the endpoint that sends it. */
class Passage {
  readonly keeper: TestKeeper;
  readonly file: TestFile | undefined;
  readonly budget = new BufferBudget(1e9);
  readonly body: GrowingBody;
  readonly readers: TestReader[];
  readonly whole: Buffer;
  mostBytes = 0;
  readonly #law: Law;
  readonly #chance: () => number;
  #sentBytes = 0;
  #isPaused = false;

  constructor(law: Law, chance: () => number) {
    const { failsAfter = Number.POSITIVE_INFINITY, isSlow = false } = law.file ?? {};
    this.#law = law;
    this.#chance = chance;
    this.whole = pattern(law.bytes);
    this.file = law.file === undefined ? undefined : new TestFile(law.bytes, failsAfter, isSlow);
    this.keeper = new TestKeeper(law.maxBytes ?? Number.POSITIVE_INFINITY, this.file);
    this.body = new GrowingBody(this.keeper, this.budget, law.isDeclared === true ? law.bytes : -1);
    this.body.onRoom = () => {
      this.#isPaused = false;
    };
    if (chance() < 0.5) this.#send();
    this.readers = Array.from({ length: 3 }, () => new TestReader(this.body));
  }

  async run(): Promise<void> {
    const quitter = new TestReader(this.body);
    this.body.opened();
    for (let step = 0; this.readers.some(({ isOver }) => !isOver); step++) {
      if (step > 20_000) throw new Error("no end");
      if (step === 5) quitter.leave();
      await this.#step();
    }
    quitter.leave();
    await eventually(() => !this.body.isBeingKept);
  }

  async #step(): Promise<void> {
    this.#send();
    if (!this.body.isComplete && this.#chance() < 0.05 && this.body.isWhole) {
      this.readers.push(new TestReader(this.body));
    }
    for (const reader of this.readers) if (this.#chance() < 0.6) await reader.step();
    this.mostBytes = Math.max(this.mostBytes, this.budget.usedBytes);
    if (this.#isPaused && this.file?.isSlow === true) await Bun.sleep(0);
  }

  #send(): void {
    const { bytes: all, piece } = this.#law;
    if (this.#isPaused || this.body.isComplete) return;
    if (this.#sentBytes === all) {
      this.body.end();
      return;
    }
    const end = Math.min(all, this.#sentBytes + 1 + Math.floor(this.#chance() * piece));
    const bytes = Buffer.from(this.whole.subarray(this.#sentBytes, end));
    this.#sentBytes = end;
    this.#isPaused = !this.body.take(bytes);
    bytes.fill(0); // the reader that brought it goes on
  }
}

async function obey(law: Law, seed: number): Promise<void> {
  const passage = new Passage(law, chances(seed));
  await passage.run();
  const { keeper, file, whole, budget, readers, mostBytes } = passage;
  for (const reader of readers) {
    expect([seed, reader.isBroken, Buffer.concat(reader.pieces).equals(whole)]).toEqual([seed, false, true]);
  }
  expect(mostBytes).toBeLessThanOrEqual(Math.max(SMALL, WINDOW) + law.piece);
  const isSmall = law.bytes <= SMALL;
  const isKept =
    law.bytes <= Math.min(keeper.maxBytes, file?.failsAfter ?? law.bytes) && (isSmall || file !== undefined);
  const isThere = keeper.small?.equals(whole) ?? keeper.kept?.length === law.bytes;
  expect([seed, isThere, keeper.forgotten === ""]).toEqual([seed, isKept, isKept]);
  expect([seed, budget.usedBytes, keeper.openCount]).toEqual([seed, 0, 0]);
  if (file !== undefined) expect([seed, file.state]).toEqual([seed, isKept ? "kept" : "gone"]);
}

function setOut(file: TestFile | undefined, declared = -1) {
  const keeper = new TestKeeper(Number.POSITIVE_INFINITY, file);
  const budget = new BufferBudget(1e9);
  return { keeper, budget, body: new GrowingBody(keeper, budget, declared) };
}

test("what breaks off breaks for all, is not kept, and leaves nothing", () => {
  for (const bytes of [10, 5000]) {
    const file = new TestFile(10_000, 10_000, false);
    const { keeper, budget, body } = setOut(file);
    const reader = new TestReader(body);
    body.opened();
    body.take(pattern(bytes));
    body.fail("cut");
    body.fail("again");
    expect([reader.isBroken, keeper.forgotten, budget.usedBytes, body.isWhole]).toEqual([
      true,
      "cut",
      0,
      false,
    ]);
    expect([keeper.small, keeper.kept]).toEqual([undefined, undefined]);
    if (bytes > SMALL) expect(file.state).toBe("gone");
  }
});

test("what the store forgets as soon as it has it is read to its end by those who had begun", async () => {
  const file = new TestFile(50_000, 50_000, false);
  const { keeper, body } = setOut(file);
  const reader = new TestReader(body);
  body.opened();
  body.take(pattern(50_000));
  body.end();
  await eventually(() => keeper.kept !== undefined);
  file.isLost = true;
  while (!reader.isOver) await reader.step();
  expect([reader.isBroken, Buffer.concat(reader.pieces).equals(pattern(50_000)), keeper.openCount]).toEqual([
    false,
    true,
    0,
  ]);
});

test("a file that cannot be finished is given up, once its readers have all of it", async () => {
  const file = new TestFile(50_000, 50_000, false);
  const { keeper, budget, body } = setOut(file);
  const reader = new TestReader(body);
  body.opened();
  body.take(pattern(50_000));
  file.state = "failed";
  body.end();
  await eventually(() => keeper.forgotten === "room");
  expect(file.state).toBe("failed");
  while (!reader.isOver) await reader.step();
  expect([reader.isBroken, file.state as string, budget.usedBytes]).toEqual([false, "gone", 0]);
});

test("a file that cannot be finished and that nobody reads is given up at once", async () => {
  const file = new TestFile(50_000, 50_000, false);
  const { keeper, body } = setOut(file);
  body.opened();
  body.take(pattern(50_000));
  file.state = "failed";
  body.end();
  await eventually(() => keeper.forgotten === "room");
  expect(file.state as string).toBe("gone");
});

test("an end that comes while those who waited are still joining is the end for all of them", async () => {
  const { body, budget } = setOut(undefined);
  const first = new TestReader(body);
  body.take(pattern(500));
  body.end();
  while (!first.isOver) await first.step();
  const second = new TestReader(body);
  body.opened();
  while (!second.isOver) await second.step();
  expect([Buffer.concat(second.pieces).length, budget.usedBytes]).toEqual([500, 0]);
});

test("without a file the endpoint pauses when the slowest reader is a window behind, and goes on when it has read", async () => {
  const { body } = setOut(undefined);
  const [fast, slow] = [new TestReader(body), new TestReader(body)];
  body.opened();
  let isTold = false;
  body.onRoom = () => {
    isTold = true;
  };
  let sent = 0;
  while (body.take(pattern(100_000))) {
    sent += 100_000;
    await fast.step();
    if (sent > 2 * WINDOW) throw new Error("it never pauses");
  }
  await fast.step();
  expect([fast.position, isTold]).toEqual([sent + 100_000, false]);
  await slow.step();
  expect(isTold).toBe(true);
});
