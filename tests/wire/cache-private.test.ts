/**
 * Private: what belongs to one client is never given to another, without anybody having thought about it.
 *
 * shape  every answer names the user that asked: the second user of a URL must read the own name, or the first one's
 *        where the rules say that it is for all
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { response } from "../support/origin.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { ask, get } from "./ask.ts";
import { CountingOrigin, targetOf } from "./cached.ts";

let origin: CountingOrigin;
let weir: Weir;

/** Answer fields of the endpoint by path. */
const FIELDS = new Map<string, readonly string[]>();

beforeAll(async () => {
  origin = await CountingOrigin.start((request) => {
    const names = ["x-user", "authorization", "cookie", "client-cert", "x-client-cert-subject"];
    const user = names.map((name) => request.field(name)).find((value) => value !== undefined);
    return response(`for ${user}`, FIELDS.get(targetOf(request)) ?? []);
  });
  weir = await startWeir(`
listeners:
  web: { bind: "127.0.0.1:0" }
  behind: { bind: "127.0.0.1:0", trustedProxies: [ "127.0.0.0/8" ] }
routes:
  - { name: all, to: app, cache: { enabled: true } }
  - { name: beta, match: { headers: { x-beta: "1" } }, to: app, cache: { enabled: true } }
upstreams: { app: [ "${origin.address}" ] }
`);
});

afterAll(async () => {
  await weir?.stop();
  await origin?.stop();
});

let count = 0;
function pathFor(fields: readonly string[]): string {
  const path = `/u${++count}`;
  FIELDS.set(path, fields);
  return path;
}

const MAX_AGE = "Cache-Control: max-age=60";
const COOKIES = ["Cookie: alice", "Cookie: bob"] as const;
const TOKENS = ["Authorization: Bearer alice", "Authorization: Bearer bob"] as const;

// biome-ignore format: a table is read by columns
const ROWS: readonly (readonly [title: string, fields: readonly string[], users: readonly [string, string], isShared: boolean])[] = [
  ["max-age alone", [MAX_AGE], COOKIES, true],
  ["no word about caching at all", [], COOKIES, false],
  ["Set-Cookie beside max-age", [MAX_AGE, "Set-Cookie: id=1"], COOKIES, false],
  ["Set-Cookie beside public", ["Cache-Control: public, max-age=60", "Set-Cookie: id=1"], COOKIES, false],
  ["Set-Cookie beside s-maxage", ["Cache-Control: s-maxage=60", "Set-Cookie: id=1"], COOKIES, false],
  ["private (§5.2.2.7)", ["Cache-Control: private, max-age=60"], COOKIES, false],
  ["private beside public", ["Cache-Control: public, max-age=60, private"], COOKIES, false],
  ["PRIVATE in capitals", ["Cache-Control: max-age=60, PRIVATE"], COOKIES, false],
  ["private on a line of its own", [MAX_AGE, "Cache-Control: private"], COOKIES, false],
  ["private without an end to its quotes", ['Cache-Control: max-age=60, private="x'], COOKIES, false],
  ["no-store (§5.2.2.5)", ["Cache-Control: no-store, max-age=60"], COOKIES, false],
  ["no-cache without a validator (§5.2.2.4)", ["Cache-Control: no-cache, max-age=60"], COOKIES, false],
  ["CDN-Cache-Control: private (RFC 9213)", [MAX_AGE, "CDN-Cache-Control: private"], COOKIES, false],
  ["Vary: * (§4.1)", [MAX_AGE, "Vary: *"], COOKIES, false],
  ["Vary: * among others", [MAX_AGE, "Vary: Accept, *"], COOKIES, false],
  ["Vary: Cookie (§4.1)", [MAX_AGE, "Vary: Cookie"], COOKIES, false],
  ["Vary: cookie on a second line", [MAX_AGE, "Vary: Accept", "Vary: cookie"], COOKIES, false],
  ["Vary: X-User", [MAX_AGE, "Vary: X-User"], ["X-User: alice", "X-User: bob"], false],
  ["Authorization beside max-age (§3.5)", [MAX_AGE], TOKENS, false],
  ["Authorization beside Expires (§3.5)", ["Expires: Fri, 01 Jan 2100 00:00:00 GMT"], TOKENS, false],
  ["Authorization beside public (§3.5)", ["Cache-Control: public, max-age=60"], TOKENS, true],
  ["Authorization beside s-maxage (§3.5)", ["Cache-Control: s-maxage=60"], TOKENS, true],
  ["Authorization beside public and private", ["Cache-Control: public, private, max-age=60"], TOKENS, false],
];

for (const [title, fields, users, isShared] of ROWS) {
  test(`${title}: ${isShared ? "one answer for all" : "everybody gets the own answer"}`, async () => {
    const path = pathFor(fields);
    const bodies: string[] = [];
    for (const user of [...users, users[0]]) bodies.push((await ask(weir.port("web"), get(path, user))).body);
    const [first = "", second = ""] = users.map((user) => `for ${user.slice(user.indexOf(": ") + 2)}`);
    expect(bodies).toEqual(isShared ? [first, first, first] : [first, second, first]);
  });
}

for (const [said, isShared] of [
  ["max-age=60", false],
  ["public, max-age=60", true],
] as const) {
  for (const name of ["Client-Cert", "X-Client-Cert-Subject"]) {
    test(`${said} and who a trusted proxy says it is in ${name}: ${isShared ? "one answer for all" : "the own answer"}`, async () => {
      const path = pathFor([`Cache-Control: ${said}`]);
      const ofUser = async (...lines: string[]) => (await ask(weir.port("behind"), get(path, ...lines))).body;
      const bodies = [await ofUser(`${name}: alice`), await ofUser(`${name}: bob`), await ofUser()];
      const own = ["for alice", "for bob", "for undefined"];
      expect(bodies).toEqual(isShared ? own.map(() => "for alice") : own);
    });
  }
}

for (const directive of ["no-cache", "private"]) {
  test(`a Set-Cookie that ${directive}="set-cookie" names is in nobody else's answer`, async () => {
    const path = pathFor([`Cache-Control: max-age=60, ${directive}="Set-Cookie"`, "Set-Cookie: id=alice"]);
    const first = await ask(weir.port("web"), get(path, "Cookie: alice"));
    expect(first.field("set-cookie")).toBe("id=alice");
    FIELDS.set(path, [MAX_AGE]);
    const second = await ask(weir.port("web"), get(path, "Cookie: bob"));
    expect(second.field("set-cookie")).toBeUndefined();
  });
}

test("two routes never answer for each other, whatever the URL", async () => {
  const path = pathFor([MAX_AGE]);
  const bodies: string[] = [];
  for (const lines of [["X-User: a"], ["X-User: b", "X-Beta: 1"], ["X-User: c"], ["X-User: d", "X-Beta: 1"]])
    bodies.push((await ask(weir.port("web"), get(path, ...lines))).body);
  expect(bodies).toEqual(["for a", "for b", "for a", "for b"]);
});

test("an answer kept from a request without Authorization does not keep a later private one", async () => {
  const path = pathFor([MAX_AGE]);
  await ask(weir.port("web"), get(path, "X-User: a"));
  FIELDS.set(path, [MAX_AGE]);
  const refreshed = await ask(
    weir.port("web"),
    get(path, "Authorization: Bearer b", "Cache-Control: no-cache"),
  );
  expect(refreshed.body).toBe("for Bearer b");
  const after = await ask(weir.port("web"), get(path, "X-User: c"));
  expect(after.body).not.toContain("Bearer");
});

test("an error of the endpoint without a word about caching is asked for again", async () => {
  const path = pathFor([]);
  const before = origin.count(path);
  for (const user of ["a", "b"]) await ask(weir.port("web"), get(path, `X-User: ${user}`));
  expect(origin.count(path) - before).toBe(2);
});
