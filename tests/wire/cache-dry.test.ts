/**
 * A dry run over the wire: everything goes to the endpoint as if there were no cache, and what one would have done is
 * counted, also that it would have been wrong.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { cacheLines } from "../../src/cli/cache-text.ts";
import { NO_COLOURS } from "../../src/cli/terminal.ts";
import { eventually } from "../support/eventually.ts";
import { response } from "../support/origin.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { metric } from "../support/weir-metrics.ts";
import { ask, get } from "./ask.ts";
import { CountingOrigin, FRESH, targetOf } from "./cached.ts";

const LARGE = "abcdefgh".repeat(64 * 1024);
let origin: CountingOrigin;
let weir: Weir;

beforeAll(async () => {
  origin = await CountingOrigin.start((request) => {
    const target = targetOf(request);
    const [, kind = ""] = target.split("/");
    const times = `${origin.count(target)}`;
    switch (kind) {
      case "same":
        return response("same", [FRESH, 'ETag: "a"']);
      case "large":
        return response(LARGE, [FRESH, "Content-Type: text/plain"]);
      case "counted":
        return response(times, [FRESH]);
      case "ours":
        return response(request.field("cookie") ?? "nobody", [FRESH, "Vary: X-Kind"]);
      case "kinds":
        return response(request.field("x-kind") ?? "none", [FRESH, "Vary: X-Kind"]);
      default:
        return response(times, ["Cache-Control: no-store"]);
    }
  });
  weir = await startWeir(`
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { name: dry, to: "http://${origin.address}", cache: { dryRun: true }, compress: true } ]
`);
});

afterAll(async () => {
  await weir?.stop();
  await origin?.stop();
});

const of = (target: string, ...lines: string[]) => ask(weir.port(), get(target, ...lines));

async function counts() {
  const text = await weir.metrics();
  const of = (result: string) => metric(text, "weir_cache_dry_total", { route: "dry", result });
  return { hit: of("hit"), differed: of("differed"), stored: of("stored") };
}

/** Does what `requests` does. fails  when it is not counted so */
async function expectCounts(
  expected: { readonly hit?: number; readonly differed?: number; readonly stored?: number },
  requests: () => Promise<unknown>,
): Promise<void> {
  const before = await counts();
  await requests();
  const { hit = 0, differed = 0, stored = 0 } = expected;
  const wanted = {
    hit: before.hit + hit,
    differed: before.differed + differed,
    stored: before.stored + stored,
  };
  // an answer may be here before it is counted
  await eventually(async () => Bun.deepEquals(await counts(), wanted), 3000).catch(() => undefined);
  expect(await counts()).toEqual(wanted);
}

test("each request goes to the endpoint, and a second one for the same is a hit that would have been right", async () => {
  await expectCounts({ stored: 1, hit: 2 }, async () => {
    for (let times = 1; times <= 3; times++) {
      const answer = await of("/same/1");
      expect(answer.body).toBe("same");
      expect(answer.field("age")).toBeUndefined();
      expect(answer.field("cache-status")).toBe("weir; fwd=bypass; detail=dry");
      expect(origin.count("/same/1")).toBe(times);
    }
  });
});

test("where the endpoint sends something else than what would have been given out, that is counted", async () => {
  await expectCounts({ stored: 1, hit: 2, differed: 2 }, async () => {
    for (const body of ["1", "2", "3"]) expect((await of("/counted/1")).body).toBe(body);
  });
});

test("a page for one person that Vary does not tell apart shows up", async () => {
  await expectCounts({ stored: 1, hit: 1, differed: 1 }, async () => {
    expect((await of("/ours/1", "Cookie: a=alice")).body).toBe("a=alice");
    expect((await of("/ours/1", "Cookie: a=bob")).body).toBe("a=bob");
  });
});

test("variants are told apart as Vary says (§4.1)", async () => {
  await expectCounts({ stored: 2, hit: 2 }, async () => {
    for (const kind of ["a", "b", "a", "b"])
      expect((await of("/kinds/1", `X-Kind: ${kind}`)).body).toBe(kind);
  });
});

test("what may not be stored counts for nothing", async () => {
  await expectCounts({}, async () => {
    for (const body of ["1", "2"]) expect((await of("/private/1")).body).toBe(body);
  });
});

test("conditions and ranges reach the endpoint as they are", async () => {
  await of("/same/2", 'If-None-Match: "b"', "Range: bytes=0-1");
  const sent = origin.requests.at(-1);
  expect(sent?.field("if-none-match")).toBe('"b"');
  expect(sent?.field("range")).toBe("bytes=0-1");
});

test("two at once both ask the endpoint", async () => {
  await Promise.all([of("/same/3"), of("/same/3")]);
  expect(origin.count("/same/3")).toBe(2);
});

test("a body that comes in pieces passes whole, compressed or not, and is compared as it came", async () => {
  await expectCounts({ stored: 1, hit: 1 }, async () => {
    expect((await of("/large/1")).body).toBe(LARGE);
    const packed = await of("/large/1", "Accept-Encoding: gzip");
    expect(packed.field("content-encoding")).toBe("gzip");
    expect(packed.body.length).toBeLessThan(LARGE.length / 10);
  });
});

test("what a purge takes out would not have answered", async () => {
  await expectCounts({ stored: 2 }, async () => {
    await of("/same/4");
    const answer = await fetch(new URL("/api/v1/cache/purge", weir.admin), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ all: true }),
    });
    expect(answer.status).toBe(200);
    await of("/same/4");
  });
});

test("status and `weir cache` tell of it by route", async () => {
  const before = await counts();
  const status = await weir.status();
  expect(status.routes.find(({ name }) => name === "dry")?.cache?.dry).toEqual(before);
  const page = cacheLines(status, NO_COLOURS).join("\n");
  expect(page).toContain(`dry: a dry run: ${before.hit} would be hits (`);
  expect(page).toContain(
    `, ${before.differed} with something else than the endpoint sent; ${before.stored} stored`,
  );
});
