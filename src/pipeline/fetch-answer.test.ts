import { expect, test } from "bun:test";
import { type Asking, CacheStage, NOTHING_LEFT, type StagedClient } from "../../tests/support/cache-stage.ts";
import { eventually } from "../../tests/support/eventually.ts";
import { CACHE } from "../observe/metrics.table.ts";
import { clock } from "../transport/clock.ts";

const AT = CACHE.at;
const FRESH = "Cache-Control: max-age=60";

const texts = (clients: readonly StagedClient[]) =>
  clients.map(({ status, text, end }) => [status, text, end]);
const crowd = (stage: CacheStage, count: number, asking: Asking = {}) =>
  Array.from({ length: count }, () => stage.ask(asking));

// ── what was purged ──

test("who asks after a purge does not get what was asked for before it", () => {
  const stage = new CacheStage();
  const before = stage.ask();
  stage.store.board.purge({ kind: "url", url: "a.test/x" }, false);
  const after = stage.ask();
  expect(stage.asked.length).toBe(2);
  stage.at(0).answer(200, [FRESH], "old");
  stage.at(1).answer(200, [FRESH], "new");
  expect([before.text, after.text, stage.ask().text]).toEqual(["old", "new", "new"]);
});

test("who asks after a purge does not join a body that began before it", () => {
  const stage = new CacheStage();
  stage.ask();
  stage.at(0).answer(200, [FRESH, "Cache-Tag: news"]);
  stage.at(0).send("old ");
  stage.store.board.purge({ kind: "tag", tag: "news" }, false);
  const after = stage.ask();
  expect([after.pieces.length, stage.asked.length]).toEqual([0, 2]);
});

test("a purge of something else does not stop anybody from sharing", () => {
  const stage = new CacheStage();
  stage.ask();
  stage.store.board.purge({ kind: "url", url: "a.test/other" }, false);
  stage.ask();
  expect(stage.asked.length).toBe(1);
});

test("an unsafe request that succeeds ends what is stored, and what is on its way (RFC 9111 §4.4)", () => {
  const stage = new CacheStage();
  stage.ask();
  stage.at(0).answer(200, [FRESH], "old");
  stage.ask({ target: "/x", method: "POST" });
  stage.at(1).answer(204, [], "");
  stage.ask();
  expect(stage.asked.length).toBe(3);
  stage.at(2).answer(200, [FRESH], "new");
  expect(stage.ask().text).toBe("new");
});

test("PURGE from who may: the URL is gone when it is answered", async () => {
  const stage = new CacheStage();
  stage.ask();
  stage.at(0).answer(200, [FRESH], "old");
  const purge = stage.ask({ method: "PURGE" });
  await eventually(() => purge.end === "whole");
  expect([purge.status, stage.purged]).toEqual([200, ['{"kind":"url","url":"a.test/x"}']]);
  stage.ask();
  expect(stage.asked.length).toBe(2);
});

// ── failures ──

test("a failure before the head is everybody's, with one attempt", () => {
  const stage = new CacheStage();
  const clients = crowd(stage, 3);
  stage.at(0).fail("upstream_reset");
  expect(clients.map(({ status }) => status)).toEqual([502, 502, 502]);
  expect([stage.asked.length, stage.failures(), stage.leftovers()]).toEqual([1, 3, NOTHING_LEFT]);
});

test("a failure in the middle is seen as a cut by all, and nothing is kept", () => {
  const stage = new CacheStage();
  const clients = crowd(stage, 3);
  stage.at(0).answer(200, [FRESH]);
  stage.at(0).send("half");
  stage.at(0).fail("upstream_cut");
  expect(clients.map(({ end }) => end)).toEqual(["cut", "cut", "cut"]);
  stage.ask();
  expect(stage.asked.length).toBe(2);
});

test("a stream that the endpoint takes back after its head is not asked for again", () => {
  const stage = new CacheStage();
  const clients = crowd(stage, 2);
  stage.at(0).answer(200, [FRESH]);
  stage.at(0).fail("stream_refused");
  expect([clients.map(({ end }) => end), stage.asked.length]).toEqual([["cut", "cut"], 1]);
  expect(stage.leftovers()).toEqual(NOTHING_LEFT);
});

test("an endpoint that fails in the middle of the phase is a failure like any other", () => {
  const stage = new CacheStage();
  stage.failsAtOnce = "upstream_reset";
  const client = stage.ask();
  expect([client.status, client.end, stage.leftovers()]).toEqual([502, "whole", NOTHING_LEFT]);
});

const STALE = "Cache-Control: max-age=1, stale-if-error=60";
function withStale(lines: readonly string[] = [STALE, 'ETag: "1"']): CacheStage {
  const stage = new CacheStage();
  stage.ask();
  stage.at(0).answer(200, lines, "old");
  clock.nowMs += 5000;
  return stage;
}

test("what is stored stands in for an endpoint that fails, for all who wait (RFC 5861 §4)", () => {
  const stage = withStale();
  const clients = crowd(stage, 3);
  stage.at(1).fail("upstream_reset");
  expect(texts(clients)).toEqual(clients.map(() => [200, "old", "whole"]));
  expect(clients.every(({ head }) => /^Age: \d+\r$/m.test(head))).toBe(true);
  expect([stage.metric(AT.stale + 1), stage.leftovers()]).toEqual([3, NOTHING_LEFT]);
});

test("it does not for who wants to be sure: that one hears of the failure", () => {
  const stage = withStale();
  const sure = stage.ask({ lines: ["Cache-Control: no-cache"] });
  const easy = stage.ask();
  stage.at(1).fail("upstream_reset");
  expect(easy.text).toBe("old");
  for (let index = 2; index < stage.asked.length; index++) stage.at(index).fail("upstream_reset");
  expect([sure.status, sure.text.includes("old"), stage.leftovers()]).toEqual([502, false, NOTHING_LEFT]);
});

test("a 304 makes what is stored new for all who wait, and is asked for once (RFC 9111 §4.3.3)", () => {
  const stage = withStale();
  const clients = crowd(stage, 3);
  expect(stage.at(1).lines).toContain('If-None-Match: "1"');
  stage.at(1).answer(304, ["Cache-Control: max-age=100"], "");
  expect(texts(clients)).toEqual(clients.map(() => [200, "old", "whole"]));
  expect([stage.ask().text, stage.asked.length, stage.leftovers()]).toEqual(["old", 2, NOTHING_LEFT]);
});

test("a 304 makes nothing new for who is known, where the response is not called fit for all", () => {
  const stage = withStale();
  stage.ask();
  const known = stage.ask({ lines: ["Authorization: Basic eA=="] });
  stage.at(1).answer(304, [], "");
  expect([known.pieces.length, stage.asked.length]).toEqual([0, 3]);
  stage.at(2).answer(200, [FRESH], "for x");
  expect(known.text).toBe("for x");
});

test("a 304 that brings another Vary: what is stored is for its owner alone, and asked for anew by others (RFC 9111 §4.1)", () => {
  const stage = withStale();
  const clients = ["a", "a", "b"].map((user) => stage.ask({ lines: [`X-User: ${user}`] }));
  stage.at(1).answer(304, [FRESH, "Vary: X-User"], "");
  expect(clients.map(({ text }) => text)).toEqual(["old", "", ""]);
  for (const [index, text] of [
    [2, "for a"],
    [3, "for b"],
  ] as const) {
    stage.at(index).answer(200, [FRESH, "Vary: X-User"], text);
  }
  expect(clients.map(({ text }) => text)).toEqual(["old", "for a", "for b"]);
  const later = stage.ask({ lines: ["X-User: b"] });
  stage.at(4).answer(200, [FRESH, "Vary: X-User"], "for b");
  expect([later.text, stage.asked.length, stage.leftovers()]).toEqual(["for b", 5, NOTHING_LEFT]);
});

test("a 304 that says the same of Vary makes its variant new (RFC 9111 §4.3.4)", () => {
  const stage = new CacheStage();
  const ask = (user: string) => stage.ask({ lines: [`X-User: ${user}`, "X-Lang: en"] });
  for (const [index, user] of ["a", "b"].entries()) {
    ask(user);
    stage.at(index).answer(200, ["Cache-Control: max-age=0", 'ETag: "1"', "Vary: X-User"], `for ${user}`);
  }
  const client = ask("a");
  stage.at(2).answer(304, [FRESH, "Vary: x-user"], "");
  expect([client.text, ask("a").text, stage.asked.length]).toEqual(["for a", "for a", 3]);
});

test("stale-while-revalidate: all have the old one at once, and one refresh goes out (RFC 5861 §3)", () => {
  const stage = withStale(["Cache-Control: max-age=1, stale-while-revalidate=60"]);
  const clients = crowd(stage, 4);
  expect(texts(clients)).toEqual(clients.map(() => [200, "old", "whole"]));
  expect([stage.asked.length, stage.metric(AT.refreshes)]).toEqual([2, 1]);
  stage.at(1).answer(200, [FRESH], "new");
  expect([stage.ask().text, stage.leftovers()]).toEqual(["new", NOTHING_LEFT]);
});

test("a refresh that fails harms nobody", () => {
  const stage = withStale(["Cache-Control: max-age=1, stale-while-revalidate=60"]);
  stage.ask();
  stage.at(1).fail("upstream_reset");
  expect([stage.ask().text, stage.leftovers()]).toEqual(["old", NOTHING_LEFT]);
});

// ── time ──

test("a client's own patience is its own: it ends its wait, and nobody else's", async () => {
  const stage = new CacheStage({ route: { requestMs: 60_000 } });
  const hasty = stage.ask({ withinMs: 30 });
  const other = stage.ask();
  expect(stage.at(0).exchange.deadlineMs - clock.nowMs).toBeGreaterThan(50_000);
  await eventually(() => hasty.end === "whole");
  expect([hasty.status, other.end]).toEqual([504, ""]);
  stage.at(0).answer(200, [FRESH], "page");
  expect([other.text, stage.leftovers()]).toEqual(["page", NOTHING_LEFT]);
});

test("a fetch that runs out of time leaves those who have more to ask for themselves", () => {
  const stage = new CacheStage({ route: { requestMs: 1000 } });
  const first = stage.ask();
  clock.nowMs += 600;
  const second = stage.ask();
  const third = stage.ask();
  clock.nowMs += 500;
  stage.at(0).fail("request_timeout");
  expect([first.status, stage.asked.length]).toEqual([504, 2]);
  stage.at(1).answer(200, [FRESH], "page");
  expect([second.text, third.text, stage.leftovers()]).toEqual(["page", "page", NOTHING_LEFT]);
});

test("who waits longer than `coalesce` for a head asks for itself; the owner goes on waiting", async () => {
  const stage = new CacheStage({ policy: { coalesceMs: 20 } });
  const owner = stage.ask();
  const others = crowd(stage, 2);
  await eventually(() => stage.asked.length === 2);
  stage.at(1).answer(200, [FRESH], "second");
  expect(others.map(({ text }) => text)).toEqual(["second", "second"]);
  stage.at(0).answer(200, [FRESH], "first");
  expect([owner.text, stage.leftovers()]).toEqual(["first", NOTHING_LEFT]);
});

test("with `coalesce: 0` each asks for itself", () => {
  const stage = new CacheStage({ policy: { coalesceMs: 0 } });
  crowd(stage, 3);
  expect(stage.asked.length).toBe(3);
});

test("a response is kept the time that `minUses` says, and waiters ask for themselves until then", () => {
  const stage = new CacheStage({ policy: { minUses: 3 } });
  const bodies = ["1", "2", "3"].map((body, index) => {
    const client = stage.ask();
    stage.at(index).answer(200, [FRESH], body);
    return client.text;
  });
  expect(bodies).toEqual(["1", "2", "3"]);
  expect([stage.ask().text, stage.asked.length]).toEqual(["3", 3]);
});

test("a HEAD is answered by what is on its way, but nobody waits for the answer to a HEAD", () => {
  const stage = withStale();
  const head = stage.ask({ method: "HEAD" });
  const get = stage.ask();
  expect(stage.asked.length).toBe(3);
  stage.at(1).answer(304, [], "");
  stage.at(2).answer(200, [FRESH], "new");
  expect([head.status, head.text, get.text]).toEqual([200, "", "new"]);
  expect(stage.leftovers()).toEqual(NOTHING_LEFT);
});

test("a store that breaks costs hits, never answers", () => {
  const stage = new CacheStage();
  const { store } = stage;
  store.find = () => {
    throw new Error("broken");
  };
  store.put = () => {
    throw new Error("broken");
  };
  const clients = crowd(stage, 2);
  stage.at(0).answer(200, [FRESH], "page");
  expect(clients.map(({ text }) => text)).toEqual(["page", "page"]);
  expect(stage.services.reported.length).toBeGreaterThan(0);
});

test("Cache-Status and Age are told once, however often a request had to look (RFC 9211)", () => {
  const stage = new CacheStage();
  const ask = (color: string) => stage.ask({ lines: [`X-Color: ${color}`] });
  const clients = [ask("red"), ask("blue")];
  stage.at(0).answer(200, ["Cache-Control: private", "Vary: X-Color"], "red page");
  stage.at(1).answer(200, ["Cache-Control: private", "Vary: X-Color"], "blue page");
  for (const { head } of clients) expect(head.match(/Cache-Status/g)?.length).toBe(1);
});
