import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PurgeScope } from "../cache/store.ts";
import type { Config } from "../config/config.ts";
import { Purger } from "./purger.ts";

const CACHE = {
  key: {
    query: { mode: "except", names: ["utm"] },
    sortQuery: false,
    headers: [],
    cookies: [],
    device: false,
    languages: [],
    host: undefined,
  },
};
const MATCH = {
  hosts: [],
  path: undefined,
  methods: [],
  headers: [],
  query: [],
  cookies: [],
  clientIp: [],
  clientCert: undefined,
};

const configWith = (audit: string | undefined, caches = true) =>
  ({
    routes: [{ name: "all", priority: 0, match: MATCH, cache: caches ? CACHE : undefined }],
    cache: { audit },
  }) as unknown as Config;

let folder = "";
let done: { scopes: readonly PurgeScope[]; isSoft: boolean }[] = [];
let logged: string[] = [];
let failure: string | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "weir-purger-"));
  [done, logged, failure] = [[], [], undefined];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function purgerOf(config: Config) {
  const purger = new Purger({
    log: (level, area, text) => logged.push(`${level} ${area}: ${text}`),
    nowMs: () => Date.UTC(2026, 0, 2, 3, 4, 5),
    carryOut: (scopes, isSoft) => {
      done.push({ scopes, isSoft });
      return Promise.resolve(failure);
    },
  });
  purger.adopt(config);
  return purger;
}

const wish = { kind: "url", names: ["a.test/x?utm=1&b=2"], isSoft: false, by: "eve" } as const;

test("a URL is purged under the name that its route keeps it under as well", async () => {
  const answer = await purgerOf(configWith(undefined)).purge(wish, "127.0.0.1");
  expect(done).toEqual([
    {
      scopes: [
        { kind: "url", url: "a.test/x?utm=1&b=2" },
        { kind: "url", url: "a.test/x?b=2" },
      ],
      isSoft: false,
    },
  ]);
  expect(answer).toEqual({
    at: "2026-01-02T03:04:05.000Z",
    kind: "url",
    names: ["a.test/x?utm=1&b=2"],
    soft: false,
    via: "admin",
    from: "127.0.0.1",
    by: "eve",
    purged: ["a.test/x?utm=1&b=2", "a.test/x?b=2"],
  });
});

describe("each purge is written down", () => {
  test("in the audit file, a line of JSON each", async () => {
    const file = join(folder, "purges.log");
    const purger = purgerOf(configWith(file));
    await purger.purge(wish, "127.0.0.1");
    await purger.purgeScope({ kind: "url", url: "b.test/" }, true, "10.0.0.9");
    const lines = readFileSync(file, "utf8").trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line))).toEqual(purger.events() as unknown[]);
    expect(purger.events().map(({ via, from, soft }) => [via, from, soft])).toEqual([
      ["admin", "127.0.0.1", false],
      ["request", "10.0.0.9", true],
    ]);
    expect(logged).toEqual([]);
  });

  test("in the log when there is no file", async () => {
    await purgerOf(configWith(undefined)).purge({ ...wish, kind: "all", names: [], isSoft: true }, "unix");
    expect(logged).toEqual(["info cache: marked stale: everything, by eve, admin unix"]);
  });

  test("a file that cannot be written is an error in the log, and the purge is done", async () => {
    const answer = await purgerOf(configWith(join(folder, "none", "purges.log"))).purge(wish, "unix");
    expect(answer).toMatchObject({ purged: ["a.test/x?utm=1&b=2", "a.test/x?b=2"] });
    expect(logged[0]).toStartWith(
      "error cache: purged: url a.test/x?utm=1&b=2, by eve, admin unix; the audit file",
    );
  });

  test("the latest 256 are remembered, and all are counted", async () => {
    const purger = purgerOf(configWith(undefined));
    for (let round = 0; round < 300; round++) {
      await purger.purge({ ...wish, kind: "tag", names: [`t${round}`] }, "unix");
    }
    expect(purger.events()).toHaveLength(256);
    expect(purger.events().at(-1)?.names).toEqual(["t299"]);
    expect(purger.counts).toEqual({ url: 0, prefix: 0, tag: 300, host: 0, all: 0 });
  });
});

describe("what is not done", () => {
  test("nothing, where nothing is cached", async () => {
    const answer = await purgerOf(configWith(undefined, false)).purge(wish, "unix");
    expect(answer).toMatchObject({ status: 409 });
    expect(done).toEqual([]);
  });

  test("none of several, when one of them is no name", async () => {
    const answer = await purgerOf(configWith(undefined)).purge({ ...wish, names: ["a.test/", "/b"] }, "unix");
    expect(answer).toMatchObject({ status: 400 });
    expect(done).toEqual([]);
  });

  test("a purge that could not be made to last is told so, and written down", async () => {
    failure = "the disk is full";
    const purger = purgerOf(configWith(undefined));
    const error = "it is in force now, but a crash may undo it: the disk is full";
    expect(await purger.purge(wish, "unix")).toEqual({ status: 503, error });
    expect(await purger.purgeScope({ kind: "all" }, false, "10.0.0.9")).toBe(error);
    expect([purger.events().length, logged.length]).toEqual([2, 2]);
  });
});
