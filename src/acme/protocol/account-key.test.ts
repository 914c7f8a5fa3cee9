import { expect, test } from "bun:test";
import { createHmac, createPublicKey, verify } from "node:crypto";
import { AccountKey } from "./account-key.ts";

const decode = (text: string) => JSON.parse(Buffer.from(text, "base64url").toString("utf8"));

test("a request is signed with ES256 over its protected header and payload (RFC 8555 §6.2)", () => {
  const key = AccountKey.make();
  const text = key.sign({ url: "https://a.test/new", nonce: "n1" }, { status: "ok" });
  const { protected: head, payload, signature } = JSON.parse(text);
  expect(decode(head)).toEqual({ alg: "ES256", jwk: key.jwk, url: "https://a.test/new", nonce: "n1" });
  expect(decode(payload)).toEqual({ status: "ok" });
  const publicKey = createPublicKey({ key: { ...key.jwk }, format: "jwk" });
  const check = { key: publicKey, dsaEncoding: "ieee-p1363" as const };
  const bytes = Buffer.from(`${head}.${payload}`);
  expect(verify("sha256", bytes, check, Buffer.from(signature, "base64url"))).toBe(true);
});

test("with an account its URL stands for the key, and POST-as-GET has an empty payload (RFC 8555 §6.3)", () => {
  const { protected: head, payload } = JSON.parse(
    AccountKey.make().sign({ url: "u", kid: "k", nonce: "n" }, undefined),
  );
  expect(decode(head)).toEqual({ alg: "ES256", kid: "k", url: "u", nonce: "n" });
  expect(payload).toBe("");
});

test("a key comes back from PEM as the same key", () => {
  const key = AccountKey.make();
  expect(AccountKey.fromPem(key.toPem()).keyAuthorization("t")).toBe(`t.${key.thumbprint}`);
});

test("a key of another kind is refused", () => {
  expect(() => AccountKey.fromPem("nonsense")).toThrow();
});

test("an external account binds the account key with HMAC (RFC 8555 §7.3.4)", () => {
  const key = AccountKey.make();
  const secret = Buffer.from("a secret of thirty-two bytes, no");
  const bound = key.bindTo(
    { keyId: "kid-1", hmacKey: secret.toString("base64url") },
    "https://a.test/account",
  );
  const { protected: head, payload, signature } = bound as Record<string, string>;
  expect(decode(head ?? "")).toEqual({ alg: "HS256", kid: "kid-1", url: "https://a.test/account" });
  expect(decode(payload ?? "")).toEqual(key.jwk);
  expect(signature).toBe(createHmac("sha256", secret).update(`${head}.${payload}`).digest("base64url"));
});
