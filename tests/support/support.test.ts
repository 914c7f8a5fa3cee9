/** The test tools themselves: what they promise to the tests that use them. */
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually, within } from "./eventually.ts";
import { Origin, perRequest, response } from "./origin.ts";
import { freePorts } from "./ports.ts";
import { parseResponse, RawClient, sendAndCollect } from "./raw-client.ts";

const open: { stop(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const thing of open.splice(0)) await thing.stop();
});

async function started(...args: Parameters<typeof Origin.start>): Promise<Origin> {
  const origin = await Origin.start(...args);
  open.push(origin);
  return origin;
}

const REQUEST = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";

test("a request sent in any cuts reaches the script whole, and its answer comes back", async () => {
  const origin = await started(perRequest((request) => response(`${request.requestLine}|${request.body}`)));
  for (const cuts of [[], [1, 20, REQUEST.length - 1], "every"] as const) {
    const client = await RawClient.connect(origin.port);
    await client.send(REQUEST, cuts);
    expect((await client.response()).body).toBe("POST /a HTTP/1.1|abc");
    client.close();
  }
  expect(origin.received).toEqual([REQUEST, REQUEST, REQUEST]);
});

test("pipelined requests get their responses one after the other", async () => {
  const origin = await started(perRequest((_request, connection) => response(String(connection.requests))));
  const client = await RawClient.connect(origin.port);
  await client.send(REQUEST + REQUEST);
  expect([(await client.response()).body, (await client.response()).body]).toEqual(["1", "2"]);
  client.close();
});

test("a chunked request is decoded for the script", async () => {
  const origin = await started(perRequest((request) => response(request.body)));
  const client = await RawClient.connect(origin.port);
  await client.send(
    "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=1\r\nde\r\n0\r\n\r\n",
  );
  expect((await client.response()).body).toBe("abcde");
  client.close();
});

test("a chunked response is decoded with its trailers, and only when whole", () => {
  const text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n";
  for (let end = 0; end < text.length; end++)
    expect(parseResponse(text.slice(0, end), "GET", false)).toBeUndefined();
  const whole = parseResponse(`${text}rest`, "GET", false);
  expect([whole?.body, whole?.trailers, whole?.raw]).toEqual(["abc", [["x-sum", "7"]], text]);
});

test("a reset from the origin shows as an error code, a FIN does not", async () => {
  const origin = await started((connection) =>
    connection.index === 0 ? connection.reset() : connection.end(),
  );
  const reset = await RawClient.connect(origin.port);
  await reset.send("x");
  await eventually(() => reset.isClosed);
  expect(reset.errorCode).toBe("ECONNRESET");
  const fin = await RawClient.connect(origin.port);
  await fin.send("x");
  await eventually(() => fin.isEnded);
  expect([fin.isClosed, fin.errorCode]).toEqual([false, undefined]);
  fin.close();
});

test("a reset from the client closes the origin's connection without a FIN", async () => {
  const origin = await started(() => undefined);
  const client = await RawClient.connect(origin.port);
  await client.send("x");
  await eventually(() => origin.received[0] === "x");
  client.reset();
  await eventually(() => origin.connections[0]?.isClosed);
  expect(origin.connections[0]?.isEnded).toBe(false);
});

test("after the client's FIN the origin can still answer", async () => {
  const origin = await started({
    end(connection) {
      connection.write("late");
      connection.end();
    },
  });
  const client = await RawClient.connect(origin.port);
  client.end();
  expect(await client.untilClose()).toBe("late");
  client.close();
});

test("an origin listens on a unix socket", async () => {
  const folder = mkdtempSync(join(tmpdir(), "weir-support-"));
  const unix = join(folder, "o.sock");
  const origin = await started((connection) => connection.end(), { unix });
  expect(origin.address).toBe(`unix:${unix}`);
  expect(await sendAndCollect({ unix }, "x")).toBe("");
  rmSync(folder, { recursive: true });
});

test("a paused client holds a large answer back at the origin", async () => {
  const size = 32 << 20;
  const origin = await started((connection) => connection.write(new Uint8Array(size)));
  const client = await RawClient.connect(origin.port);
  client.pause();
  await client.send("x");
  await eventually(() => (origin.connections[0]?.queuedBytes ?? 0) > 0);
  client.resume();
  await eventually(() => client.length === size);
  client.close();
});

test("waiting in vain says for what, and what was received", async () => {
  const origin = await started((connection) => connection.write("abc"));
  const client = await RawClient.connect(origin.port);
  await client.send("x");
  await expect(client.until("never", 50)).rejects.toThrow(/never.*50 ms.*abc/);
  await expect(eventually(() => false, 20, "rain")).rejects.toThrow("waited 20 ms for rain");
  await expect(within(new Promise(() => undefined), 20, "Godot")).rejects.toThrow("Godot");
  client.close();
});

test("free ports are different and lie below the kernel's ephemeral range", async () => {
  const ports = await freePorts(5);
  expect(new Set(ports).size).toBe(5);
  expect(Math.max(...ports)).toBeLessThan(32_768);
});
