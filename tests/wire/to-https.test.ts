/** redirectToHttps, seen from a client of the program. */
import { afterEach, expect, test } from "bun:test";
import { get, Stage } from "../support/stage.ts";

const stage = new Stage();
afterEach(() => stage.clear());

const YAML = `
listeners: { web: { bind: "127.0.0.1:0", redirectToHttps: { port: 8443 } }, other: { bind: "127.0.0.1:0" } }
routes: [ { match: { path: /* }, respond: { body: "here\\n" } } ]
`;

test("a plain listener sends every request to https and goes on with the connection; others are not touched", async () => {
  const weir = await stage.weir(YAML);
  const client = await stage.client(weir.port("web"));
  for (const path of ["/a?b=c", "/d"]) {
    await client.send(get(path));
    const answer = await client.response();
    expect([answer.status, answer.field("location"), answer.field("strict-transport-security")]).toEqual([
      308,
      `https://a.test:8443${path}`,
      undefined,
    ]);
  }
  const plain = await stage.client(weir.port("other"));
  await plain.send(get("/a"));
  expect((await plain.response()).status).toBe(200);
});

test("HTTP/1.0 without a Host has nowhere to go: 400", async () => {
  const weir = await stage.weir(YAML);
  const client = await stage.client(weir.port("web"));
  await client.send("GET / HTTP/1.0\r\n\r\n");
  expect((await client.response()).status).toBe(400);
});
