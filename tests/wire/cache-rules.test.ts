/**
 * Rules over the wire: what decides between a hit, a question and a fetch, as clients and endpoints see it.
 *
 * why    beside the public suite: what came after it (RFC 9211, 9213, 9875), and what it cannot see (Cache-Status, interim
 *        responses, who is asked how often)
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { eventually } from "../support/eventually.ts";
import { type OriginConnection, type OriginRequest, response } from "../support/origin.ts";
import { RawClient } from "../support/raw-client.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { ask, get } from "./ask.ts";
import { CountingOrigin, cachedTo, FRESH, targetOf } from "./cached.ts";

let origin: CountingOrigin;
let weir: Weir;
let count = 0;

type Answer = (request: OriginRequest, times: number, connection: OriginConnection) => string | undefined;
/** Answers by path; `times` counts from 1. */
const ANSWERS = new Map<string, Answer>();

function pathFor(answer: Answer): string {
  const path = `/r${++count}`;
  ANSWERS.set(path, answer);
  return path;
}

beforeAll(async () => {
  origin = await CountingOrigin.start((request, connection) => {
    const target = targetOf(request).split("?")[0] ?? "";
    const answer = ANSWERS.get(target);
    if (answer === undefined) return response("none", [], "404 Not Found");
    return answer(request, origin.count(target), connection);
  });
  weir = await startWeir(cachedTo(origin.address));
});

afterAll(async () => {
  await weir?.stop();
  await origin?.stop();
});

const of = (target: string, ...lines: string[]) => ask(weir.port(), get(target, ...lines));
const numbered =
  (...fields: string[]): Answer =>
  (_request, times) =>
    response(`${times}`, fields);
const ago = (seconds: number) => new Date(Date.now() - seconds * 1000).toUTCString();

// biome-ignore format: a table is read by columns
const HITS: readonly (readonly [title: string, fields: readonly string[], request: readonly string[], isHit: boolean])[] = [
  ["max-age",                                                 [FRESH], [], true],
  ["s-maxage before max-age (§5.2.2.10)",                     ["Cache-Control: max-age=60, s-maxage=0"], [], false],
  ["max-age eaten up by Age (§4.2.3)",                        [FRESH, "Age: 61"], [], false],
  ["max-age eaten up by an old Date (§4.2.3)",                [FRESH, `Date: ${ago(100)}`], [], false],
  ["Expires in the future (§5.3)",                            [`Date: ${ago(0)}`, `Expires: ${ago(-60)}`], [], true],
  ["Expires: 0 (§5.3)",                                       ["Expires: 0"], [], false],
  ["CDN-Cache-Control before Cache-Control (RFC 9213 §2.2)",  ["Cache-Control: no-store", "CDN-Cache-Control: max-age=60"], [], true],
  ["CDN-Cache-Control: max-age=0 (RFC 9213 §2.2)",            [FRESH, "CDN-Cache-Control: max-age=0"], [], false],
  ["our own target before all others (RFC 9213 §2.2)",        ["CDN-Cache-Control: no-store", "Weir-Cache-Control: max-age=60"], [], true],
  ["a targeted field that is no dictionary (RFC 9213 §2.1)",  ["Cache-Control: no-store", "CDN-Cache-Control: max-age=60, &&&"], [], false],
  ["a targeted max-age that is no integer (RFC 9213 §2.1)",   ["Cache-Control: no-store", 'CDN-Cache-Control: max-age="60"'], [], false],
  ["Surrogate-Control before Cache-Control",                  ["Cache-Control: no-store", "Surrogate-Control: max-age=60"], [], true],
  ["Surrogate-Control: no-store",                             [FRESH, "Surrogate-Control: no-store"], [], false],
  ["Surrogate-Control for us, and for another",               [FRESH, "Surrogate-Control: no-store;weir, max-age=60;other"], [], false],
  ["Surrogate-Control for another",                           [FRESH, "Surrogate-Control: no-store;other"], [], true],
  ["must-understand and a status we know (§5.2.2.3)",         ["Cache-Control: max-age=60, must-understand, no-store"], [], true],
  ["immutable, reloaded by the client (RFC 8246)",            ["Cache-Control: max-age=60, immutable"], [], true],
  ["no-cache from the client (§5.2.1.4)",                     [FRESH], ["Cache-Control: no-cache"], false],
  ["max-age=0 from the client (§5.2.1.1)",                    [FRESH], ["Cache-Control: max-age=0"], false],
  ["min-fresh that it has not (§5.2.1.3)",                    [FRESH], ["Cache-Control: min-fresh=100"], false],
  ["min-fresh that it has (§5.2.1.3)",                        [FRESH], ["Cache-Control: min-fresh=10"], true],
  ["max-stale for one that is just stale (§5.2.1.2)",         [FRESH, "Age: 65", 'ETag: "a"'], ["Cache-Control: max-stale=60"], true],
  ["max-stale for one that is too stale (§5.2.1.2)",          [FRESH, "Age: 165", 'ETag: "a"'], ["Cache-Control: max-stale=60"], false],
  ["max-stale against must-revalidate (§5.2.2.2)",            ["Cache-Control: max-age=60, must-revalidate", "Age: 65", 'ETag: "a"'], ["Cache-Control: max-stale=60"], false],
  ["only-if-cached for one that is there (§5.2.1.7)",         [FRESH], ["Cache-Control: only-if-cached"], true],
];

for (const [title, fields, lines, isHit] of HITS) {
  test(`${title}: ${isHit ? "a hit" : "no hit"}`, async () => {
    const path = pathFor(numbered(...fields));
    expect((await of(path)).body).toBe("1");
    const second = await of(path, ...lines);
    expect([second.body, origin.count(path)]).toEqual(isHit ? ["1", 1] : ["2", 2]);
  });
}

test("only-if-cached for what is not there gets 504, and nobody is asked (§5.2.1.7)", async () => {
  const path = pathFor(numbered(FRESH));
  expect((await of(path, "Cache-Control: only-if-cached")).status).toBe(504);
  expect(origin.count(path)).toBe(0);
});

test("a hit tells its age, and Cache-Status says what it was (§5.1, RFC 9211)", async () => {
  const path = pathFor(numbered(FRESH, "Age: 10"));
  const first = await of(path);
  const second = await of(path);
  expect(Number(second.field("age"))).toBeGreaterThanOrEqual(10);
  expect(Number(second.field("age"))).toBeLessThan(20);
  expect(first.field("cache-status") ?? "").not.toContain("hit");
  if (second.field("cache-status") !== undefined) expect(second.field("cache-status")).toMatch(/; *hit/);
});

test("what other caches on the way said in Cache-Status stays in front of what we say (RFC 9211 §2)", async () => {
  const path = pathFor(numbered(FRESH, "Cache-Status: Other; hit"));
  const answer = await of(path);
  expect(answer.field("cache-status")).toStartWith("Other; hit");
});

test("a stale answer is confirmed by its ETag, and then fresh again with the new fields (§4.3.3, §4.3.4)", async () => {
  const path = pathFor((request, times) =>
    times === 1
      ? response("one", ["Cache-Control: max-age=60", "Age: 61", 'ETag: "a"', "X-Version: 1"])
      : `HTTP/1.1 304 Not Modified\r\n${FRESH}\r\nETag: "a"\r\nX-Version: 2\r\nX-Asked: ${request.field("if-none-match")}\r\n\r\n`,
  );
  await of(path);
  const second = await of(path);
  expect([second.status, second.body, second.field("x-version"), second.field("x-asked")]).toEqual([
    200,
    "one",
    "2",
    '"a"',
  ]);
  expect((await of(path)).field("x-version")).toBe("2");
  expect(origin.count(path)).toBe(2);
});

test("a confirmation that is old itself makes nothing fresh, and there is one Age in the answer (§4.2.3, §4.3.4)", async () => {
  const path = pathFor((_request, times) =>
    times === 1
      ? response("one", [FRESH, "Age: 61", 'ETag: "a"'])
      : `HTTP/1.1 304 Not Modified\r\n${FRESH}\r\nETag: "a"\r\nAge: 61\r\n\r\n`,
  );
  for (let times = 0; times < 3; times++) {
    expect((await of(path)).field("age")).toMatch(/^6[1-5]$/);
  }
  expect(origin.count(path)).toBe(3);
});

test("stale-while-revalidate: the old one at once, the new one soon, asked for once (RFC 5861 §3)", async () => {
  const path = pathFor((_request, times) =>
    times === 1
      ? response("1", ["Cache-Control: max-age=60, stale-while-revalidate=60", "Age: 61"])
      : response(`${times}`, [FRESH]),
  );
  await of(path);
  const bodies = await Promise.all(Array.from({ length: 10 }, async () => (await of(path)).body));
  expect(bodies[0]).toBe("1");
  await eventually(async () => (await of(path)).body === "2", 3000, "the refreshed answer");
  expect(origin.count(path)).toBe(2);
});

for (const [title, fields, status] of [
  ["stale-if-error: the old one (RFC 5861 §4)", "max-age=60, stale-if-error=60", 200],
  ["must-revalidate: the error (§5.2.2.2)", "max-age=60, stale-if-error=60, must-revalidate", 503],
  ["no word: the error", "max-age=60", 503],
] as const) {
  test(`when the endpoint answers 503 and the stored one is stale, ${title}`, async () => {
    const path = pathFor((_request, times) =>
      times === 1
        ? response("old", [`Cache-Control: ${fields}`, "Age: 61"])
        : response("sorry", [], "503 Service Unavailable"),
    );
    await of(path);
    expect((await of(path)).status).toBe(status);
  });
}

const post = (target: string) => `POST ${target} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\nx`;

for (const [title, fields, status, isGone] of [
  ["a POST that went well (§4.4)", [], "200 OK", true],
  ["a POST that was redirected (§4.4)", ["Location: /elsewhere"], "303 See Other", true],
  ["a POST that failed (§4.4)", [], "500 Internal Server Error", false],
] as const) {
  test(`${title} ${isGone ? "ends" : "leaves"} what is stored for its URL`, async () => {
    const path = pathFor((request) =>
      request.requestLine.startsWith("POST")
        ? response("", fields, status)
        : response(`${origin.count(path)}`, [FRESH]),
    );
    expect((await of(path)).body).toBe("1");
    await ask(weir.port(), post(path));
    expect((await of(path)).body).toBe(isGone ? "3" : "1");
  });
}

for (const [name, host, isGone] of [
  ["Location", "", true],
  ["Content-Location", "", true],
  ["Location", "http://a.test", true],
  ["Location", "http://b.test", false],
] as const) {
  test(`a POST ${isGone ? "ends" : "leaves"} what its ${name} names ${host === "" ? "by path" : `at ${host}`} (§4.4)`, async () => {
    const named = pathFor(numbered(FRESH));
    const path = pathFor(() => response("", [`${name}: ${host}${named}`]));
    await of(named);
    await ask(weir.port(), post(path));
    expect((await of(named)).body).toBe(isGone ? "2" : "1");
  });
}

// biome-ignore format: a table is read by columns
const POSTS: readonly (readonly [title: string, fields: (path: string) => readonly string[], request: readonly string[], isKept: boolean])[] = [
  ["with its own URL and a lifetime",       (path) => [FRESH, `Content-Location: ${path}`], [], true],
  ["with its own URL, told in full",        (path) => [FRESH, `Content-Location: http://a.test${path}`], [], true],
  ["with its own URL and Expires",          (path) => [`Date: ${ago(0)}`, `Expires: ${ago(-60)}`, `Content-Location: ${path}`], [], true],
  ["with the URL of something else",        () => [FRESH, "Content-Location: /other"], [], false],
  ["with its own URL on another host",      (path) => [FRESH, `Content-Location: http://b.test${path}`], [], false],
  ["without Content-Location",              () => [FRESH], [], false],
  ["without a lifetime",                    (path) => [`Last-Modified: ${ago(9999)}`, `Content-Location: ${path}`], [], false],
  ["that is private",                       (path) => ["Cache-Control: private, max-age=60", `Content-Location: ${path}`], [], false],
  ["that sets a cookie",                    (path) => [FRESH, "Set-Cookie: a=b", `Content-Location: ${path}`], [], false],
  ["to a request with Authorization",       (path) => [FRESH, `Content-Location: ${path}`], ["Authorization: x"], false],
  ["to a request that says no-store",       (path) => [FRESH, `Content-Location: ${path}`], ["Cache-Control: no-store"], false],
  ["to a request that names another method", (path) => [FRESH, `Content-Location: ${path}`], ["X-HTTP-Method-Override: PATCH"], false],
];

for (const [title, fields, lines, isKept] of POSTS) {
  test(`an answer to POST ${title} is ${isKept ? "kept" : "not kept"} for GET (RFC 9110 §9.3.3)`, async () => {
    const path = pathFor((_request, times) => response(`${times}`, times === 2 ? fields(path) : [FRESH]));
    await of(path); // what was there before is gone in any case
    const answer = await ask(
      weir.port(),
      post(path).replace("\r\n\r\n", `\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`),
    );
    expect(answer.body).toBe("2");
    expect((await of(path)).body).toBe(isKept ? "2" : "3");
  });
}

test("an answer to POST is kept as the variant that its request asked for (RFC 9111 §4.1)", async () => {
  const path = pathFor((request, times) =>
    response(`${request.field("accept-language")} ${times}`, [
      FRESH,
      `Content-Location: ${path}`,
      "Vary: Accept-Language",
    ]),
  );
  await ask(weir.port(), post(path).replace("\r\n\r\n", "\r\nAccept-Language: de\r\n\r\n"));
  expect((await of(path, "Accept-Language: de")).body).toBe("de 1");
  expect((await of(path, "Accept-Language: en")).body).toBe("en 2");
});

test("an answer to POST from before another change of the same is not kept", async () => {
  const held: OriginConnection[] = [];
  const path: string = pathFor((_request, times, connection) => {
    if (times !== 1) return response(`${times}`, [FRESH]);
    held.push(connection);
    return undefined;
  });
  const first = ask(weir.port(), post(path));
  await eventually(() => held.length > 0, 5000, "the first POST to arrive");
  await ask(weir.port(), post(path));
  held[0]?.write(response("old", [FRESH, `Content-Location: ${path}`]));
  expect((await first).body).toBe("old");
  expect((await of(path)).body).toBe("3");
});

test("a cache group that an unsafe answer names ends with all its members (RFC 9875)", async () => {
  const members = [
    pathFor(numbered(FRESH, 'Cache-Groups: "scripts"')),
    pathFor(numbered(FRESH, 'Cache-Groups: "a", "scripts"')),
  ];
  const other = pathFor(numbered(FRESH, 'Cache-Groups: "styles"'));
  for (const path of [...members, other]) await of(path);
  const path = pathFor(() => response("", ['Cache-Group-Invalidation: "scripts"']));
  await ask(weir.port(), post(path));
  const bodies = await Promise.all([...members, other].map(async (member) => (await of(member)).body));
  expect(bodies).toEqual(["2", "2", "1"]);
});

test("interim responses of a fetch reach the client that it is for, and are not kept (RFC 9110 §15.2)", async () => {
  const path = pathFor((_request, times) => {
    const early = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
    return `${early}${response(`${times}`, [FRESH])}`;
  });
  for (const isFirst of [true, false]) {
    const client = await RawClient.connect(weir.port());
    await client.send(get(path));
    const answer = await client.response("GET");
    expect([answer.status, answer.field("link")]).toEqual(
      isFirst ? [103, "</a.css>; rel=preload"] : [200, undefined],
    );
    expect(isFirst ? (await client.response("GET")).body : answer.body).toBe("1");
    client.close();
  }
});

test("an endpoint is told that Surrogate-Control is heeded, by us and not by what the client says of itself", async () => {
  const path = pathFor((request) => response(request.field("surrogate-capability") ?? "", [FRESH]));
  expect((await of(path, 'Surrogate-Capability: evil="ESI/1.0"')).body).toBe('weir="Surrogate/1.0"');
});

test("hop-by-hop fields of the endpoint are in no stored answer (§3.1)", async () => {
  const path = pathFor(() =>
    response("x", [FRESH, "Connection: X-Hop", "X-Hop: 1", "Keep-Alive: timeout=5", "X-End: 1"]),
  );
  for (let times = 0; times < 2; times++) {
    const answer = await of(path);
    expect([answer.field("x-hop"), answer.field("keep-alive"), answer.field("x-end")]).toEqual([
      undefined,
      undefined,
      "1",
    ]);
  }
  expect(origin.count(path)).toBe(1);
});

test("each variant is found again by what it varies on (§4.1)", async () => {
  const path = pathFor((request, times) =>
    response(`${request.field("accept-language")} ${times}`, [FRESH, "Vary: Accept-Language"]),
  );
  const bodies: string[] = [];
  for (const language of ["de", "en", "de", "en", "fr", "de"])
    bodies.push((await of(path, `Accept-Language: ${language}`)).body);
  expect(bodies).toEqual(["de 1", "en 2", "de 1", "en 2", "fr 3", "de 1"]);
});
