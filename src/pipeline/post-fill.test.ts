import { expect, test } from "bun:test";
import { CacheStage, type StagedClient } from "../../tests/support/cache-stage.ts";
import type { PurgeScope } from "../cache/store.ts";
import { CACHE } from "../observe/metrics.table.ts";

const FRESH = "Cache-Control: max-age=60";
const SAME = "Content-Location: /x";
const POST = { method: "POST" };

const bodyOf = ({ text, end }: StagedClient) => [text, end];

test("an answer to POST that is what GET would get is kept, and told as stored", () => {
  const stage = new CacheStage();
  const client = stage.ask(POST);
  stage.at(0).answer(200, [FRESH, SAME], "new");
  expect(bodyOf(client)).toEqual(["new", "whole"]);
  expect(client.head).toMatch(/^Cache-Status: weir; fwd=method; ttl=(?:59|60); stored\r$/m);
  expect(bodyOf(stage.ask())).toEqual(["new", "whole"]);
  expect([stage.asked.length, stage.metric(CACHE.at.stored)]).toEqual([1, 1]);
});

test("what the POST has changed is out, and its answer is what is new", () => {
  const stage = new CacheStage();
  stage.ask();
  stage.at(0).answer(200, [FRESH], "old");
  stage.ask(POST);
  stage.at(1).answer(200, [FRESH, SAME], "new");
  expect(bodyOf(stage.ask())).toEqual(["new", "whole"]);
});

test("a GET that was under way answers nobody after it", () => {
  const stage = new CacheStage();
  stage.ask();
  stage.ask(POST);
  stage.at(1).answer(200, [FRESH, SAME], "new");
  stage.at(0).answer(200, [FRESH], "old");
  expect(stage.ask().text).not.toBe("old");
});

test("an answer whose body comes after its head is not kept", () => {
  const stage = new CacheStage();
  const client = stage.ask(POST);
  stage.at(0).answer(200, [FRESH, SAME]);
  stage.at(0).send("new");
  stage.at(0).end();
  expect(bodyOf(client)).toEqual(["new", "whole"]);
  stage.ask();
  expect(stage.asked.length).toBe(2);
});

const purges: readonly (readonly [scope: PurgeScope, isKept: boolean])[] = [
  [{ kind: "all" }, false],
  [{ kind: "url", url: "a.test/x" }, false],
  [{ kind: "host", host: "a.test" }, false],
  [{ kind: "tag", tag: "red" }, false],
  [{ kind: "prefix", prefix: "a.test/" }, false],
  [{ kind: "tag", tag: "blue" }, true],
  [{ kind: "url", url: "a.test/y" }, true],
];
for (const [scope, isKept] of purges) {
  test(`a purge of ${JSON.stringify(scope)} while the endpoint works ${isKept ? "leaves" : "ends"} the answer`, () => {
    const stage = new CacheStage();
    stage.ask(POST);
    stage.store.board.purge(scope, false);
    stage.at(0).answer(200, [FRESH, SAME, "Cache-Tag: red"], "new");
    stage.ask();
    expect(stage.asked.length).toBe(isKept ? 1 : 2);
  });
}

test("an answer is not kept while a purge is on its way that has its clock already", () => {
  const stage = new CacheStage();
  stage.ask(POST);
  stage.store.board.nextClock();
  stage.at(0).answer(200, [FRESH, SAME], "new");
  stage.ask();
  expect(stage.asked.length).toBe(2);
});

for (const [what, policy] of [
  ["a dry run", { isDry: true }],
  ["a route that stores what is asked for twice", { minUses: 2 }],
  [
    "a route whose rule goes past the cache",
    { bypass: [{ kind: "header", name: "host", value: undefined }] },
  ],
] as const) {
  test(`${what} keeps no answer to POST`, () => {
    const stage = new CacheStage({ policy });
    stage.ask(POST);
    stage.at(0).answer(200, [FRESH, SAME], "new");
    expect(stage.metric(CACHE.at.stored)).toBe(0);
  });
}

test("an endpoint that a mark without a query may have told apart is not believed", () => {
  const stage = new CacheStage();
  stage.ask({ ...POST, target: "/x?" });
  stage.at(0).answer(200, [FRESH, SAME], "new");
  expect(stage.metric(CACHE.at.stored)).toBe(0);
});
