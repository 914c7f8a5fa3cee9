/**
 * Crowds that do anything at any instant: what holds then must hold always.
 */
import { expect, test } from "bun:test";
import { type Asked, CacheStage, NOTHING_LEFT, type StagedClient } from "../../tests/support/cache-stage.ts";
import { eventually } from "../../tests/support/eventually.ts";
import { clock } from "../transport/clock.ts";

const STEPS = 250;
const LARGE = 90_000;

function chances(seed: number): () => number {
  let state = seed * 2654435761 + 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

type Kind = "public" | "private" | "vary" | "large" | "endless" | "brief" | "named";
const KINDS: readonly Kind[] = ["public", "private", "vary", "large", "endless", "brief", "named"];
const COLORS = ["red", "blue"];

interface Person {
  readonly client: StagedClient;
  readonly user: string;
  readonly color: string;
  readonly kind: Kind;
}

const LINES: Readonly<Record<Kind, readonly string[]>> = {
  public: ["Cache-Control: max-age=60"],
  private: ["Cache-Control: private, max-age=60"],
  vary: ["Cache-Control: max-age=60", "Vary: X-Color"],
  large: ["Cache-Control: max-age=60"],
  endless: ["Cache-Control: max-age=60"],
  brief: ["Cache-Control: max-age=1, stale-if-error=60, stale-while-revalidate=5", 'ETag: "1"'],
  named: ['Cache-Control: max-age=60, private="x-user"'],
};

/** What an endpoint says to this request: who must not see it is told in it. */
function bodyFor(kind: Kind, lines: string): string {
  const user = /X-User: (\w+)/.exec(lines)?.[1] ?? "";
  const color = /X-Color: (\w+)/.exec(lines)?.[1] ?? "";
  const said = kind === "private" ? `for ${user}` : kind === "vary" ? `in ${color}` : `all of ${kind}`;
  return kind === "large" || kind === "endless" ? said.padEnd(LARGE, ".") : said;
}

/** The answers of the endpoint, one piece at a time, and whatever goes wrong. */
class Endpoint {
  readonly #stage: CacheStage;
  readonly #chance: () => number;
  readonly #sending = new Map<Asked, string>();
  readonly #done = new Set<Asked>();
  isKind = false;

  constructor(stage: CacheStage, chance: () => number) {
    this.#stage = stage;
    this.#chance = chance;
  }

  get isBusy(): boolean {
    return this.#stage.asked.some((asked) => !this.#done.has(asked) && !asked.isCancelled);
  }

  step(): void {
    const open = this.#stage.asked.filter((asked) => !this.#done.has(asked) && !asked.isCancelled);
    const asked = open[Math.floor(this.#chance() * open.length)];
    if (asked === undefined) return;
    if (!this.isKind && this.#chance() < 0.06) this.#fail(asked);
    else if (this.#sending.has(asked)) this.#send(asked);
    else this.#begin(asked);
  }

  #fail(asked: Asked): void {
    this.#done.add(asked);
    asked.fail(this.#sending.has(asked) ? "upstream_cut" : "upstream_reset");
  }

  #begin(asked: Asked): void {
    const kind = asked.exchange.path.slice(1) as Kind;
    if (/If-None-Match/.test(asked.lines) && this.#chance() < 0.5) {
      this.#done.add(asked);
      asked.answer(304, LINES[kind], "");
      return;
    }
    const body = bodyFor(kind, asked.lines);
    const user = /X-User: (\w+)/.exec(asked.lines)?.[1] ?? "";
    const lines = kind === "named" ? [...LINES[kind], `X-User: ${user}`] : LINES[kind];
    if (asked.exchange.method === "HEAD" || this.#chance() < 0.4) {
      this.#done.add(asked);
      asked.answer(200, lines, asked.exchange.method === "HEAD" ? "" : body);
    } else {
      this.#sending.set(asked, body);
      asked.answer(200, kind === "endless" ? lines : [...lines, `Content-Length: ${body.length}`]);
    }
  }

  #send(asked: Asked): void {
    if (asked.isPaused) return;
    const rest = this.#sending.get(asked) as string;
    const piece = rest.slice(0, 1 + Math.floor((this.#chance() * rest.length) / 2) + 1000);
    this.#sending.set(asked, rest.slice(piece.length));
    if (piece !== "") asked.send(piece);
    else {
      this.#done.add(asked);
      asked.end();
    }
  }
}

function someone(stage: CacheStage, chance: () => number, number: number): Person {
  const kind = KINDS[Math.floor(chance() * KINDS.length)] as Kind;
  const color = COLORS[Math.floor(chance() * 2)] as string;
  const user = `u${number}`;
  const lines = [`X-User: ${user}`, `X-Color: ${color}`];
  if (chance() < 0.1) lines.push("Authorization: Basic eA==");
  if (chance() < 0.1) lines.push("Cache-Control: no-cache");
  if (chance() < 0.05) lines.push("Cache-Control: no-store");
  const method = chance() < 0.05 ? "HEAD" : "GET";
  const client = stage.ask({ target: `/${kind}`, lines, method, isSlow: chance() < 0.3 });
  return { client, user, color, kind };
}

function disturb(stage: CacheStage, people: readonly Person[], chance: () => number): void {
  const person = people[Math.floor(chance() * people.length)];
  if (person === undefined) return;
  const { client, kind } = person;
  const what = chance();
  if (what < 0.25 && !client.exchange.isOver) client.leave();
  else if (what < 0.8 && client.isSlow && client.end === "" && client.status > 0)
    client.drain(chance() < 0.5);
  else if (what < 0.83) stage.store.board.purge({ kind: "url", url: `a.test/${kind}` }, chance() < 0.5);
  else if (what < 0.85) clock.nowMs += 1500;
}

function judge({ client, user, color, kind }: Person): void {
  if (client.end !== "whole" || client.status !== 200) return;
  const lines = `X-User: ${user}\r\nX-Color: ${color}`;
  const wanted = client.exchange.method === "HEAD" ? "" : bodyFor(kind, lines);
  expect([kind, client.text.length, client.text === wanted]).toEqual([kind, wanted.length, true]);
  const named = /X-User: (\w+)/.exec(client.head)?.[1] ?? user;
  expect([kind, named]).toEqual([kind, user]);
}

async function play(seed: number, hasNoFiles: boolean): Promise<void> {
  const chance = chances(seed);
  const stage = new CacheStage({ hasNoFiles, policy: { maxBytes: seed % 3 === 0 ? 50_000 : 1_000_000 } });
  const endpoint = new Endpoint(stage, chance);
  const people: Person[] = [];
  for (let step = 0; step < STEPS; step++) {
    const what = chance();
    if (what < 0.3) people.push(someone(stage, chance, people.length));
    else if (what < 0.75) endpoint.step();
    else disturb(stage, people, chance);
    if (step % 7 === 0) await Promise.resolve();
    if (step % 50 === 0) await Bun.sleep(0);
  }
  endpoint.isKind = true;
  await eventually(() => {
    for (let turn = 0; turn < 50; turn++) endpoint.step();
    for (const { client } of people)
      if (client.isSlow && client.end === "" && client.status > 0) client.drain();
    return !endpoint.isBusy && people.every(({ client }) => client.end !== "");
  });
  for (const person of people) judge(person);
  await eventually(() => Bun.deepEquals(stage.leftovers(), NOTHING_LEFT));
}

for (const [where, hasNoFiles] of [
  ["with a place for large bodies", false],
  ["without one", true],
] as const) {
  test(`whatever clients and endpoints do, each gets its own answer, whole or visibly cut, and nothing is left (${where})`, async () => {
    for (let seed = 1; seed <= 15; seed++) {
      await play(seed, hasNoFiles).catch((error: unknown) => {
        throw new Error(`seed ${seed}: ${String(error)}`);
      });
    }
  }, 60_000);
}
