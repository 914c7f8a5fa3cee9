import { expect, test } from "bun:test";
import { type Asking, CacheStage, NOTHING_LEFT, type StagedClient } from "../../tests/support/cache-stage.ts";
import { eventually } from "../../tests/support/eventually.ts";
import { fail } from "../core/failure.ts";
import { ROUTE } from "../observe/metrics.table.ts";
import { clock } from "../transport/clock.ts";

const FRESH = "Cache-Control: max-age=60";
const LARGE = "0123456789abcdef".repeat(32 * 1024);

/** A stage whose store has a large body of `/x`. */
async function withLarge(): Promise<CacheStage> {
  const stage = new CacheStage();
  const first = stage.ask();
  stage.at(0).answer(200, [FRESH, `Content-Length: ${LARGE.length}`]);
  stage.at(0).send(LARGE);
  stage.at(0).end();
  await eventually(() => first.end === "whole" && stage.files.kept.size === 1);
  return stage;
}

const isAll = ({ text, end }: StagedClient) => text === LARGE && end === "whole";

test("a large body comes from its file, to each reader at its own pace", async () => {
  const stage = await withLarge();
  const fast = stage.ask();
  const slow = stage.ask({ isSlow: true });
  await eventually(() => fast.end === "whole");
  expect(slow.end).toBe("");
  await eventually(() => {
    slow.drain(slow.end === "");
    return slow.end === "whole";
  });
  expect([isAll(fast), isAll(slow), stage.asked.length, stage.leftovers()]).toEqual([
    true,
    true,
    1,
    NOTHING_LEFT,
  ]);
});

test("a client that leaves closes its file, whenever it leaves", async () => {
  const stage = await withLarge();
  stage.ask().leave(); // while the file is being opened
  const during = stage.ask({ isSlow: true });
  await eventually(() => during.pieces.length > 0 || during.status === 200);
  expect(stage.files.openReaders).toBe(1);
  during.leave();
  const reading = stage.ask();
  reading.onPiece = () => {
    reading.onPiece = undefined;
    reading.leave();
  };
  await eventually(() => Bun.deepEquals(stage.leftovers(), NOTHING_LEFT));
  expect(reading.end).toBe("cut");
});

test("a file that is gone is a miss: the endpoint is asked, and the answer kept anew", async () => {
  const stage = await withLarge();
  stage.files.kept.clear();
  const clients = [stage.ask(), stage.ask()];
  await eventually(() => stage.asked.length === 2);
  stage.at(1).answer(200, [FRESH], "new");
  await eventually(() => clients.every(({ end }) => end !== ""));
  expect(clients.map(({ text }) => text)).toEqual(["new", "new"]);
  expect([stage.ask().text, stage.leftovers()]).toEqual(["new", NOTHING_LEFT]);
});

test("a file that turns out to be damaged cuts the answer: nobody takes it for whole", async () => {
  const stage = await withLarge();
  stage.files.isBroken = true;
  const client = stage.ask();
  await eventually(() => client.end !== "");
  expect([client.end, client.exchange.failure?.code, stage.leftovers()]).toEqual([
    "cut",
    "upstream_cut",
    NOTHING_LEFT,
  ]);
});

test("a store that cannot open a file costs a hit, and no answer", async () => {
  const stage = await withLarge();
  stage.store.open = () => Promise.reject(new Error("EIO"));
  const client = stage.ask();
  await eventually(() => stage.asked.length === 2);
  stage.at(1).answer(200, [FRESH], "new");
  expect(client.text).toBe("new");
});

test("who has had another answer while the file was being opened gets no second one", async () => {
  const stage = await withLarge();
  const client = stage.ask({ isHeld: true });
  stage.pipeline.downstreamFailed(client.exchange, fail("body_timeout"));
  await eventually(() => stage.files.openReaders === 0);
  await Bun.sleep(0);
  expect(client.calls).toEqual(["head 408"]);
  client.flush();
  expect(stage.leftovers()).toEqual(NOTHING_LEFT);
});

test("a purge that is done after its client was refused sends no second answer", async () => {
  const stage = new CacheStage();
  const client = stage.ask({ method: "PURGE", isHeld: true });
  stage.pipeline.downstreamFailed(client.exchange, fail("body_too_large"));
  await eventually(() => stage.purged.length === 1);
  await Bun.sleep(0);
  expect(client.calls).toEqual(["head 413"]);
  client.flush();
  expect(stage.leftovers()).toEqual(NOTHING_LEFT);
});

test("HEAD and a condition open no file", async () => {
  const stage = await withLarge();
  stage.store.open = () => Promise.reject(new Error("it is not needed"));
  const date = /Date: ([^\r]*)/.exec(stage.ask({ method: "HEAD" }).head)?.[1] ?? "";
  const later = new Date(Date.parse(date) + 1000).toUTCString();
  const answers = [
    stage.ask({ method: "HEAD" }),
    stage.ask({ lines: [`If-Modified-Since: ${later}`] }),
    stage.ask({ lines: [`Range: bytes=${LARGE.length}-`] }),
  ];
  expect(answers.map(({ status, end }) => [status, end])).toEqual([
    [200, "whole"],
    [304, "whole"],
    [416, "whole"],
  ]);
  expect(stage.leftovers()).toEqual(NOTHING_LEFT);
});

test("a range of a large body reads from there on, and no further", async () => {
  const stage = await withLarge();
  const client = stage.ask({ lines: ["Range: bytes=100000-300000"] });
  await eventually(() => client.end === "whole");
  expect([client.status, client.text === LARGE.slice(100_000, 300_001)]).toEqual([206, true]);
  expect(client.head).toContain(`Content-Range: bytes 100000-300000/${LARGE.length}`);
});

const PACES: readonly (readonly [what: string, act: (client: StagedClient) => void])[] = [
  ["pauses at each piece", (client) => client.drain(client.end === "")],
  ["is told to go on though it never paused", (client) => client.drain()],
  ["pauses twice and goes on once", pauseTwice],
];
function pauseTwice(client: StagedClient): void {
  client.exchange.upstream?.pauseResponse();
  client.exchange.upstream?.pauseResponse();
  client.drain();
}
for (const [what, act] of PACES) {
  test(`a client that ${what} gets all of a body from the store, and of one that still comes`, async () => {
    const stage = await withLarge();
    const stored = stage.ask({ isSlow: true });
    const growing = stage.ask({ target: "/y", isSlow: true });
    stage.at(1).answer(200, [FRESH]);
    for (let sent = 0; sent < 4; sent++) {
      stage.at(1).send(LARGE.slice(sent * 131_072, (sent + 1) * 131_072));
      act(growing);
    }
    stage.at(1).end();
    await eventually(() => {
      for (const client of [stored, growing]) if (client.end === "") act(client);
      return stored.end !== "" && growing.end !== "";
    });
    expect([isAll(stored), isAll(growing), stage.leftovers()]).toEqual([true, true, NOTHING_LEFT]);
  });
}

// ── what passes ──

test("the endpoint of an answer for one alone goes at that client's pace, and is let go when it leaves", () => {
  const stage = new CacheStage();
  const client = stage.ask({ isSlow: true });
  stage.at(0).answer(200, ["Cache-Control: private"]);
  expect(stage.at(0).isPaused).toBe(true);
  client.drain();
  expect(stage.at(0).isPaused).toBe(false);
  stage.at(0).send("one ");
  client.isSlow = true;
  stage.at(0).send("two");
  expect([client.text, stage.at(0).isPaused]).toEqual(["one two", true]);
  client.leave();
  expect([stage.at(0).isCancelled, stage.leftovers()]).toEqual([true, NOTHING_LEFT]);
});

test("a cut of an answer for one alone is a cut for that client", () => {
  const stage = new CacheStage();
  const client = stage.ask();
  stage.at(0).answer(200, ["Cache-Control: private"]);
  stage.at(0).fail("upstream_cut");
  expect([client.end, client.exchange.failure?.code, stage.failures()]).toEqual(["cut", "upstream_cut", 1]);
  expect(stage.leftovers()).toEqual(NOTHING_LEFT);
});

test("who asks for what nobody else can have is the only one to wait for it: the endpoint is let go with the client", () => {
  const stage = new CacheStage();
  const client = stage.ask({ lines: ["Cache-Control: no-store"] });
  client.leave();
  expect([stage.at(0).isCancelled, stage.leftovers()]).toEqual([true, NOTHING_LEFT]);
});

// ── what is counted and logged ──

test("each client has its own line in the log and its own counts; a fetch has none", () => {
  const stage = new CacheStage();
  const asking: Asking = { target: "/x?a=1" };
  stage.ask(asking);
  stage.ask(asking);
  stage.at(0).answer(200, [FRESH], "page");
  stage.ask(asking);
  const lines = stage.services.logged.map(
    ({ path, query, status, bytesSent, route, endpoint, attempts, cache, cause }) =>
      [path, query, status, bytesSent, route, endpoint, attempts, cache, cause].join(" "),
  );
  expect(lines).toEqual([
    "/x a=1 200 4 site e0 1 miss done",
    "/x a=1 200 4 site e0 1 hit done",
    "/x a=1 200 4 site  0 hit done",
  ]);
  const ids = new Set(stage.services.logged.map(({ requestId }) => requestId));
  expect([ids.size, stage.routeMetric(ROUTE.at.status2xx), stage.routeMetric(ROUTE.at.active)]).toEqual([
    3, 3, 0,
  ]);
  expect(stage.routeMetric(ROUTE.at.bytesSent)).toBe(12);
});

test("attempts of a fetch are counted once, however many waited for it", () => {
  const stage = new CacheStage();
  const clients = [stage.ask(), stage.ask(), stage.ask()];
  stage.at(0).fail("stale_connection");
  stage.at(1).answer(200, [FRESH], "page");
  expect(clients.map(({ text }) => text)).toEqual(["page", "page", "page"]);
  expect(stage.services.logged.map(({ attempts }) => attempts)).toEqual([2, 2, 2]);
  expect(stage.routeMetric(ROUTE.at.retries)).toBe(1);
});

test("a hit tells its age to the second, and a stale one that it is", () => {
  const stage = new CacheStage();
  stage.ask();
  stage.at(0).answer(200, ["Cache-Control: max-age=10, stale-while-revalidate=100", "Age: 3"], "page");
  clock.nowMs += 4000;
  expect(stage.ask().head).toMatch(/^Age: 7\r$/m);
  clock.nowMs += 6000;
  expect(stage.ask().head).toMatch(/^Age: 13\r$/m);
  expect(stage.services.logged.map(({ cache, cacheRule }) => `${cache} ${cacheRule}`).at(-1)).toBe(
    "stale stale_while_revalidate",
  );
});
