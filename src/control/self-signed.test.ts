import { expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import type { Config } from "../config/config.ts";
import { StandIns } from "./self-signed.ts";

const listener = (name: string, names: readonly string[], files = 0) => ({
  name,
  tls: { certificates: Array.from({ length: files }, () => ({ cert: "", key: "" })), acme: { names } },
});
const configOf = (...listeners: object[]) => ({ listeners }) as unknown as Config;

test("a listener without a certificate of its own gets one for its names; the others get none", async () => {
  const config = configOf(listener("bare", ["a.test", "*.b.test"]), listener("full", ["c.test"], 1), {
    name: "plain",
  });
  const made = await new StandIns().of(config, Date.now());
  expect(Object.keys(made)).toEqual(["bare"]);
  const pair = made["bare"]?.certificate?.pair;
  expect(pair?.names).toEqual(["a.test", "*.b.test"]);
  const leaf = new X509Certificate(pair?.cert ?? "");
  expect(leaf.checkIssued(leaf)).toBe(true);
  expect(leaf.publicKey.asymmetricKeyDetails?.namedCurve).toBe("prime256v1");
});

test("without names it is for localhost", async () => {
  const made = await new StandIns().of(configOf(listener("bare", [])), Date.now());
  expect(made["bare"]?.names).toEqual(["localhost"]);
});

test("it stays the same over reloads, and is made once for two listeners with the same names", async () => {
  const standIns = new StandIns();
  const config = configOf(listener("a", ["a.test"]), listener("b", ["a.test"]));
  const first = await standIns.of(config, Date.now());
  const second = await standIns.of(config, Date.now());
  const ids = [first["a"], first["b"], second["a"]].map((offer) => offer?.certificate?.pair.id);
  expect(new Set(ids).size).toBe(1);
});
