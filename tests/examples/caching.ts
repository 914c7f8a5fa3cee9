/**
 * What the example of caching promises.
 */
import { expect, test } from "bun:test";
import { eventually } from "../support/eventually.ts";
import type { Example } from "./example.ts";

/** The origin tells the id that it got: where it is the same, the origin was not asked. */
const idIn = (body: string) => /x-request-id: (\S+)/.exec(body)?.[1];

export function cachingPromises(running: () => Example): void {
  test("a page is kept, whatever is in parameters that do not count and in whatever order", async () => {
    const first = await running().get("/news/today?b=2&a=1");
    expect(first.field("cache-status")).toContain("fwd=uri-miss");
    const second = await running().get("/news/today?a=1&utm_source=mail&b=2");
    expect(second.field("cache-status")).toStartWith("weir; hit");
    expect(idIn(second.body)).toBe(idIn(first.body) as string);
  });

  test("who has a session goes past it", async () => {
    const first = await running().get("/news/session");
    const second = await running().get("/news/session", { lines: ["Cookie: session=1"] });
    expect(second.field("cache-status")).toContain("fwd=bypass");
    expect(idIn(second.body)).not.toBe(idIn(first.body));
  });

  test("a purge takes it out", async () => {
    const first = await running().get("/news/purged");
    expect((await running().get("/news/purged", { method: "PURGE" })).status).toBeLessThan(300);
    const second = await running().get("/news/purged");
    expect(idIn(second.body)).not.toBe(idIn(first.body));
  });

  test("where nobody says that it may be kept, nothing is", async () => {
    const ids = [idIn((await running().get("/")).body), idIn((await running().get("/")).body)];
    expect(new Set(ids).size).toBe(2);
  });

  test("answers are compressed for who takes them so", async () => {
    const lines = ["Accept-Encoding: gzip"];
    const packed = await running().get("/", { lines });
    expect(packed.field("content-encoding")).toBe("gzip");
    expect((await running().get("/")).field("content-encoding")).toBeUndefined();
  });

  test("when the server fails, what was kept answers", async () => {
    const first = await running().get("/news/kept");
    await running().stopOrigin("A");
    const isStale = async () => {
      const again = await running().get("/news/kept");
      expect(again.status).toBe(200);
      expect(idIn(again.body)).toBe(idIn(first.body) as string);
      return /ttl=-/.test(again.field("cache-status") ?? "");
    };
    await eventually(isStale, 10_000, "the page to be past its time");
    expect((await running().get("/news/never-seen")).status).toBe(502);
  });
}
