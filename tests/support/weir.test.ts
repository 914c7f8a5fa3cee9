/** The program under test: started, asked, reloaded and stopped as other tests do it. */
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { Origin, perRequest, response } from "./origin.ts";
import { RawClient } from "./raw-client.ts";
import { needs } from "./tools.ts";
import { startWeir } from "./weir.ts";

const config = (address: string, extra = "") => `
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { to: app${extra} } ]
upstreams: { app: [ "${address}" ] }
`;

test("Weir starts on a port of the kernel's choice, proxies, reloads and stops with exit code 0", async () => {
  const origin = await Origin.start(perRequest((request) => response(request.requestLine)));
  const weir = await startWeir(config(origin.address));
  try {
    const client = await RawClient.connect(weir.port("web"));
    await client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    const first = await client.response();
    expect([first.status, first.body]).toEqual([200, "GET /a HTTP/1.1"]);
    const port = weir.port();
    expect(
      await weir.reload(config(origin.address, ", headers: { response: { set: { X-New: yes } } }")),
    ).toBe(true);
    expect(weir.port()).toBe(port);
    await client.send("GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
    expect((await client.response()).field("x-new")).toBe("yes");
    expect(await weir.reload("listeners: 7")).toBe(false);
    expect(await weir.metrics()).toContain("weir_requests_total");
    client.close();
  } finally {
    expect(await weir.stop()).toBe(0);
    await origin.stop();
  }
  expect(existsSync(weir.folder)).toBe(false);
});

test("a configuration that Weir refuses is an error that shows what Weir said", async () => {
  await expect(startWeir("listeners: { web: { bind: nonsense } }")).rejects.toThrow(
    /did not become ready[\s\S]*weir\.yaml:/,
  );
});

test.skipIf(!needs("curl"))(
  "curl, a client that is not ours, takes an upload and its echo through Weir for valid HTTP",
  async () => {
    const origin = await Origin.start(
      perRequest((request) => response(`${request.field("x-forwarded-for")}|${request.body}`)),
    );
    const weir = await startWeir(config(origin.address));
    try {
      const url = `http://127.0.0.1:${weir.port()}/echo`;
      const curl = Bun.spawn(
        ["curl", "-sS", "--fail", "--max-time", "5", "-H", "Transfer-Encoding: chunked", "-d", "hello", url],
        {
          stdout: "pipe",
          stderr: "inherit",
        },
      );
      expect(await new Response(curl.stdout).text()).toBe("127.0.0.1|hello");
      expect(await curl.exited).toBe(0);
    } finally {
      await weir.stop();
      await origin.stop();
    }
  },
);
