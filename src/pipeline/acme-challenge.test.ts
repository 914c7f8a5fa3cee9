import { expect, test } from "bun:test";
import { challengeAnswer } from "./acme-challenge.ts";

const CHALLENGES = new Map([["token-1", "token-1.thumbprint"]]);
const ask = (path: string, method = "GET", challenges = CHALLENGES) =>
  challengeAnswer(method, path, challenges)?.body.toString();

test("a token under way is answered with its key authorisation (RFC 8555 §8.3)", () => {
  expect(ask("/.well-known/acme-challenge/token-1")).toBe("token-1.thumbprint");
  expect(ask("/.well-known/acme-challenge/token-1", "HEAD")).toBe("token-1.thumbprint");
});

const OTHERS: readonly [what: string, path: string, method?: string][] = [
  ["a token of somebody else", "/.well-known/acme-challenge/token-2"],
  ["a token with more behind it", "/.well-known/acme-challenge/token-1/x"],
  ["no token", "/.well-known/acme-challenge/"],
  ["the name of a member of every object", "/.well-known/acme-challenge/constructor"],
  ["another well-known path", "/.well-known/security.txt"],
  ["a path that only begins alike", "/.well-known/acme-challengetoken-1"],
  ["another method", "/.well-known/acme-challenge/token-1", "POST"],
  ["the root", "/"],
];
for (const [what, path, method] of OTHERS) {
  test(`${what} goes to routes`, () => {
    expect(ask(path, method)).toBeUndefined();
  });
}

test("without challenges nothing is answered", () => {
  expect(ask("/.well-known/acme-challenge/token-1", "GET", new Map())).toBeUndefined();
});
