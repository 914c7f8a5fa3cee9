import { expect, test } from "bun:test";
import { type Chance, forAll } from "../../tests/laws/chance.ts";
import { NO_TICKET, PRIORITIES, WaitQueue } from "./queue.ts";

interface Waiting {
  readonly name: string;
}
const RULES = { capacity: 100, waitMs: 1000 };

const filled = (
  entries: readonly (readonly [name: string, priority: number, key: number])[],
  rules = RULES,
) => {
  const queue = new WaitQueue<Waiting>(rules);
  const tickets = entries.map(([name, priority, key], index) => queue.enter({ name }, priority, key, index));
  return { queue, tickets };
};
const drain = (queue: WaitQueue<Waiting>) => {
  let names = "";
  for (let item = queue.next(); item !== undefined; item = queue.next()) names += item.name;
  return names;
};

test("with one key: first in, first out", () => {
  const { queue } = filled([..."abcdefghijklmnopqrstuvwxyz".repeat(3)].map((name) => [name, 1, 0] as const));
  expect(drain(queue)).toBe("abcdefghijklmnopqrstuvwxyz".repeat(3));
  expect([queue.size, queue.next()]).toEqual([0, undefined]);
});

test("higher priorities first, in the order they came", () => {
  const { queue } = filled([
    ["l", 2, 0],
    ["n", 1, 0],
    ["h", 0, 0],
    ["m", 1, 0],
    ["i", 0, 0],
  ]);
  expect(drain(queue)).toBe("hinml");
});

test("keys take turns: a burst of one does not keep the others waiting", () => {
  const { queue } = filled([
    ["a", 1, 7],
    ["b", 1, 7],
    ["c", 1, 7],
    ["d", 1, 7],
    ["x", 1, 8],
    ["y", 1, 9],
  ]);
  expect(drain(queue)).toBe("axybcd");
});

test("a key that comes back does not jump the line", () => {
  const { queue } = filled([
    ["a", 1, 1],
    ["b", 1, 2],
    ["c", 1, 3],
  ]);
  const first = queue.next()?.name;
  queue.enter({ name: "d" }, 1, 1, 5);
  expect(first + drain(queue)).toBe("abcd");
});

test("any 32-bit number is a key", () => {
  const { queue } = filled([
    ["a", 1, -1],
    ["b", 1, 0x7fffffff],
    ["c", 1, 0xffffffff],
  ]);
  expect(queue.size).toBe(3);
  expect(drain(queue)).toHaveLength(3);
});

test("a full queue takes nobody, and takes again when one has left", () => {
  const queue = new WaitQueue<Waiting>({ capacity: 2, waitMs: 1000 });
  const enter = (name: string) => queue.enter({ name }, 1, 0, 0) !== NO_TICKET;
  expect([enter("a"), enter("b"), enter("c"), queue.isFull]).toEqual([true, true, false, true]);
  queue.next();
  expect([enter("d"), drain(queue)]).toEqual([true, "bd"]);
});

test("without capacity nobody waits", () => {
  const queue = new WaitQueue<Waiting>({ capacity: 0, waitMs: 1000 });
  expect([queue.enter({ name: "a" }, 0, 0, 0), queue.next(), queue.displace(0)]).toEqual([
    NO_TICKET,
    undefined,
    undefined,
  ]);
});

test("one who leaves is not served, wherever it stood", () => {
  for (let leaver = 0; leaver < 4; leaver++) {
    const { queue, tickets } = filled([..."abcd"].map((name) => [name, 1, name === "c" ? 1 : 0] as const));
    expect(queue.cancel(tickets[leaver] as number)).toBe(true);
    expect([...drain(queue)].sort().join("")).toBe("abcd".replace("abcd"[leaver] as string, ""));
  }
});

test("a ticket is good once, also when its place is used again", () => {
  const { queue, tickets } = filled([["a", 1, 0]]);
  const [ticket] = tickets as [number];
  expect([queue.cancel(ticket), queue.cancel(ticket)]).toEqual([true, false]);
  const second = queue.enter({ name: "b" }, 1, 0, 0);
  expect([second === ticket, queue.cancel(ticket), queue.size]).toEqual([false, false, 1]);
  queue.next();
  expect([queue.cancel(second), queue.cancel(NO_TICKET)]).toEqual([false, false]);
});

test("after the whole time one waits no longer, those that came first being first", () => {
  const { queue } = filled([
    ["a", 2, 0],
    ["b", 0, 0],
  ]);
  expect([queue.dueAtMs, queue.expire(999)]).toEqual([1000, undefined]);
  expect([queue.expire(1000)?.name, queue.expire(1000), queue.dueAtMs]).toEqual(["a", undefined, 1001]);
  expect([queue.expire(5000)?.name, queue.expire(5000), queue.dueAtMs]).toEqual([
    "b",
    undefined,
    Number.POSITIVE_INFINITY,
  ]);
});

test("how long the first has waited is known", () => {
  const { queue, tickets } = filled([
    ["a", 2, 0],
    ["b", 0, 0],
  ]);
  expect(queue.oldestMs(50)).toBe(50);
  queue.cancel(tickets[0] as number);
  expect(queue.oldestMs(50)).toBe(49);
  queue.next();
  expect(queue.oldestMs(50)).toBe(0);
});

test("room is made by the last that came of the lowest priority below", () => {
  const { queue } = filled([
    ["a", 1, 0],
    ["l", 2, 1],
    ["m", 2, 2],
    ["k", 2, 1],
  ]);
  const displaced = Array.from({ length: 5 }, () => queue.displace(0)?.name);
  expect(displaced).toEqual(["k", "m", "l", "a", undefined]);
});

test("nobody is displaced by one of its own priority", () => {
  const { queue } = filled([["a", 1, 0]]);
  expect([queue.displace(1), queue.displace(2), queue.size]).toEqual([undefined, undefined, 1]);
});

interface Entry {
  readonly item: Waiting;
  readonly priority: number;
  readonly key: number;
  readonly ticket: number;
}

/** The queue beside a plain list of who waits, in the order they came. */
class Twin {
  readonly waiting: Entry[] = [];
  readonly #chance: Chance;
  readonly #queue: WaitQueue<Waiting>;
  #nowMs = 0;

  constructor(chance: Chance) {
    this.#chance = chance;
    this.#queue = new WaitQueue({ capacity: 1 + chance.below(40), waitMs: 1 + chance.below(100) });
  }

  step(): void {
    this.#nowMs++;
    const action = this.#chance.below(8);
    if (action < 4) this.#enter();
    else if (action === 4) this.#cancel();
    else if (action === 5) this.#expire();
    else this.serve();
    expect(this.#queue.size).toBe(this.waiting.length);
  }

  #enter(): void {
    const item = { name: `${this.#nowMs}` };
    const priority = this.#chance.below(PRIORITIES);
    const key = this.#chance.below(4);
    const ticket = this.#queue.enter(item, priority, key, this.#nowMs);
    if (ticket !== NO_TICKET) this.waiting.push({ item, priority, key, ticket });
  }

  #cancel(): void {
    if (this.waiting.length === 0) return;
    const { item, ticket } = this.#chance.pick(this.waiting);
    expect(this.#queue.cancel(ticket)).toBe(true);
    this.#leave(item);
  }

  #expire(): void {
    const [first] = this.waiting;
    const expired = this.#queue.expire(this.#nowMs);
    if (expired !== undefined) expect(this.#leave(expired)).toBe(first as Entry);
  }

  serve(): void {
    const item = this.#queue.next();
    expect(item !== undefined).toBe(this.waiting.length > 0);
    if (item === undefined) return;
    const ahead = this.waiting.slice(
      0,
      this.waiting.findIndex((one) => one.item === item),
    );
    const served = this.#leave(item) as Entry;
    expect(this.waiting.filter(({ priority }) => priority < served.priority)).toEqual([]);
    expect(ahead.filter((one) => one.priority === served.priority && one.key === served.key)).toEqual([]);
  }

  #leave(item: Waiting): Entry | undefined {
    return this.waiting.splice(
      this.waiting.findIndex((one) => one.item === item),
      1,
    )[0];
  }
}

test("law: against a plain list nobody is lost, served twice, or served out of turn", () => {
  forAll((chance: Chance) => {
    const twin = new Twin(chance);
    for (let step = 0; step < 150; step++) twin.step();
    while (twin.waiting.length > 0) twin.serve();
    twin.serve();
  });
});
