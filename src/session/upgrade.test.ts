import { expect, test } from "bun:test";
import { type FakeRequest, fakeExchange } from "../../tests/support/fake-exchange.ts";
import { BODY_LENGTH, BODY_NONE, type BodyKind } from "../core/body.ts";
import { upgradeOf } from "./upgrade.ts";

const ROWS: readonly [what: string, request: FakeRequest, kind: BodyKind, upgrade: string][] = [
  ["one protocol is carried on, in lower case", { lines: ["Upgrade: WebSocket"] }, BODY_NONE, "websocket"],
  ["a protocol may have a version", { lines: ["Upgrade: chat/2.0"] }, BODY_NONE, "chat/2.0"],
  ["h2c is not", { lines: ["Upgrade: h2c"] }, BODY_NONE, ""],
  ["h2c is not, in any spelling", { lines: ["Upgrade: H2C"] }, BODY_NONE, ""],
  ["nor is a list of protocols", { lines: ["Upgrade: websocket, h2c"] }, BODY_NONE, ""],
  ["nor a list in two fields", { lines: ["Upgrade: websocket", "Upgrade: h2c"] }, BODY_NONE, ""],
  ["nor what is no protocol name", { lines: ['Upgrade: "websocket"'] }, BODY_NONE, ""],
  ["nor an empty field", { lines: ["Upgrade: "] }, BODY_NONE, ""],
  ["nor from an HTTP/1.0 client", { lines: ["Upgrade: websocket"], isHttp10: true }, BODY_NONE, ""],
  ["nor with another method", { lines: ["Upgrade: websocket"], method: "POST" }, BODY_NONE, ""],
  ["nor with a body", { lines: ["Upgrade: websocket"] }, BODY_LENGTH, ""],
];
for (const [what, request, kind, upgrade] of ROWS) {
  test(`Upgrade: ${what} (RFC 9110 §7.8)`, () => {
    const { exchange } = fakeExchange(request);
    exchange.requestBodyKind = kind;
    expect(upgradeOf(exchange)).toBe(upgrade);
  });
}
