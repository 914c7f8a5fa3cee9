import { afterAll, expect, test } from "bun:test";
import { REAL_TIMING } from "../timing.ts";
import { Trouble, type TroubleKind } from "../trouble.ts";
import { AccountKey } from "./account-key.ts";
import { Connection, problemOf } from "./connection.ts";

const DIRECTORY = { newNonce: "/nonce", newAccount: "/account", newOrder: "/order" };
let answers: (() => Response)[] = [];
const bodies: string[] = [];
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/dir") {
      const urls = Object.entries(DIRECTORY).map(([name, path]) => [name, new URL(path, request.url).href]);
      return Response.json(Object.fromEntries(urls));
    }
    if (pathname === "/nonce") return new Response("", { headers: { "replay-nonce": "fresh" } });
    bodies.push(await request.text());
    return answers.shift()?.() ?? new Response("{}");
  },
});
afterAll(() => server.stop(true));

const url = (path: string) => `http://127.0.0.1:${server.port}${path}`;
const signal = new AbortController().signal;
const connect = (directory = url("/dir")) =>
  new Connection({ directory, ca: undefined, timing: REAL_TIMING });
const signer = { key: AccountKey.make(), kid: "k" };
const problem = (type: string, status: number, headers = {}) =>
  Response.json({ type: `urn:ietf:params:acme:error:${type}`, detail: "why" }, { status, headers });

async function troubleWith(answer: () => Response): Promise<Trouble> {
  answers = [answer];
  const thrown = await connect()
    .post(url("/x"), signer, {}, signal)
    .catch((error: unknown) => error);
  expect(thrown).toBeInstanceOf(Trouble);
  return thrown as Trouble;
}

const KINDS: readonly [what: string, answer: () => Response, kind: TroubleKind, retryAfterMs?: number][] = [
  ["rateLimited", () => problem("rateLimited", 429, { "retry-after": "60" }), "rate_limited", 60_000],
  ["unauthorized", () => problem("unauthorized", 403), "rejected"],
  ["serverInternal", () => problem("serverInternal", 500, { "retry-after": "5" }), "server", 5000],
  ["a bad gateway in front of the authority", () => new Response("<html>", { status: 502 }), "server"],
  ["429 without a word", () => new Response("", { status: 429 }), "rate_limited"],
  ["accountDoesNotExist", () => problem("accountDoesNotExist", 400), "account"],
  ["a megabyte and more", () => new Response("x".repeat(1024 * 1024 + 1)), "protocol"],
];
for (const [what, answer, kind, retryAfterMs = 0] of KINDS) {
  test(`${what} is trouble of kind ${kind}`, async () => {
    expect(await troubleWith(answer)).toMatchObject({ kind, retryAfterMs });
  });
}

test("a nonce is used once, and one that came with an answer is used next (RFC 8555 §6.5)", async () => {
  const nonceOf = (text = "") =>
    JSON.parse(Buffer.from(JSON.parse(text).protected, "base64url").toString()).nonce;
  bodies.length = 0;
  answers = [() => new Response("{}", { headers: { "replay-nonce": "second" } })];
  const connection = connect();
  for (let count = 0; count < 3; count++) await connection.post(url("/x"), signer, {}, signal);
  expect(bodies.map(nonceOf)).toEqual(["fresh", "second", "fresh"]);
});

test("an authority that refuses every nonce is given up", async () => {
  answers = Array.from({ length: 40 }, () => () => problem("badNonce", 400, { "replay-nonce": "no" }));
  const thrown = await connect()
    .post(url("/x"), signer, {}, signal)
    .catch((error: unknown) => error);
  expect(thrown).toMatchObject({ kind: "server", type: "badNonce" });
  expect(answers.length).toBe(25);
});

test("a signed request is not sent on elsewhere (RFC 8555 §6.4)", async () => {
  const trouble = await troubleWith(() => Response.redirect(url("/dir"), 307));
  expect(trouble.kind).toBe("network");
});

test("nobody there, and a directory that is none, are told apart", async () => {
  const kindOf = (connection: Connection) =>
    connection.directory(signal).then(
      () => "none",
      (error: Trouble) => error.kind,
    );
  expect(await kindOf(connect("http://127.0.0.1:1/dir"))).toBe("network");
  expect(await kindOf(connect(url("/nonce")))).toBe("protocol");
});

test("what an authority writes stays one line of bounded length in our log", () => {
  const detail = `first\r\n2026-01-01 error forged ${"x".repeat(5000)}`;
  const trouble = problemOf({ type: "urn:ietf:params:acme:error:dns", detail }, 400, 0);
  expect(trouble?.message).not.toContain("\n");
  expect(trouble?.message.length).toBeLessThan(700);
});
