import { describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import {
  CacheStage,
  NOTHING_LEFT,
  type StagedClient,
  type StageSettings,
} from "../../tests/support/cache-stage.ts";
import { eventually } from "../../tests/support/eventually.ts";
import { CODINGS, type Coding, decode } from "../../tests/wire/compress-coder.ts";
import { codedKey } from "../cache/coded.ts";
import { DENSE, type StoredResponse } from "../cache/stored.ts";
import type { CompressConfig } from "../config/config.ts";
import { BODY_LENGTH } from "../core/body.ts";
import { compileEdits } from "../route/edits.ts";
import { Compression } from "./compress-rules.ts";

const COMPRESS: CompressConfig = {
  codings: ["zstd", "br", "gzip"],
  types: ["text/*"],
  minBytes: 100,
  maxBytes: 0,
  level: 0,
};
const MIB = 1024 * 1024;
const KEY = "site\nhttp://a.test/x";
const FRESH = ["Cache-Control: max-age=60", "Content-Type: text/plain", 'ETag: "v1"'];
const textOf = (name: string, lines = 400) =>
  Array.from({ length: lines }, (_, i) => `${name} ${i}: ${(i * 7919) % 1009}\n`).join("");
const TEXT = textOf("line");
const LARGE = textOf("large", 60_000);

function staged(config: Partial<CompressConfig> = {}, settings: StageSettings = {}): CacheStage {
  const compress = new Compression({ ...COMPRESS, ...config });
  const stage = new CacheStage({ ...settings, route: { compress, ...settings.route } });
  stage.services.budget.limitBytes = 128 * MIB;
  return stage;
}

/** A stage that has this stored. */
function stocked(stage = staged(), body = TEXT, lines: readonly string[] = FRESH): CacheStage {
  stage.ask();
  stage.at(stage.asked.length - 1).answer(200, lines, body);
  return stage;
}

const asking = (coding: Coding, ...lines: string[]) => ({ lines: [`Accept-Encoding: ${coding}`, ...lines] });
const decoded = (client: StagedClient) =>
  decode(fieldOf(client, "content-encoding"), Buffer.from(client.text, "latin1")).toString("latin1");
const fieldOf = ({ head }: StagedClient, name: string) =>
  new RegExp(`^${name}: (.*)\r$`, "im").exec(head)?.[1];
const formOf = ({ store }: CacheStage, coding: Coding) =>
  store.peek(codedKey(KEY, coding)) as StoredResponse | undefined;

describe("a stored response on a route that compresses", () => {
  for (const coding of CODINGS) {
    test(`is encoded once in ${coding}, and then sent as it is kept, with its length`, () => {
      const stage = stocked();
      const first = stage.ask(asking(coding));
      const { bytesIn } = stage.services.encoders;
      expect(bytesIn).toBe(TEXT.length);
      for (let hit = 0; hit < 3; hit++) {
        const again = stage.ask(asking(coding));
        expect(again.text).toBe(first.text);
        expect(again.exchange.sentBodyKind).toBe(BODY_LENGTH);
        expect(again.exchange.sentBodyLength).toBe(first.text.length);
        expect(again.head.split("\r\n").toSorted()).toEqual(first.head.split("\r\n").toSorted());
      }
      expect(decoded(first)).toBe(TEXT);
      expect(stage.services.encoders.bytesIn).toBe(bytesIn);
      expect(stage.asked.length).toBe(1);
      expect(stage.leftovers()).toEqual(NOTHING_LEFT);
    });
  }

  test("is sent coded with a weak tag, Vary and no word about the bytes that came (RFC 9110 §8.8.1)", () => {
    const lines = [
      ...FRESH,
      "Accept-Ranges: bytes",
      "Repr-Digest: sha-256=:AA==:",
      "Vary: Accept-Language",
      "X-Kept: 1",
    ];
    const stage = stocked(staged(), TEXT, lines);
    for (let hit = 0; hit < 2; hit++) stage.ask({ lines: ["Accept-Encoding: gzip", "Accept-Language: en"] });
    const { head } = stage.ask(asking("gzip"));
    expect(head).toContain('ETag: W/"v1"\r\n');
    expect(head).toContain("Vary: Accept-Language\r\n");
    expect(head).toContain("Vary: Accept-Encoding\r\n");
    expect(head).toContain("X-Kept: 1\r\n");
    expect(head).not.toMatch(/accept-ranges|digest|"v1"\r\nETag/i);
    expect(head.match(/^etag/gim)?.length).toBe(1);
  });

  test("tells HEAD the length that GET gets (RFC 9110 §9.3.2)", () => {
    const stage = stocked();
    stage.ask(asking("br"));
    const got = stage.ask(asking("br"));
    const head = stage.ask({ ...asking("br"), method: "HEAD" });
    expect(head.exchange.sentBodyLength).toBe(got.text.length);
    expect(head.text).toBe("");
    expect(fieldOf(head, "content-encoding")).toBe("br");
  });

  test("answers a range of the bytes as they came (RFC 9110 §14)", () => {
    const stage = stocked();
    for (let hit = 0; hit < 2; hit++) stage.ask(asking("gzip"));
    const part = stage.ask(asking("gzip", "Range: bytes=5-14"));
    expect([part.status, part.text]).toEqual([206, TEXT.slice(5, 15)]);
    expect(fieldOf(part, "content-encoding")).toBeUndefined();
  });

  for (const tag of ['W/"v1"', '"v1"']) {
    test(`says 304 to who holds ${tag}, by that tag (RFC 9110 §15.4.5)`, () => {
      const stage = stocked();
      for (let hit = 0; hit < 2; hit++) stage.ask(asking("gzip"));
      const answer = stage.ask(asking("gzip", `If-None-Match: ${tag}`));
      expect([answer.status, answer.text]).toEqual([304, ""]);
      expect(fieldOf(answer, "etag")).toBe(tag);
    });
  }

  const HELD: readonly (readonly [held: string, tag: string])[] = [
    ['"v0", W/"v1"', 'W/"v1"'],
    ['"v1", W/"v1"', '"v1"'],
    ["*", '"v1"'],
  ];
  for (const [held, tag] of HELD) {
    test(`says 304 by ${tag} to who names ${held}`, () => {
      const stage = stocked();
      for (let hit = 0; hit < 2; hit++) {
        const answer = stage.ask(asking("gzip", `If-None-Match: ${held}`));
        expect([answer.status, fieldOf(answer, "etag")]).toEqual([304, tag]);
        expect(fieldOf(answer, "vary")).toBe("Accept-Encoding");
      }
    });
  }

  test("says 304 by the tag that the route's edits give it", () => {
    const responseEdits = compileEdits({ set: [["ETag", 'W/"set"']], add: [], remove: [] });
    const stage = stocked(staged({}, { route: { responseEdits } }));
    const answer = stage.ask(asking("gzip", 'If-None-Match: W/"v1"'));
    expect([answer.status, answer.head.match(/^etag.*$/gim)]).toEqual([304, ['ETag: W/"set"']]);
  });

  test("says 304 by its date to who names no tag", () => {
    const stage = stocked(staged(), TEXT, [...FRESH, "Last-Modified: Sun, 01 Nov 2026 00:00:00 GMT"]);
    const answer = stage.ask(asking("gzip", "If-Modified-Since: Sun, 01 Nov 2026 00:00:00 GMT"));
    expect([answer.status, fieldOf(answer, "vary")]).toEqual([304, "Accept-Encoding"]);
  });

  test("goes as it came, with Vary, to who takes no coding", () => {
    const stage = stocked();
    stage.ask(asking("gzip"));
    for (const lines of [[], ["Accept-Encoding: gzip;q=0"], ['If-None-Match: "v0"']]) {
      for (let hit = 0; hit < 2; hit++) {
        const answer = stage.ask({ lines });
        expect(answer.text).toBe(TEXT);
        expect([fieldOf(answer, "etag"), fieldOf(answer, "vary")]).toEqual(['"v1"', "Accept-Encoding"]);
        expect(answer.exchange.sentBodyLength).toBe(TEXT.length);
      }
    }
  });

  test("is told whole, whatever tag the client holds, when it is no success (RFC 9110 §13.2.1)", () => {
    const stage = staged();
    stage.ask();
    stage.at(0).answer(404, FRESH, TEXT);
    for (const tag of ['"v1"', 'W/"v1"']) {
      const plain = stage.ask({ lines: [`If-None-Match: ${tag}`] });
      expect([plain.status, plain.text, fieldOf(plain, "etag")]).toEqual([404, TEXT, '"v1"']);
      const coded = stage.ask(asking("gzip", `If-None-Match: ${tag}`));
      expect([coded.status, decoded(coded), fieldOf(coded, "etag")]).toEqual([404, TEXT, 'W/"v1"']);
    }
    expect(stage.asked.length).toBe(1);
  });

  test("is sent coded to who holds another version", () => {
    const stage = stocked();
    for (let hit = 0; hit < 2; hit++) stage.ask(asking("gzip"));
    const answer = stage.ask(asking("gzip", 'If-None-Match: W/"v0"'));
    expect(answer.status).toBe(200);
    expect(decoded(answer)).toBe(TEXT);
  });
});

describe("a coded form", () => {
  test("is made once for all who have waited for the response", () => {
    const stage = staged();
    const crowd = Array.from({ length: 20 }, () => stage.ask(asking("zstd")));
    stage.at(0).answer(200, FRESH, TEXT);
    for (const client of crowd) expect(decoded(client)).toBe(TEXT);
    // for the one who asked, and for the first of the others
    expect(stage.services.encoders.bytesIn).toBe(2 * TEXT.length);
    expect(stage.asked.length).toBe(1);
  });

  test("is of no use to another version, even of the same instant", () => {
    const stage = stocked();
    for (let hit = 0; hit < 2; hit++) stage.ask(asking("gzip"));
    const instant = () => (stage.store.peek(KEY) as StoredResponse).facts;
    const { respondedAtMs, requestedAtMs } = instant();
    const other = TEXT.replaceAll("line", "LINE");
    stage.ask({ lines: ["Cache-Control: no-cache"] });
    stage.at(1).answer(200, FRESH, other);
    expect(instant()).toMatchObject({ respondedAtMs, requestedAtMs });
    for (let hit = 0; hit < 3; hit++) expect(decoded(stage.ask(asking("gzip")))).toBe(other);
    expect(stage.asked.length).toBe(2);
  });

  test("is purged with its response", () => {
    const stage = stocked(staged(), TEXT, [...FRESH, "Surrogate-Key: shop"]);
    stage.ask(asking("gzip"));
    const now = () => stage.services.epochMs + performance.now();
    expect(stage.store.find(codedKey(KEY, "gzip"), now())).toBeDefined();
    stage.store.board.purge({ kind: "url", url: "a.test/x" }, false);
    expect(stage.store.find(codedKey(KEY, "gzip"), now())).toBeUndefined();
  });

  test("has the head that a confirmation has given its response (RFC 9111 §4.3.4)", () => {
    const stage = stocked();
    for (let hit = 0; hit < 2; hit++) stage.ask(asking("gzip"));
    stage.ask({ lines: ["Cache-Control: no-cache"] });
    stage.at(1).answer(304, [...FRESH, "X-New: 1"]);
    for (let hit = 0; hit < 2; hit++) {
      const answer = stage.ask(asking("gzip"));
      expect(fieldOf(answer, "x-new")).toBe("1");
      expect(decoded(answer)).toBe(TEXT);
    }
  });

  test("goes with the cookie of a confirmation to its own client alone", () => {
    const stage = stocked();
    for (let hit = 0; hit < 2; hit++) stage.ask(asking("gzip"));
    const own = stage.ask(asking("gzip", "Cache-Control: no-cache"));
    stage.at(1).answer(304, [...FRESH, "Set-Cookie: who=1"]);
    expect(fieldOf(own, "set-cookie")).toBe("who=1");
    expect(decoded(own)).toBe(TEXT);
    for (let hit = 0; hit < 3; hit++)
      expect(fieldOf(stage.ask(asking("gzip")), "set-cookie")).toBeUndefined();
  });

  const NOT_KEPT: readonly (readonly [why: string, lines: readonly string[], request: readonly string[]])[] =
    [
      [
        "a response says no-transform",
        ["Cache-Control: max-age=60, no-transform", "Content-Type: text/plain"],
        [],
      ],
      ["a response is coded already", [...FRESH, "Content-Encoding: x-own"], []],
      ["a response is of another type", ["Cache-Control: max-age=60", "Content-Type: image/png"], []],
      ["a request says no-transform", FRESH, ["Cache-Control: no-transform"]],
    ];
  for (const [why, lines, request] of NOT_KEPT) {
    test(`is not made where ${why}`, () => {
      const stage = stocked(staged(), TEXT, lines);
      for (let hit = 0; hit < 3; hit++) expect(stage.ask(asking("gzip", ...request)).text).toBe(TEXT);
      expect(formOf(stage, "gzip")).toBeUndefined();
    });
  }

  for (const control of ["no-cache", "max-age=0"]) {
    test(`is not made of what is confirmed before each use: ${control}`, () => {
      const lines = [`Cache-Control: ${control}`, 'ETag: "v1"', "Content-Type: text/plain"];
      const stage = stocked(staged(), TEXT, lines);
      for (let hit = 1; hit < 4; hit++) {
        const answer = stage.ask(asking("gzip"));
        stage.at(hit).answer(304, lines);
        expect([decoded(answer), fieldOf(answer, "etag")]).toEqual([TEXT, 'W/"v1"']);
      }
      expect(formOf(stage, "gzip")).toBeUndefined();
    });
  }

  test("is not made where it would be no smaller", () => {
    const noise = randomBytes(2000).toString("latin1");
    const stage = stocked(staged(), noise);
    for (let hit = 0; hit < 3; hit++) {
      const answer = stage.ask(asking("gzip"));
      expect(answer.text).toBe(noise);
      expect(fieldOf(answer, "etag")).toBe('"v1"');
    }
    expect(formOf(stage, "gzip")).toBeUndefined();
  });

  test("has a weak tag and Vary, whatever the route's edits say of them", () => {
    const responseEdits = compileEdits({ set: [["ETag", '"set"']], add: [], remove: ["Vary"] });
    const stage = stocked(staged({}, { route: { responseEdits } }));
    for (let hit = 0; hit < 3; hit++) {
      const { head } = stage.ask(asking("gzip"));
      expect(head.match(/^(etag|vary).*$/gim)?.toSorted()).toEqual([
        'ETag: W/"set"',
        "Vary: Accept-Encoding",
      ]);
    }
    expect(stage.services.encoders.bytesIn).toBe(TEXT.length);
  });

  test("is not used where the route edits what decides", () => {
    const responseEdits = compileEdits({ set: [["Content-Type", "image/png"]], add: [], remove: [] });
    const stage = stocked(staged({}, { route: { responseEdits } }));
    for (let hit = 0; hit < 3; hit++) expect(stage.ask(asking("gzip")).text).toBe(TEXT);
    expect(formOf(stage, "gzip")).toBeUndefined();
  });
});

describe("behind the clients' back", () => {
  test("a large body is encoded once some clients have asked for it, and then has a length", async () => {
    const stage = stocked(staged(), LARGE);
    await eventually(() => stage.ask().text === LARGE, 3000, "the body to be stored");
    const ask = async () => {
      const client = stage.ask(asking("br"));
      await eventually(() => client.end === "whole", 3000, "an answer");
      expect(decoded(client) === LARGE).toBe(true);
      return client;
    };
    await eventually(async () => (await ask()).exchange.sentBodyKind === BODY_LENGTH, 5000, "a form");
    expect(formOf(stage, "br")?.file).toBeDefined();
    const { bytesIn } = stage.services.encoders;
    expect((await ask()).exchange.sentBodyLength).toBe(formOf(stage, "br")?.bodyLength as number);
    expect(stage.services.encoders.bytesIn).toBe(bytesIn);
    expect(stage.leftovers()).toEqual(NOTHING_LEFT);
  });

  test("a form whose file has gone costs nobody the answer", async () => {
    const stage = stocked(staged(), LARGE);
    await eventually(() => stage.ask().text === LARGE, 3000, "the body to be stored");
    await eventually(
      () => {
        stage.ask(asking("br"));
        return formOf(stage, "br")?.file !== undefined;
      },
      5000,
      "a form",
    );
    stage.files.remove(formOf(stage, "br")?.file as { id: number; length: number });
    const client = stage.ask(asking("br"));
    await eventually(() => client.end === "whole", 3000, "an answer");
    expect(decoded(client) === LARGE).toBe(true);
    expect(stage.asked.length).toBe(1);
    await eventually(() => stage.leftovers().open === 0, 3000, "all answers");
    expect(stage.leftovers()).toEqual(NOTHING_LEFT);
  });

  test("a small form that many ask for is made smaller", async () => {
    const stage = stocked();
    stage.ask(asking("br"));
    const hasty = formOf(stage, "br")?.bodyLength as number;
    const isDense = () => ((formOf(stage, "br")?.facts.flags ?? 0) & DENSE) !== 0;
    for (let hit = 0; hit < 20; hit++) expect(decoded(stage.ask(asking("br")))).toBe(TEXT);
    await eventually(isDense, 3000, "a denser form");
    const after = stage.ask(asking("br"));
    expect(after.text.length).toBeLessThan(hasty);
    expect(decoded(after)).toBe(TEXT);
    expect(stage.leftovers()).toEqual(NOTHING_LEFT);
  });

  const LEFT: readonly (readonly [why: string, config: Partial<CompressConfig>, load: number])[] = [
    ["on a route that states its level", { level: 5 }, 0],
    ["in a busy worker", {}, 1],
  ];
  for (const [why, config, load] of LEFT) {
    test(`a small form ${why} is left as it is`, async () => {
      const stage = stocked(staged(config));
      for (let look = 0; look < 5; look++) stage.services.encoders.judge(load, false);
      for (let hit = 0; hit < 40; hit++) stage.ask(asking("br"));
      await Bun.sleep(20); // nothing to wait for: nothing was begun
      expect(stage.services.encoders.open).toBe(0);
      expect((formOf(stage, "br")?.facts.flags ?? 0) & DENSE).toBe(0);
    });
  }
});
