import { expect, test } from "bun:test";
import { readJsonList, readYamlList } from "./endpoint-list.ts";

const RULES = { name: "list", folder: "/etc/weir", isSecure: false };

test("a list reads as `endpoints` in the configuration does", () => {
  const text =
    "- 10.0.0.1:80\n- { address: app.internal:81, weight: 3, priority: 1, zone: b, backup: true }\n- unix:run/a.sock\n";
  const found = readYamlList(text, RULES);
  expect(found).toMatchObject({
    kind: "list",
    endpoints: [
      { name: "10.0.0.1:80", weight: 1 },
      { name: "app.internal:81", weight: 3, priority: 1, zone: "b", backup: true },
      { address: { kind: "unix", path: "/etc/weir/run/a.sock" } },
    ],
  });
});

test("an empty text, and an empty list, is an empty list", () => {
  for (const text of ["", "# nothing\n", "[]"])
    expect(readYamlList(text, RULES)).toEqual({ kind: "list", endpoints: [] });
});

const REFUSED: readonly [rule: string, text: string, rules: object, reason: string][] = [
  ["one wrong entry refuses the list, with its line", "- 10.0.0.1:80\n- 10.0.0.2\n", {}, "list:2:"],
  ["an unknown key does", "- { address: a.b:1, wieght: 2 }\n", {}, "wieght"],
  ["an address twice does", "[ a.b:1, a.b:1 ]", {}, "already"],
  ["a mapping is no list", "endpoints: []\n", {}, "unknown key"],
  ["text that is no YAML", "[ a.b:1", {}, "list:1:"],
  ["https:// without TLS in the upstream", '["https://a.b"]', {}, "tls: true"],
  ["http:// where the upstream has TLS", '["http://a.b"]', { isSecure: true }, "plain text"],
  [
    "a socket of this machine, named elsewhere",
    '["unix:/run/docker.sock"]',
    { folder: undefined },
    "socket of this machine",
  ],
];

test.each(REFUSED)("%s", (_rule, text, rules, reason) => {
  const found = readYamlList(text, { ...RULES, ...rules });
  expect(found).toMatchObject({ kind: "failure" });
  expect(found.kind === "failure" && found.text).toContain(reason);
});

test("a JSON list is read the same way, and what is not JSON is refused", () => {
  expect(readJsonList('["10.0.0.1:80"]', RULES)).toMatchObject({ endpoints: [{ name: "10.0.0.1:80" }] });
  expect(readJsonList("<html>", RULES)).toMatchObject({ kind: "failure" });
  expect(readJsonList('["10.0.0.1"]', RULES)).toMatchObject({ kind: "failure" });
});
