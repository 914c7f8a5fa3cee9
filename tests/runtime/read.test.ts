/**
 * How bytes come in: back-pressure, whose memory they are, and who is at the other end.
 */
import { expect, test } from "bun:test";
import { eventually } from "../support/eventually.ts";
import { pairMaker } from "./pair.ts";

const pair = pairMaker();

test("after pause() inside of data() nothing more comes, and the writer is held back", async () => {
  const { client, server } = await pair({
    prepare(end) {
      end.onData = (socket) => socket.pause();
    },
  });
  client.open.write("first");
  await server.saw("data");
  const taken = client.open.write(Buffer.alloc(32 << 20));
  await Bun.sleep(30);
  expect(server.received).toBe(5);
  expect(taken).toBeLessThan(32 << 20);
  server.onData = () => undefined;
  server.open.resume();
  await eventually(() => server.received === 5 + taken);
});

test("pause() inside of open() holds the very first bytes back", async () => {
  const { client, server } = await pair({
    prepare(end) {
      end.onOpen = (socket) => socket.pause();
    },
  });
  client.open.write("early");
  await Bun.sleep(30);
  expect(server.has("data")).toBe(false);
  server.open.resume();
  await eventually(() => server.text === "early");
});

test("the bytes given to data() are ours: later reads do not overwrite them", async () => {
  const { client, server } = await pair();
  let sent = 0;
  for (let round = 0; round < 50; round++) {
    client.open.write(Buffer.alloc(1000, round));
    sent += 1000;
    await eventually(() => server.received === sent);
  }
  const all = Buffer.concat(server.chunks);
  for (let round = 0; round < 50; round++) expect(all[round * 1000 + 999]).toBe(round);
});

test("a large read owns the whole of its memory: giving that back takes nothing from another read", async () => {
  const { client, server } = await pair();
  server.open.pause();
  const taken = client.open.write(Buffer.alloc(2 << 20, "x"));
  server.open.resume();
  await eventually(() => server.received === taken);
  const [first, ...others] = server.chunks.filter((chunk) => chunk.length >= 64 << 10);
  expect(others.length).toBeGreaterThan(0);
  expect([first?.byteOffset, first?.length]).toEqual([0, first?.buffer.byteLength]);
  const memory = first?.buffer as ArrayBuffer;
  memory.transfer(0);
  expect([memory.detached, first?.length]).toEqual([true, 0]);
  for (const chunk of others) expect([chunk[0], chunk.at(-1)]).toEqual([120, 120]);
});

test("one read is at most 512 KiB, so what one socket brings in a turn is bounded", async () => {
  const { client, server } = await pair();
  server.open.pause();
  const taken = client.open.write(Buffer.alloc(32 << 20));
  server.open.resume();
  await eventually(() => server.received === taken);
  expect(Math.max(...server.chunks.map((chunk) => chunk.length))).toBeLessThanOrEqual(512 << 10);
});

test("addresses and ports of both ends are known inside of open(), and kept after close", async () => {
  const seen: (string | number | undefined)[] = [];
  const { client, server } = await pair({
    prepare(end) {
      end.onOpen = ({ remoteAddress, remotePort, localAddress, localPort }) =>
        seen.push(remoteAddress, remotePort, localAddress, localPort);
    },
  });
  expect(seen).toEqual(["127.0.0.1", client.open.localPort, "127.0.0.1", client.open.remotePort]);
  expect(server.open.localPort).toBe(client.open.remotePort);
});

test("a handler that throws in data() is told to error(), and the connection stays", async () => {
  const { client, server } = await pair({
    prepare(end) {
      let isFirst = true;
      end.onData = () => {
        if (!isFirst) return;
        isFirst = false;
        throw new Error("a bug");
      };
    },
  });
  client.open.write("a");
  await server.saw("data");
  client.open.write("b");
  await eventually(() => server.text === "ab");
  expect(server.has("close")).toBe(false);
});
