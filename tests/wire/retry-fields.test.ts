/** What a further attempt sends: the same request, edited once. */
import { expect, test } from "bun:test";
import { freePort } from "../support/ports.ts";
import { startWeir } from "../support/weir.ts";
import { ask, fieldLines, get, startEcho } from "./ask.ts";

const SAID_BY_WEIR = [
  "X-Forwarded-For",
  "X-Forwarded-Proto",
  "X-Forwarded-Host",
  "X-Forwarded-Port",
  "Via",
  "X-Request-Id",
  "traceparent",
];

test("a route's edits are applied once, however many attempts a request takes", async () => {
  const echo = await startEcho();
  const dead = await freePort();
  const weir = await startWeir(`
listeners: { web: { bind: "127.0.0.1:0" } }
routes:
  - to: app
    headers: { request: { add: { X-Mark: one }, remove: [${SAID_BY_WEIR.join(", ")}] } }
upstreams: { app: [ "127.0.0.1:${dead}", "${echo.address}" ] }
`);
  try {
    for (let turn = 0; turn < 4; turn++) {
      const { status, body } = await ask(weir.port(), get("/"));
      expect([status, fieldLines(body)]).toEqual([200, ["Host: a.test", "X-Mark: one"]]);
    }
  } finally {
    await weir.stop();
    await echo.stop();
  }
});
