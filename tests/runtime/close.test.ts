/**
 * How a connection ends: FIN, half-close, close, RST, and which handler hears of it.
 */
import { expect, test } from "bun:test";
import { eventually } from "../support/eventually.ts";
import { pairMaker } from "./pair.ts";

const pair = pairMaker();

test("shutdown() sends FIN and reading goes on, with allowHalfOpen on both sides", async () => {
  const { client, server } = await pair();
  client.open.write("question");
  client.open.shutdown();
  await server.saw("end");
  expect(server.text).toBe("question");
  expect(server.open.write("late answer")).toBe(11);
  await eventually(() => client.text === "late answer");
  expect([client.has("end"), client.has("close"), server.has("close")]).toEqual([false, false, false]);
});

test("a FIN after our own shutdown() is told by close alone, not by end", async () => {
  const { client, server } = await pair();
  client.open.shutdown();
  await server.saw("end");
  server.open.shutdown();
  await client.saw("close");
  expect(client.has("end")).toBe(false);
});

test("end() sends FIN after what was written", async () => {
  const { client, server } = await pair();
  client.open.write("a");
  client.open.end();
  await server.saw("end");
  expect(server.text).toBe("a");
});

test("without allowHalfOpen an answer may still be written inside of end(), then the socket closes by itself", async () => {
  const { client, server } = await pair({
    allowHalfOpen: false,
    prepare(end) {
      end.onEnd = (socket) => socket.write("last word");
    },
  });
  client.open.write("x");
  client.open.shutdown();
  await server.saw("close");
  await eventually(() => client.text === "last word");
});

test("close() delivers what the kernel has taken, and FIN", async () => {
  const { client, server } = await pair();
  server.open.pause();
  const taken = client.open.write(Buffer.alloc(1 << 20));
  client.open.close();
  await client.saw("close");
  server.open.resume();
  await server.saw("end");
  expect(server.received).toBe(taken);
});

test("terminate() sends RST: the other side closes with ECONNRESET and without end", async () => {
  const { client, server } = await pair();
  client.open.terminate();
  await server.saw("close");
  expect([server.has("end"), server.events.at(-1)]).toEqual([false, "close:ECONNRESET"]);
});

test("close comes exactly once, also after close() and terminate() together", async () => {
  const { client, server } = await pair();
  client.open.close();
  client.open.terminate();
  client.open.close();
  await eventually(() => server.has("close") || server.has("end"));
  expect(client.events.filter((event) => event.startsWith("close"))).toHaveLength(1);
});

test("a FIN that comes while paused is told after resume, behind the data", async () => {
  const { client, server } = await pair();
  server.open.pause();
  client.open.write("abc");
  client.open.shutdown();
  await Bun.sleep(30);
  expect([server.has("data"), server.has("end")]).toEqual([false, false]);
  server.open.resume();
  await server.saw("end");
  // `drain` may come at any time after a pause or a resume, with nothing waiting: it says nothing here.
  expect(server.events.filter((event) => event !== "drain")).toEqual(["open", "data:3", "end"]);
});
