/**
 * Crowds that want parts, of bodies that change, break off and are purged: nobody gets bytes of two versions in one answer.
 */
import { expect, test } from "bun:test";
import { type Asked, CacheStage, NOTHING_LEFT, type StagedClient } from "../../tests/support/cache-stage.ts";
import { eventually } from "../../tests/support/eventually.ts";
import { clock } from "../transport/clock.ts";

const STEPS = 250;

function chances(seed: number): () => number {
  let state = seed * 2654435761 + 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** One URL, whose versions are all different at every byte, or nearly. */
class Film {
  readonly length: number;
  readonly #versions: Buffer[] = [];

  constructor(length: number) {
    this.length = length;
    this.change();
  }

  get version(): number {
    return this.#versions.length - 1;
  }

  change(): void {
    const version = this.#versions.length;
    const text = Buffer.alloc(this.length);
    for (let at = 0; at < this.length; at++) text[at] = 65 + ((at * 7 + (at >> 8) * 3 + version * 11) % 57);
    this.#versions.push(text);
  }

  text(version: number, from = 0, end = this.length): string {
    return (this.#versions[version] as Buffer).latin1Slice(from, end);
  }
}

interface World {
  readonly stage: CacheStage;
  readonly film: Film;
  readonly chance: () => number;
  readonly people: Person[];
  /** The version when it was purged last. */
  purgedAt: number;
}

interface Person {
  readonly client: StagedClient;
  /** No answer is older than this. */
  readonly oldest: number;
}

const below = ({ chance }: World, count: number) => Math.floor(chance() * count);

// ── the endpoint ──

/** What is still to be sent of each answer. */
class Endpoint {
  readonly #world: World;
  readonly #sending = new Map<Asked, string>();
  readonly #done = new Set<Asked>();
  isKind = false;

  constructor(world: World) {
    this.#world = world;
  }

  get #open(): Asked[] {
    return this.#world.stage.asked.filter((asked) => !this.#done.has(asked) && !asked.isCancelled);
  }

  get isBusy(): boolean {
    return this.#open.length > 0;
  }

  step(): void {
    const open = this.#open;
    const asked = open[below(this.#world, open.length)];
    if (asked === undefined) return;
    if (!this.isKind && this.#world.chance() < 0.04) this.#finish(asked, () => this.#fail(asked));
    else if (this.#sending.has(asked)) this.#send(asked);
    else this.#begin(asked);
  }

  #finish(asked: Asked, act: () => void): void {
    this.#done.add(asked);
    act();
  }

  #fail(asked: Asked): void {
    asked.fail(this.#sending.has(asked) ? "upstream_cut" : "upstream_reset");
  }

  #begin(asked: Asked): void {
    const { film, chance } = this.#world;
    const { version } = film;
    const tag = `"${version}"`;
    const fields = [
      chance() < 0.3 ? "Cache-Control: max-age=1" : "Cache-Control: max-age=60",
      `ETag: ${tag}`,
    ];
    const { lines } = asked;
    const ifRange = /If-Range: (\S+)/.exec(lines)?.[1] ?? tag;
    const isRange = ifRange === tag && asked.exchange.method === "GET" && chance() > 0.03;
    const range = isRange ? /Range: bytes=(\d*)-(\d*)\r/.exec(lines) : null;
    if (lines.includes(`If-None-Match: ${tag}`)) this.#finish(asked, () => asked.answer(304, fields, ""));
    else if (range === null) this.#reply(asked, 200, fields, film.text(version));
    else this.#replyPart(asked, fields, range);
  }

  #replyPart(asked: Asked, fields: readonly string[], [, first = "", last = ""]: RegExpExecArray): void {
    const { film } = this.#world;
    const { length, version } = film;
    const from = first === "" ? Math.max(0, length - Number(last)) : Number(first);
    const end = first === "" || last === "" ? length : Math.min(length, Number(last) + 1);
    const place = `Content-Range: bytes ${from}-${end - 1}/${length}`;
    if (from >= length) this.#reply(asked, 416, [`Content-Range: bytes */${length}`], "");
    else this.#reply(asked, 206, [...fields, place], film.text(version, from, end));
  }

  #reply(asked: Asked, status: number, fields: readonly string[], body: string): void {
    const isHead = asked.exchange.method === "HEAD";
    if (isHead || this.#world.chance() < 0.4) {
      const length = isHead ? [`Content-Length: ${body.length}`] : [];
      this.#finish(asked, () => asked.answer(status, [...fields, ...length], isHead ? "" : body));
    } else {
      this.#sending.set(asked, body);
      const length = this.#world.chance() < 0.8 ? [`Content-Length: ${body.length}`] : [];
      asked.answer(status, [...fields, ...length]);
    }
  }

  #send(asked: Asked): void {
    if (asked.isPaused) return;
    const rest = this.#sending.get(asked) as string;
    const piece = rest.slice(0, 1 + below(this.#world, rest.length));
    this.#sending.set(asked, rest.slice(piece.length));
    if (piece === "") this.#finish(asked, () => asked.end());
    else asked.send(piece);
  }
}

// ── the clients ──

function someRange(world: World): string[] {
  const { chance, film } = world;
  const kind = chance();
  const [one, two] = [below(world, film.length), below(world, film.length)];
  if (kind < 0.3) return [];
  if (kind < 0.6) return [`Range: bytes=${Math.min(one, two)}-${Math.max(one, two)}`];
  if (kind < 0.75) return [`Range: bytes=${one}-`];
  if (kind < 0.85) return [`Range: bytes=-${one + 1}`];
  if (kind < 0.95)
    return [`Range: bytes=${one}-${one + 20}`, `If-Range: "${below(world, film.version + 1)}"`];
  return [`Range: bytes=${film.length + one}-`];
}

function someone(world: World): Person {
  const { stage, chance, film } = world;
  const lines = someRange(world);
  if (chance() < 0.08) lines.push(`If-None-Match: "${film.version}"`);
  if (chance() < 0.08) lines.push("Cache-Control: no-cache");
  const method = chance() < 0.06 ? "HEAD" : "GET";
  const oldest = world.purgedAt;
  return { client: stage.ask({ target: "/film", lines, method, isSlow: chance() < 0.3 }), oldest };
}

function disturb(world: World): void {
  const { stage, film, people, chance } = world;
  const person = people[below(world, people.length)];
  if (person === undefined) return;
  const { client } = person;
  const what = chance();
  if (what < 0.15 && !client.exchange.isOver) client.leave();
  else if (what < 0.7 && client.isSlow && client.end === "" && client.status > 0)
    client.drain(chance() < 0.5);
  else if (what < 0.76) film.change();
  else if (what < 0.82) {
    stage.store.board.purge({ kind: "url", url: "a.test/film" }, false);
    world.purgedAt = film.version;
  } else if (what < 0.86) clock.nowMs += 1500;
}

/** What came is of one version, and ends where it says or is cut. */
function judge({ film }: World, { client, oldest }: Person): void {
  const { status, head, text, end } = client;
  if ((status !== 200 && status !== 206) || client.exchange.method === "HEAD") return;
  const version = Number(/ETag: "(\d+)"/i.exec(head)?.[1]);
  expect(version).toBeGreaterThanOrEqual(oldest);
  const place = /Content-Range: bytes (\d+)-(\d+)\/(\d+)/i.exec(head);
  expect(place === null).toBe(status === 200);
  const [from, to] = place === null ? [0, film.length] : [Number(place[1]), Number(place[2]) + 1];
  const wanted = film.text(version, from, to);
  const isRight = end === "whole" ? text === wanted : wanted.startsWith(text);
  expect([status, from, to, text.length, end, isRight]).toEqual([status, from, to, text.length, end, true]);
}

interface Settings {
  readonly sliceBytes: number;
  readonly length: number;
  readonly hasNoFiles: boolean;
}

async function play(seed: number, { sliceBytes, length, hasNoFiles }: Settings): Promise<number> {
  const policy = { sliceBytes, maxBytes: 10_000_000, staleIfErrorMs: seed % 2 === 0 ? 60_000 : -1 };
  const stage = new CacheStage({ hasNoFiles, policy });
  const world: World = { stage, film: new Film(length), chance: chances(seed), people: [], purgedAt: 0 };
  const endpoint = new Endpoint(world);
  for (let step = 0; step < STEPS; step++) {
    const what = world.chance();
    if (what < 0.25) world.people.push(someone(world));
    else if (what < 0.8) endpoint.step();
    else disturb(world);
    if (step % 3 === 0) await Promise.resolve();
    if (step % 20 === 0) await Bun.sleep(0);
  }
  endpoint.isKind = true;
  await eventually(() => {
    for (let turn = 0; turn < 50; turn++) endpoint.step();
    for (const { client } of world.people) {
      if (client.isSlow && client.end === "" && client.status > 0) client.drain();
    }
    return (
      !endpoint.isBusy && world.people.every(({ client }) => client.end !== "" || client.exchange.isOver)
    );
  });
  for (const person of world.people) judge(world, person);
  await eventually(() => Bun.deepEquals(stage.leftovers(), NOTHING_LEFT));
  return world.people.filter(({ client }) => client.end === "whole" && client.status < 300).length;
}

// biome-ignore format: a table is read by columns
const SETTINGS: readonly (readonly [title: string, settings: Settings])[] = [
  ["parts",                              { sliceBytes: 0,       length: 3000,    hasNoFiles: false }],
  ["parts of a large body",              { sliceBytes: 0,       length: 400_000, hasNoFiles: false }],
  ["slices in records",                  { sliceBytes: 1000,    length: 7300,    hasNoFiles: false }],
  ["slices in files",                    { sliceBytes: 150_000, length: 700_000, hasNoFiles: false }],
  ["slices that nobody can keep",        { sliceBytes: 150_000, length: 700_000, hasNoFiles: true }],
  ["a body that is smaller than a slice", { sliceBytes: 5000,   length: 3000,    hasNoFiles: false }],
];

for (const [title, settings] of SETTINGS) {
  test(`${title}: whatever happens, an answer is of one version, whole or visibly cut, and nothing is left`, async () => {
    let wholes = 0;
    for (let seed = 1; seed <= 8; seed++) {
      wholes += await play(seed, settings).catch((error: unknown) => {
        throw new Error(`seed ${seed}: ${error instanceof Error ? error.stack : String(error)}`);
      });
    }
    expect(wholes).toBeGreaterThan(100);
  }, 60_000);
}
