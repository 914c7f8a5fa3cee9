/**
 * Store cases: what every store must do, whatever it is made of. Each tier's test runs them.
 */
import { expect, test } from "bun:test";
import type { BodyFiles } from "./body-files.ts";
import type { BodyReader, BodyWriter, CacheStore, NewResponse } from "./store.ts";
import type { BodyRef, StoredFacts, StoredResponse } from "./stored.ts";

export const NOW = 1_700_000_000_000;
const MINUTE = 60_000;

export function factsOf(changes: Partial<StoredFacts> = {}): StoredFacts {
  return {
    status: 200,
    requestedAtMs: NOW - 20,
    respondedAtMs: NOW,
    initialAgeMs: 0,
    lifetimeMs: MINUTE,
    staleWhileRevalidateMs: 0,
    staleIfErrorMs: 0,
    keepMs: MINUTE,
    flags: 0,
    mark: 0,
    purgeSlots: new Uint32Array(0),
    firstByte: 0,
    completeLength: -1,
    ...changes,
  };
}

/** A key as keys are made: route, URL, the rest. */
export const keyOf = (path: string, host = "a.example") => `site\nhttps://${host}${path}`;

export function responseOf(
  key: string,
  body: string | Buffer,
  changes: Partial<NewResponse> = {},
): NewResponse {
  return {
    key,
    facts: factsOf(),
    reason: "OK",
    lines: Buffer.from('Content-Type: text/plain\r\nETag: "1"\r\n'),
    body: typeof body === "string" ? Buffer.from(body) : body,
    file: undefined,
    ...changes,
  };
}

/** What `find` gives, read if it is cold. */
export async function found(
  store: CacheStore,
  key: string,
  nowMs = NOW,
): Promise<StoredResponse | undefined> {
  const response = store.find(key, nowMs);
  return response !== undefined && "isCold" in response ? store.read(response) : response;
}

export const textOf = (response: StoredResponse | undefined) => response?.body?.toString("latin1");

/** Body files of one process, for tests: everything at once, in its own memory. */
export class MemoryBodyFiles implements BodyFiles {
  readonly isMemory: boolean;
  budgetBytes: number;
  readonly kept = new Map<number, Buffer>();
  #nextId = 2 ** 40;

  constructor(isMemory = true, budgetBytes = Number.MAX_SAFE_INTEGER) {
    this.isMemory = isMemory;
    this.budgetBytes = budgetBytes;
  }

  create(): BodyWriter {
    const id = this.#nextId++;
    const pieces: Buffer[] = [];
    return {
      get length() {
        return pieces.reduce((sum, { length }) => sum + length, 0);
      },
      onDrain: undefined,
      onFail: undefined,
      write(bytes) {
        pieces.push(bytes);
        return true;
      },
      read: (position, end) => Promise.resolve(Buffer.concat(pieces).subarray(position, end)),
      finish: () => {
        this.kept.set(id, Buffer.concat(pieces));
        return Promise.resolve({ id, length: Buffer.concat(pieces).length });
      },
      abort() {
        pieces.length = 0;
      },
    };
  }

  open({ id, length }: BodyRef): Promise<BodyReader | undefined> {
    const bytes = this.kept.get(id);
    if (bytes?.length !== length) return Promise.resolve(undefined);
    const read = (position: number, end: number) => Promise.resolve(bytes.subarray(position, end));
    return Promise.resolve({ length, read, close: () => undefined });
  }

  remove({ id }: BodyRef): void {
    this.kept.delete(id);
  }
}

type Run = (store: CacheStore, other: CacheStore) => unknown;

/** `other` is the same store as another process sees it. */
const CASES: readonly (readonly [sentence: string, run: Run])[] = [
  [
    "what was put is found, all of it, by everybody",
    async (store, other) => {
      const facts = factsOf({
        status: 404,
        initialAgeMs: 1234.5,
        staleIfErrorMs: 7,
        flags: 517,
        mark: 0,
        purgeSlots: Uint32Array.of(3, 99, 70_000),
        firstByte: 10,
        completeLength: 2 ** 40,
      });
      const response = responseOf(keyOf("/x?a=b"), "body", { facts, reason: "Not here" });
      expect(store.put(response)).toBe(true);
      for (const seen of [await found(store, response.key), await found(other, response.key)]) {
        expect(seen?.key).toBe(response.key);
        expect(seen?.facts).toEqual(facts);
        expect(seen?.reason).toBe("Not here");
        expect([seen?.fields.find("content-type"), seen?.fields.find("etag")]).toEqual(["text/plain", '"1"']);
        expect([textOf(seen), seen?.bodyLength, seen?.file]).toEqual(["body", 4, undefined]);
      }
    },
  ],

  [
    "what was never put is not found",
    async (store) => {
      store.put(responseOf(keyOf("/x"), "x"));
      expect(store.find(keyOf("/y"), NOW)).toBeUndefined();
      expect(store.find(`${keyOf("/x")}\n`, NOW)).toBeUndefined();
      expect(store.peek(keyOf("/y"))).toBeUndefined();
    },
  ],

  [
    "what is put later stands in the place of what was, for everybody, also where it was at hand",
    async (store, other) => {
      const key = keyOf("/x");
      store.put(responseOf(key, "one"));
      expect([textOf(await found(store, key)), textOf(await found(other, key))]).toEqual(["one", "one"]);
      other.put(responseOf(key, "two"));
      expect([textOf(await found(store, key)), textOf(await found(other, key))]).toEqual(["two", "two"]);
    },
  ],

  [
    "what was removed is not found, by nobody",
    async (store, other) => {
      const key = keyOf("/x");
      store.put(responseOf(key, "x"));
      await found(other, key);
      store.remove(key);
      store.remove(key);
      expect([await found(store, key), await found(other, key), store.peek(key)]).toEqual([
        undefined,
        undefined,
        undefined,
      ]);
    },
  ],

  [
    "bodies and heads of any length come back as they were, empty ones too",
    async (store) => {
      for (const length of [0, 1, 63, 64, 65, 4095, 4096, 16_000, 60_000]) {
        const body = Buffer.alloc(length, `${length}-`);
        expect(store.put(responseOf(keyOf(`/${length}`), body, { lines: Buffer.alloc(0) }))).toBe(true);
        expect((await found(store, keyOf(`/${length}`)))?.body?.equals(body)).toBe(true);
      }
    },
  ],

  [
    "what is too large is refused, and what stood there stays",
    async (store) => {
      const key = keyOf("/x");
      store.put(responseOf(key, "small"));
      expect(store.put(responseOf(key, Buffer.alloc(store.smallBytes)))).toBe(false);
      expect(textOf(await found(store, key))).toBe("small");
    },
  ],

  [
    "what is given out is nobody's own memory, and does not change with what is put later",
    async (store) => {
      const key = keyOf("/x");
      store.put(responseOf(key, "first"));
      const first = await found(store, key);
      for (let number = 0; number < 300; number++)
        store.put(responseOf(keyOf(`/${number}`), Buffer.alloc(30_000, 1)));
      expect(textOf(first)).toBe("first");
      expect(first?.body?.length).not.toBe(first?.body?.buffer.byteLength);
    },
  ],

  [
    "past keeping it is not found",
    async (store) => {
      const key = keyOf("/x");
      store.put(responseOf(key, "x", { facts: factsOf({ initialAgeMs: MINUTE / 2 }) }));
      expect(textOf(await found(store, key, NOW + MINUTE * 1.5))).toBe("x");
      expect(await found(store, key, NOW + MINUTE * 1.5 + 1)).toBeUndefined();
    },
  ],

  [
    "a purge is in force for everybody at once, and what is fetched later is not purged",
    async (store, other) => {
      const key = keyOf("/x");
      const { board } = store;
      const slots = {
        url: "a.example/x",
        host: "a.example",
        tags: ["t"],
        origin: "https://a.example",
        groups: [],
      };
      const put = () =>
        store.put(
          responseOf(key, "x", { facts: factsOf({ mark: board.clock, purgeSlots: board.slotsOf(slots) }) }),
        );
      put();
      expect(textOf(await found(other, key))).toBe("x");
      board.purge({ kind: "tag", tag: "t" }, false);
      expect([await found(store, key), await found(other, key)]).toEqual([undefined, undefined]);
      put();
      expect([textOf(await found(store, key)), textOf(await found(other, key))]).toEqual(["x", "x"]);
      board.purge({ kind: "url", url: slots.url }, true);
      const seen = await found(other, key);
      expect([textOf(seen), seen && other.board.stateOf(seen.facts, slots.url)]).toEqual(["x", "stale"]);
    },
  ],

  [
    "one of all refreshes a response, until it is put again or the time is up",
    async (store, other) => {
      const key = keyOf("/x");
      expect(store.claimRefresh(key, NOW, 1000)).toBe(true);
      store.put(responseOf(key, "x"));
      expect([store.claimRefresh(key, NOW, 1000), other.claimRefresh(key, NOW + 500, 1000)]).toEqual([
        true,
        false,
      ]);
      expect([other.claimRefresh(key, NOW + 2000, 1000), store.claimRefresh(key, NOW + 2001, 1000)]).toEqual([
        true,
        false,
      ]);
      other.put(responseOf(key, "y"));
      expect(store.claimRefresh(key, NOW + 2002, 1000)).toBe(true);
    },
  ],

  [
    "whatever is stored, old things make room for new ones, and nothing wrong is found",
    async (store) => {
      const bodyOf = (number: number) => Buffer.alloc(1 + ((number * 7919) % 40_000), `${number}.`);
      let kept = 0;
      for (let number = 0; number < 3000; number++) {
        expect(store.put(responseOf(keyOf(`/${number}`), bodyOf(number)))).toBe(true);
        const older = Math.floor(number / 2);
        const seen = await found(store, keyOf(`/${older}`));
        if (seen === undefined) continue;
        kept++;
        expect(seen.body?.equals(bodyOf(older))).toBe(true);
      }
      expect(kept).toBeGreaterThan(0);
      expect(textOf(await found(store, keyOf("/2999")))).toBe(bodyOf(2999).toString("latin1"));
    },
  ],

  [
    "a large body is a file: it is found by reference, goes with its response, and stays when that is freshened",
    async (store, other) => {
      const key = keyOf("/big");
      const write = async (fill: string) => {
        const writer = store.write(100_000);
        writer?.write(Buffer.alloc(100_000, fill));
        return (await writer?.finish()) as BodyRef;
      };
      const file = await write("a");
      store.put(responseOf(key, "", { body: undefined, file }));
      const seen = await found(other, key);
      expect([seen?.body, seen?.file, seen?.bodyLength]).toEqual([undefined, file, 100_000]);
      store.put(responseOf(key, "", { body: undefined, file, reason: "Fresh" }));
      expect((await (await other.open(file))?.read(99_998, 100_000))?.toString()).toBe("aa");
      const second = await write("b");
      store.put(responseOf(key, "", { body: undefined, file: second }));
      expect([await store.open(file), (await store.open(second))?.length]).toEqual([undefined, 100_000]);
      store.remove(key);
      expect(await store.open(second)).toBeUndefined();
    },
  ],

  [
    "a body that nobody can keep is refused, and leaves nothing",
    async (store) => {
      expect(store.write(store.largestBodyBytes + 1)).toBeUndefined();
      const writer = store.write(-1);
      let failure = "";
      if (writer !== undefined) writer.onFail = (detail) => (failure = detail);
      const piece = 1024 * 1024;
      for (let written = 0; written <= store.largestBodyBytes; written += piece)
        writer?.write(Buffer.alloc(piece));
      expect(failure).not.toBe("");
      expect(store.write(1000)).toBeDefined();
    },
  ],
];

/**
 * Runs the cases. in  `open`: a new store, empty, that takes some MiB, with body files, and the same store as another
 * process sees it
 */
export function storeCases(name: string, open: () => { store: CacheStore; other: CacheStore }): void {
  for (const [sentence, run] of CASES) {
    test(`${name}: ${sentence}`, async () => {
      const { store, other } = open();
      await run(store, other);
    });
  }
}
