/**
 * Patterned responses: what a stored response must be follows from its number and version, so that any wrong byte is seen.
 */
import type { CacheStore, NewResponse } from "../../src/cache/store.ts";
import { type BodyRef, EXPLICIT, type StoredFacts, type StoredResponse } from "../../src/cache/stored.ts";

/** Version, and when it was made, stand at the beginning of each body. */
const HEAD_BYTES = 16;
const TAGS = 16;

export const keyOf = (number: number) => `r\nhttp://cache.test/${number}`;
export const tagOf = (number: number) => `tag${number % TAGS}`;

/** Small ones and large ones: every eighth has a file. */
export function bodyLengthOf(number: number): number {
  return number % 8 === 7 ? 70_000 + ((number * 7919) % 400_000) : HEAD_BYTES + ((number * 7919) % 30_000);
}

export interface Born {
  readonly version: number;
  readonly bornMs: number;
}

export function bodyOf(number: number, { version, bornMs }: Born): Buffer {
  const body = Buffer.allocUnsafe(bodyLengthOf(number));
  fillPattern(body, number, version);
  body.writeDoubleLE(version, 0);
  body.writeDoubleLE(bornMs, 8);
  return body;
}

function fillPattern(body: Buffer, number: number, version: number): void {
  let state = (number * 2_654_435_761 + version * 40_503 + 1) | 0;
  for (let at = HEAD_BYTES; at < body.length; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    body[at] = state >>> 24;
  }
}

/** What a body says of itself. out  undefined when it is not one that was ever made for this number */
export function bornOf(number: number, body: Buffer): Born | undefined {
  if (body.length !== bodyLengthOf(number)) return undefined;
  const born = { version: body.readDoubleLE(0), bornMs: body.readDoubleLE(8) };
  return bodyOf(number, born).equals(body) ? born : undefined;
}

export function factsOf(store: CacheStore, number: number, nowMs: number): StoredFacts {
  const url = `cache.test/${number}`;
  const origin = "http://cache.test";
  const names = { url, host: "cache.test", tags: [tagOf(number)], origin, groups: [] };
  return {
    status: 200,
    requestedAtMs: nowMs,
    respondedAtMs: nowMs,
    initialAgeMs: 0,
    lifetimeMs: 3_600_000,
    staleWhileRevalidateMs: 0,
    staleIfErrorMs: 0,
    keepMs: 0,
    flags: EXPLICIT,
    mark: store.board.clock,
    purgeSlots: store.board.slotsOf(names),
    firstByte: 0,
    completeLength: -1,
  };
}

/** Stores one. out  false when it was not taken */
export async function putPatterned(store: CacheStore, number: number, version: number): Promise<boolean> {
  const nowMs = Date.now();
  const facts = factsOf(store, number, nowMs);
  const body = bodyOf(number, { version, bornMs: nowMs });
  const head = {
    key: keyOf(number),
    facts,
    reason: "OK",
    lines: Buffer.from("Content-Type: x/y\r\n", "latin1"),
  };
  if (body.length + 1000 <= store.smallBytes) return store.put({ ...head, body, file: undefined });
  const file = await writeBody(store, body);
  const response: NewResponse = { ...head, body: undefined, file };
  return file !== undefined && store.put(response);
}

async function writeBody(store: CacheStore, body: Buffer): Promise<BodyRef | undefined> {
  const writer = store.write(body.length);
  if (writer === undefined) return undefined;
  for (let at = 0; at < body.length; at += 65_536) writer.write(Buffer.from(body.subarray(at, at + 65_536)));
  try {
    return await writer.finish();
  } catch {
    return undefined;
  }
}

/** Finds one and reads all of it. out  undefined when it is not there */
export async function readPatterned(store: CacheStore, number: number): Promise<Buffer | undefined> {
  const found = store.find(keyOf(number), Date.now());
  const response = found !== undefined && "isCold" in found ? await store.read(found) : found;
  return response === undefined ? undefined : await bodyBytesOf(store, response);
}

async function bodyBytesOf(store: CacheStore, { body, file }: StoredResponse): Promise<Buffer | undefined> {
  if (file === undefined) return body;
  const reader = await store.open(file);
  if (reader === undefined) return undefined;
  try {
    const pieces: Buffer[] = [];
    for (let at = 0; at < file.length; ) {
      const piece = await reader.read(at, file.length);
      pieces.push(piece);
      at += piece.length;
    }
    return Buffer.concat(pieces);
  } catch {
    return undefined; // damaged: an exchange would be cut here
  } finally {
    reader.close();
  }
}
