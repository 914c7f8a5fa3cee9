import { expect, test } from "bun:test";
import { type Asking, CacheStage, NOTHING_LEFT, type StagedClient } from "../../tests/support/cache-stage.ts";
import { eventually } from "../../tests/support/eventually.ts";
import { fakeTls } from "../../tests/support/fake-exchange.ts";
import { CACHE } from "../observe/metrics.table.ts";
import { MAX_UNATTENDED } from "./fetches.ts";

const AT = CACHE.at;
const FRESH = "Cache-Control: max-age=60";
const LARGE = "0123456789abcdef".repeat(16 * 1024);

const texts = (clients: readonly StagedClient[]) =>
  clients.map(({ status, text, end }) => [status, text, end]);
const crowd = (stage: CacheStage, count: number, asking: Asking = {}) =>
  Array.from({ length: count }, () => stage.ask(asking));

test("a crowd costs one request, and each gets the answer", () => {
  const stage = new CacheStage();
  const clients = crowd(stage, 5);
  expect(stage.asked.length).toBe(1);
  stage.at(0).answer(200, [FRESH], "page");
  expect(texts(clients)).toEqual(clients.map(() => [200, "page", "whole"]));
  expect(texts([stage.ask()])).toEqual([[200, "page", "whole"]]);
  expect([stage.asked.length, stage.metric(AT.coalesced), stage.metric(AT.stored)]).toEqual([1, 4, 1]);
  expect(stage.leftovers()).toEqual(NOTHING_LEFT);
});

test("each byte of a body that still comes reaches all at once, and who joins late gets it from its beginning", () => {
  const stage = new CacheStage();
  const clients = crowd(stage, 2);
  stage.at(0).answer(200, [FRESH]);
  stage.at(0).send("one ");
  clients.push(stage.ask());
  stage.at(0).send("two");
  expect(clients.map(({ text }) => text)).toEqual(["one two", "one two", "one two"]);
  expect(clients.map(({ end }) => end)).toEqual(["", "", ""]);
  stage.at(0).end();
  clients.push(stage.ask());
  expect(texts(clients)).toEqual(clients.map(() => [200, "one two", "whole"]));
  expect([stage.asked.length, stage.leftovers()]).toEqual([1, NOTHING_LEFT]);
});

const SIZES: readonly (readonly [what: string, declared: boolean, piece: string, count: number])[] = [
  ["small body", false, "abc", 10],
  ["small body of known length", true, "abc", 10],
  ["large body", false, LARGE, 6],
  ["large body of known length", true, LARGE, 6],
];
for (const [what, isDeclared, piece, count] of SIZES) {
  test(`a ${what}: a slow waiter holds up nobody, and gets all of it in the end`, async () => {
    const stage = new CacheStage();
    const slow = stage.ask({ isSlow: true });
    const fast = stage.ask();
    stage.at(0).answer(200, isDeclared ? [FRESH, `Content-Length: ${piece.length * count}`] : [FRESH]);
    for (let sent = 0; sent < count; sent++) stage.at(0).send(piece);
    stage.at(0).end();
    await eventually(() => fast.end === "whole");
    expect([fast.text === piece.repeat(count), slow.pieces.length <= 1]).toEqual([true, true]);
    await eventually(() => {
      if (slow.end === "") slow.drain(true);
      return slow.end === "whole";
    });
    expect(slow.text === piece.repeat(count)).toBe(true);
    const later = stage.ask();
    await eventually(() => later.end === "whole");
    expect([later.text === slow.text, stage.asked.length]).toEqual([true, 1]);
    expect(stage.leftovers()).toEqual(NOTHING_LEFT);
  });
}

test("without a place for large bodies those who wait read along all the same, each to its end", async () => {
  const stage = new CacheStage({ hasNoFiles: true });
  const clients = crowd(stage, 3);
  stage.at(0).answer(200, [FRESH, `Content-Length: ${LARGE.length * 8}`]);
  for (let sent = 0; sent < 8; sent++) stage.at(0).send(LARGE);
  stage.at(0).end();
  await eventually(() => clients.every(({ end }) => end !== ""));
  expect(clients.map(({ text, end }) => [text === LARGE.repeat(8), end])).toEqual(
    clients.map(() => [true, "whole"]),
  );
  stage.ask().leave();
  expect(stage.asked.length).toBe(2);
});

test("a body whose first bytes come with its head and that is not kept reaches all from its beginning", async () => {
  const stage = new CacheStage({ hasNoFiles: true });
  const clients = crowd(stage, 3);
  const { exchange } = stage.at(0);
  exchange.first = Buffer.from("begin ");
  exchange.firstStart = 0;
  exchange.firstEnd = 6;
  stage.at(0).answer(200, [FRESH, `Content-Length: ${6 + LARGE.length}`]);
  stage.at(0).send(LARGE);
  stage.at(0).end();
  await eventually(() => clients.every(({ end }) => end !== ""));
  for (const client of clients)
    expect([client.text === `begin ${LARGE}`, client.end]).toEqual([true, "whole"]);
  expect(stage.leftovers()).toEqual(NOTHING_LEFT);
});

test("who comes when the beginning of what is not kept is gone asks for itself", async () => {
  const stage = new CacheStage({ policy: { maxBytes: 100_000 } });
  const first = stage.ask();
  stage.at(0).answer(200, [FRESH]);
  for (let sent = 0; sent < 12; sent++) stage.at(0).send(LARGE);
  const late = stage.ask();
  expect(stage.asked.length).toBe(2);
  stage.at(0).end();
  stage.at(1).answer(200, [FRESH], "own");
  await eventually(() => first.end !== "");
  expect([first.text === LARGE.repeat(12), first.end, late.text, late.end]).toEqual([
    true,
    "whole",
    "own",
    "whole",
  ]);
  expect(stage.leftovers()).toEqual(NOTHING_LEFT);
});

// ── who leaves ──

for (const leaving of [0, 1, 2]) {
  for (const moment of ["before the head", "in the middle", "at the end"]) {
    test(`client ${leaving} of three leaves ${moment}: the others get all, and nothing is left`, () => {
      const stage = new CacheStage();
      const clients = crowd(stage, 3);
      const gone = clients[leaving] as StagedClient;
      if (moment === "before the head") gone.leave();
      stage.at(0).answer(200, [FRESH]);
      stage.at(0).send("one ");
      if (moment === "in the middle") gone.leave();
      stage.at(0).send("two");
      if (moment === "at the end") gone.leave();
      stage.at(0).end();
      const others = clients.filter((client) => client !== gone);
      expect(texts(others)).toEqual(others.map(() => [200, "one two", "whole"]));
      expect(gone.end).toBe("cut");
      expect(stage.ask().text).toBe("one two");
      expect([stage.asked.length, stage.leftovers()]).toEqual([1, NOTHING_LEFT]);
    });
  }
}

test("when all have left, what comes is kept for the next", () => {
  const stage = new CacheStage();
  for (const client of crowd(stage, 3)) client.leave();
  expect(stage.at(0).isCancelled).toBe(false);
  stage.at(0).answer(200, [FRESH], "page");
  expect(stage.ask().text).toBe("page");
  expect([stage.asked.length, stage.leftovers()]).toEqual([1, NOTHING_LEFT]);
});

test("when all have left and the answer is for one alone, the endpoint is let go", () => {
  const stage = new CacheStage();
  for (const client of crowd(stage, 3)) client.leave();
  stage.at(0).answer(200, ["Cache-Control: private"]);
  expect(stage.at(0).isCancelled).toBe(true);
  expect(stage.leftovers()).toEqual(NOTHING_LEFT);
});

test("clients that ask and leave at once keep no more than so many requests to endpoints going", () => {
  const stage = new CacheStage();
  const leave = (name: string) => stage.ask({ target: `/${name}` }).leave();
  for (let number = 0; number < MAX_UNATTENDED + 50; number++) leave(`x${number}`);
  const going = stage.asked.filter(({ isCancelled }) => !isCancelled);
  expect([stage.asked.length, going.length]).toEqual([MAX_UNATTENDED + 50, MAX_UNATTENDED]);
  leave("late");
  expect(stage.at(MAX_UNATTENDED + 50).isCancelled).toBe(true);
  // a client that comes for one of them makes room, and so does an answer
  const back = stage.ask({ target: "/x0" });
  leave("one");
  for (const asked of [stage.at(0), stage.at(1)]) asked.answer(200, [FRESH], "page");
  leave("two");
  leave("three");
  expect(stage.asked.slice(-3).map(({ isCancelled }) => isCancelled)).toEqual([false, false, true]);
  for (const asked of stage.asked)
    if (!asked.isCancelled && !asked.exchange.isOver) asked.fail("upstream_cut");
  expect([back.text, stage.leftovers()]).toEqual(["page", NOTHING_LEFT]);
  for (let number = 0; number < MAX_UNATTENDED; number++) leave(`y${number}`);
  expect(stage.asked.slice(-MAX_UNATTENDED).every(({ isCancelled }) => !isCancelled)).toBe(true);
});

test("bodies that nobody reads any more, and refreshes, are among those", () => {
  const stage = new CacheStage();
  stage.ask({ target: "/old" });
  stage.at(0).answer(200, ["Cache-Control: max-age=10, stale-while-revalidate=60", "Age: 20"], "old");
  for (let number = 0; number < MAX_UNATTENDED; number++) {
    const client = stage.ask({ target: `/x${number}` });
    const asked = stage.at(number + 1);
    asked.answer(200, [FRESH]);
    asked.send("one ");
    client.leave();
    asked.send("two");
    expect(asked.isCancelled).toBe(false);
  }
  expect(stage.ask({ target: "/old" }).text).toBe("old");
  expect(stage.asked.length).toBe(MAX_UNATTENDED + 1);
  stage.at(1).end();
  expect(stage.ask({ target: "/old" }).text).toBe("old");
  expect(stage.asked.length).toBe(MAX_UNATTENDED + 2);
  const client = stage.ask({ target: "/last" });
  const last = stage.at(MAX_UNATTENDED + 2);
  last.answer(200, [FRESH]);
  client.leave();
  last.send("nobody reads this");
  expect(last.isCancelled).toBe(true);
});

test("when the last reader of what is not kept leaves, the endpoint is let go with its next bytes", () => {
  const stage = new CacheStage({ policy: { maxBytes: 10 } });
  const client = stage.ask();
  stage.at(0).answer(200, [FRESH]);
  stage.at(0).send("more than ten bytes");
  client.leave();
  stage.at(0).send("and more");
  expect(stage.at(0).isCancelled).toBe(true);
  expect(stage.leftovers()).toEqual(NOTHING_LEFT);
});

test("who leaves while a head is given out takes nothing with it", () => {
  const stage = new CacheStage();
  const [first, second, third] = crowd(stage, 3) as [StagedClient, StagedClient, StagedClient];
  first.onPiece = () => {
    first.onPiece = undefined;
    second.leave();
  };
  const { exchange } = stage.at(0);
  exchange.first = Buffer.from("one ");
  exchange.firstStart = 0;
  exchange.firstEnd = 4;
  stage.at(0).answer(200, [FRESH]);
  stage.at(0).send("two");
  stage.at(0).end();
  expect(texts([first, third])).toEqual([
    [200, "one two", "whole"],
    [200, "one two", "whole"],
  ]);
  expect([second.end, stage.leftovers()]).toEqual(["cut", NOTHING_LEFT]);
});

// ── answers that are not for all ──

test("an answer for one alone goes to its owner, and frees the others at once", () => {
  const stage = new CacheStage();
  const clients = crowd(stage, 4);
  stage.at(0).answer(200, ["Cache-Control: private"]);
  expect(stage.asked.length).toBe(4);
  stage.at(0).send("for the first");
  for (const index of [1, 2, 3]) stage.at(index).answer(200, ["Cache-Control: private"], `for ${index}`);
  stage.at(0).end();
  expect(clients.map(({ text }) => text)).toEqual(["for the first", "for 1", "for 2", "for 3"]);
  expect([stage.metric(AT.stored), stage.leftovers()]).toEqual([0, NOTHING_LEFT]);
});

test("an answer for one alone whose owner has left goes to nobody", () => {
  const stage = new CacheStage();
  const owner = stage.ask({ lines: ["Cookie: user=a"] });
  const other = stage.ask({ lines: ["Cookie: user=b"] });
  owner.leave();
  stage.at(0).answer(200, ["Cache-Control: private"], "page of a");
  expect([stage.asked.length, other.pieces.length]).toEqual([2, 0]);
  expect(stage.at(1).lines).toContain("user=b");
  stage.at(1).answer(200, ["Cache-Control: private"], "page of b");
  expect([other.text, stage.leftovers()]).toEqual(["page of b", NOTHING_LEFT]);
});

test("an interim response goes to the owner alone", () => {
  const stage = new CacheStage();
  const [owner, other] = crowd(stage, 2) as [StagedClient, StagedClient];
  stage.at(0).interim(103, "Link: </a.css>\r\n");
  expect([owner.calls, other.calls]).toEqual([["interim"], []]);
  owner.leave();
  stage.at(0).interim(103, "Link: </of-the-owner.css>\r\n");
  expect(other.calls).toEqual([]);
  stage.at(0).answer(200, [FRESH], "page");
  expect([other.text, stage.leftovers()]).toEqual(["page", NOTHING_LEFT]);
});

test("what `private` and `no-cache` name reaches the owner, no other and not the store (RFC 9111 §5.2.2.4, §5.2.2.7)", () => {
  const stage = new CacheStage();
  const [owner, other] = crowd(stage, 2) as [StagedClient, StagedClient];
  const control = 'Cache-Control: max-age=60, private="set-cookie", no-cache="x-mine"';
  stage.at(0).answer(200, [control, "Set-Cookie: a=1", "X-Mine: yes", "X-All: yes"], "page");
  for (const name of ["Set-Cookie: a=1", "X-Mine: yes", "X-All: yes"]) expect(owner.head).toContain(name);
  for (const client of [other, stage.ask()]) {
    expect([client.text, client.head.includes("a=1"), client.head.includes("X-Mine")]).toEqual([
      "page",
      false,
      false,
    ]);
    expect(client.head).toContain("X-All: yes");
  }
  expect(stage.asked.length).toBe(1);
});

test("variants: waiters whose request selects another one ask for theirs, each once (RFC 9111 §4.1)", () => {
  const stage = new CacheStage();
  const ask = (color: string) => stage.ask({ lines: [`X-Color: ${color}`] });
  const clients = [ask("red"), ask("blue"), ask("red"), ask("blue")];
  stage.at(0).answer(200, [FRESH, "Vary: X-Color"], "red page");
  expect(stage.at(1).lines).toContain("X-Color: blue");
  expect(stage.asked.length).toBe(2);
  stage.at(1).answer(200, [FRESH, "Vary: X-Color"], "blue page");
  expect(clients.map(({ text }) => text)).toEqual(["red page", "blue page", "red page", "blue page"]);
  expect([ask("red").text, ask("blue").text]).toEqual(["red page", "blue page"]);
  expect([stage.asked.length, stage.leftovers()]).toEqual([2, NOTHING_LEFT]);
});

test("who is known does not get what is not called fit for all, and nobody gets what came for who is known (RFC 9111 §3.5)", () => {
  const stage = new CacheStage();
  const stranger = stage.ask();
  const known = stage.ask({ lines: ["Authorization: Basic eA=="] });
  stage.at(0).answer(200, [FRESH], "for strangers");
  expect([stranger.text, known.text]).toEqual(["for strangers", ""]);
  stage.at(1).answer(200, [FRESH], "for x");
  expect([known.text, stage.ask().text]).toEqual(["for x", "for strangers"]);
  expect(stage.leftovers()).toEqual(NOTHING_LEFT);
});

for (const line of ["Authorization: Basic eA==", "Cookie: user=x", "Cache-Control: no-store"]) {
  test(`answers to requests with ${line.split(":")[0]} that are for one alone do not take the cache from the others`, () => {
    const stage = new CacheStage();
    for (let index = 0; index < 5; index++) {
      stage.ask({ lines: [line] });
      stage.at(index).answer(200, ["Cache-Control: private"], "for x");
    }
    const clients = crowd(stage, 3);
    expect(stage.asked.length).toBe(6);
    stage.at(5).answer(200, [FRESH], "page");
    expect(texts([...clients, stage.ask()])).toEqual(Array.from({ length: 4 }, () => [200, "page", "whole"]));
    expect(stage.leftovers()).toEqual(NOTHING_LEFT);
  });
}

test("a client with a certificate is known, too", () => {
  const stage = new CacheStage();
  const client = { subject: "CN=x", issuer: "CN=ca", sans: [], serial: "1", fingerprint: "f", der: "" };
  const known = stage.ask({ tls: fakeTls({ client }) });
  stage.at(0).answer(200, [FRESH], "for x");
  expect([known.text, stage.metric(AT.stored)]).toEqual(["for x", 0]);
});
