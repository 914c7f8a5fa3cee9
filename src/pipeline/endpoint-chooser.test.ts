import { expect, test } from "bun:test";
import { fakeExchange } from "../../tests/support/fake-exchange.ts";
import { passiveWith, testChooser, testUpstream } from "../../tests/support/test-upstream.ts";
import { fieldsOfLines } from "../core/fields.ts";
import { ENDPOINT_STATES, type EndpointState } from "../health/endpoint-state.table.ts";
import type { Exchange } from "../session/exchange.ts";
import type { EndpointChooser, Standing } from "./endpoint-chooser.ts";

class TestStanding implements Standing {
  readonly states: Uint8Array;
  readonly #factors: Float64Array;
  #isChanged = true;

  constructor(count: number) {
    this.states = new Uint8Array(count);
    this.#factors = new Float64Array(count).fill(1);
  }
  set(index: number, state: EndpointState, factor = 1): void {
    this.states[index] = ENDPOINT_STATES.indexOf(state);
    this.#factors[index] = factor;
    this.#isChanged = true;
  }
  weightOf(index: number, configured: number): number {
    return configured * (this.#factors[index] as number);
  }
  look(): boolean {
    const isChanged = this.#isChanged;
    this.#isChanged = false;
    return isChanged;
  }
}

const asked = (lines = ""): Exchange => {
  const { exchange } = fakeExchange();
  exchange.requestFields = fieldsOfLines(lines);
  return exchange;
};

/** How often each endpoint is chosen. */
function shares(chooser: EndpointChooser, count: number, times: number): number[] {
  const found = new Array<number>(count).fill(0);
  const exchange = asked();
  for (let turn = 0; turn < times; turn++) {
    const index = chooser.choose(exchange, undefined);
    found[index] = (found[index] ?? 0) + 1;
  }
  return found;
}

const evenly = () => {
  let at = 0;
  return () => {
    at = (at + 0.618_034) % 1;
    return at;
  };
};

test("the first tier with a usable endpoint takes all, backups come last", () => {
  const standing = new TestStanding(4);
  const upstream = testUpstream([{}, { priority: 1 }, { backup: true }, {}]);
  const chooser = testChooser(upstream, { standing });
  expect(shares(chooser, 4, 10)).toEqual([5, 0, 0, 5]);
  standing.set(0, "down");
  standing.set(3, "ejected");
  expect(shares(chooser, 4, 10)).toEqual([0, 10, 0, 0]);
  standing.set(1, "maintenance");
  expect(shares(chooser, 4, 10)).toEqual([0, 0, 10, 0]);
  standing.set(2, "down");
  expect(chooser.choose(asked(), undefined)).toBe(-1);
});

test("weights of the moment count: slow start and what an operator said", () => {
  const standing = new TestStanding(2);
  const chooser = testChooser(testUpstream([{ weight: 2 }, {}]), { standing });
  expect(shares(chooser, 2, 30)).toEqual([20, 10]);
  standing.set(0, "warming", 0.25);
  expect(shares(chooser, 2, 30)).toEqual([10, 20]);
});

test("with too few usable endpoints all are used but those that a person took out", () => {
  const standing = new TestStanding(4);
  const health = { active: undefined, passive: passiveWith({ panic: 0.5 }) };
  const upstream = testUpstream([{}, {}, {}, {}], { health });
  const chooser = testChooser(upstream, { standing });
  standing.set(0, "down");
  standing.set(1, "down");
  standing.set(2, "maintenance");
  expect(shares(chooser, 4, 9)).toEqual([3, 3, 0, 3]);
});

test("a tier with too few usable endpoints is joined by the next; all are used only when every tier has too few", () => {
  const standing = new TestStanding(5);
  const health = { active: undefined, passive: passiveWith({ panic: 0.5 }) };
  const endpoints = [{}, {}, {}, { backup: true }, { backup: true }];
  const chooser = testChooser(testUpstream(endpoints, { health }), { standing });
  standing.set(0, "down");
  expect(shares(chooser, 5, 10)).toEqual([0, 5, 5, 0, 0]);
  standing.set(1, "down");
  expect(shares(chooser, 5, 9)).toEqual([0, 0, 3, 3, 3]);
  standing.set(2, "ejected");
  expect(shares(chooser, 5, 10)).toEqual([0, 0, 0, 5, 5]);
  standing.set(3, "down");
  expect(shares(chooser, 5, 10)).toEqual([0, 0, 0, 0, 10]);
  standing.set(4, "down");
  expect(shares(chooser, 5, 10)).toEqual([2, 2, 2, 2, 2]);
});

test("a client stays at its endpoint while that may take sessions", () => {
  const standing = new TestStanding(3);
  const sticky = { cookie: "weir", ttlMs: 60_000, secret: "a secret of some length" };
  const chooser = testChooser(testUpstream([{}, {}, {}], { sticky }), { standing });
  const first = asked();
  const index = chooser.choose(first, undefined);
  const line = chooser.stickyLine(first, index);
  expect(line).toMatch(/^Set-Cookie: weir=[\w-]{16}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=60\r\n$/);
  const cookie = line.slice("Set-Cookie: ".length, line.indexOf(";"));
  const again = asked(`Cookie: other=1; ${cookie}\r\n`);
  for (let turn = 0; turn < 5; turn++) expect(chooser.choose(again, undefined)).toBe(index);
  expect(chooser.stickyLine(again, index)).toBe("");
  standing.set(index, "draining");
  expect(chooser.choose(again, undefined)).toBe(index);
  standing.set(index, "down");
  const other = chooser.choose(again, undefined);
  expect(other).not.toBe(index);
  expect(chooser.stickyLine(again, other)).not.toBe("");
  expect(chooser.choose(asked("Cookie: weir=e0\r\n"), undefined)).not.toBe(-1);
});

test("a cookie means the same to every worker and after a reload, and nothing with another secret", () => {
  const upstream = (secret: string) => testUpstream([{}, {}], { sticky: { cookie: "s", ttlMs: 0, secret } });
  const lineOf = (secret: string) => testChooser(upstream(secret)).stickyLine(asked(), 1);
  expect(lineOf("one secret")).toBe(lineOf("one secret"));
  expect(lineOf("one secret")).not.toBe(lineOf("another"));
});

test("the same key goes to the same endpoint, requests without one anywhere", () => {
  const hash = { on: { kind: "header", name: "X-User" } as const, loadFactor: 1.25 };
  const chooser = testChooser(testUpstream([{}, {}, {}, {}], { balance: "hash", hash }), {
    chance: evenly(),
  });
  const first = chooser.choose(asked("x-user: alice\r\n"), undefined);
  for (let turn = 0; turn < 10; turn++)
    expect(chooser.choose(asked("x-user: alice\r\n"), undefined)).toBe(first);
  expect(shares(chooser, 4, 400).every((count) => count > 0)).toBe(true);
});

test("a zone serves itself while it can, and hands over in proportion when it is short", () => {
  const standing = new TestStanding(8);
  const zones = ["a", "a", "a", "a", "b", "b", "b", "b"].map((zone) => ({ zone }));
  const chooser = testChooser(testUpstream(zones), { standing, zone: "a", chance: evenly() });
  const nearShare = () => {
    const [...found] = shares(chooser, 8, 4000);
    return found.slice(0, 4).reduce((sum, count) => sum + count) / 4000;
  };
  expect(nearShare()).toBe(1);
  standing.set(0, "down");
  expect(nearShare()).toBe(1); // three of four are enough
  standing.set(1, "down");
  expect(nearShare()).toBeCloseTo(0.5 / 0.7, 2);
  for (const index of [2, 3]) standing.set(index, "down");
  expect(nearShare()).toBe(0);
});

test("near endpoints that an operator gave weight 0 leave everything to the others, and far ones ask for no share", () => {
  const standing = new TestStanding(3);
  const zones = ["a", "a", "b"].map((zone) => ({ zone }));
  const chooser = testChooser(testUpstream(zones), { standing, zone: "a", chance: evenly() });
  standing.set(0, "up", 0);
  standing.set(1, "up", 0);
  expect(shares(chooser, 3, 20)).toEqual([0, 0, 20]);
  standing.set(1, "up");
  standing.set(2, "up", 0);
  expect(shares(chooser, 3, 20)).toEqual([0, 20, 0]);
});

test("there is room while an endpoint takes fresh requests: neither set apart, nor of weight 0", () => {
  const standing = new TestStanding(2);
  const chooser = testChooser(testUpstream([{}, {}]), { standing });
  expect(chooser.hasRoom()).toBe(true);
  standing.set(0, "maintenance");
  standing.set(1, "up", 0);
  expect(chooser.hasRoom()).toBe(false);
  standing.set(1, "warming", 0.1);
  expect(chooser.hasRoom()).toBe(true);
});

test("a further attempt goes elsewhere, to a later tier if need be", () => {
  const chooser = testChooser(testUpstream([{}, {}, { backup: true }]));
  expect(chooser.choose(asked(), Uint8Array.from([1, 0, 0]))).toBe(1);
  expect(chooser.choose(asked(), Uint8Array.from([1, 1, 0]))).toBe(2);
  expect(chooser.choose(asked(), Uint8Array.from([1, 1, 1]))).toBe(-1);
});
