/**
 * What the runtime's `write` takes, says and forgets: transport/wire.ts stands on it.
 */
import { expect, test } from "bun:test";
import { eventually } from "../support/eventually.ts";
import { type End, pairMaker } from "./pair.ts";

/** More than loopback sockets hold in flight. */
const MUCH = 32 << 20;

const pair = pairMaker();

/** Text with an encoding is undocumented. */
const writeLatin1 = (end: End, text: string): number =>
  (end.open as unknown as { write(text: string, encoding: string): number }).write(text, "latin1");

test("write says how many bytes it took, and what it did not take is forgotten", async () => {
  const { client, server } = await pair();
  server.open.pause();
  const taken = client.open.write(Buffer.alloc(MUCH, "a"));
  expect(taken).toBeGreaterThan(0);
  expect(taken).toBeLessThan(MUCH);
  expect(client.open.write("b")).toBe(0);
  server.open.resume();
  await eventually(() => server.received >= taken);
  client.open.shutdown();
  await server.saw("end");
  expect(server.received).toBe(taken);
  expect(server.text.includes("b")).toBe(false);
});

test("drain comes after a short write, once there is room, and not before", async () => {
  const { client, server } = await pair();
  server.open.pause();
  const taken = client.open.write(Buffer.alloc(MUCH));
  await Bun.sleep(20);
  expect(client.drains).toBe(0);
  server.open.resume();
  await client.saw("drain");
  expect(taken + client.open.write(Buffer.alloc(1))).toBe(taken + 1);
});

test("every byte arrives once and in order when the rest is written on drain", async () => {
  const { client, server } = await pair();
  const bytes = Buffer.alloc(MUCH);
  for (let at = 0; at < MUCH; at += 4) bytes.writeUInt32LE(at, at);
  let sent = 0;
  while (sent < MUCH) {
    const taken = client.open.write(bytes, sent, MUCH - sent);
    expect(taken).toBeGreaterThanOrEqual(0);
    sent += taken;
    if (sent < MUCH) await eventually(() => client.drains > 0);
    client.drains = 0;
  }
  await eventually(() => server.received === MUCH);
  expect(Bun.hash(Buffer.concat(server.chunks))).toBe(Bun.hash(bytes));
});

test("write does not keep the buffer: it may be filled anew at once", async () => {
  const { client, server } = await pair();
  const bytes = Buffer.from("first.");
  expect(client.open.write(bytes)).toBe(6);
  bytes.write("second");
  client.open.write(bytes);
  await eventually(() => server.received === 12);
  expect(server.text).toBe("first.second");
});

test("write(text, 'latin1') sends one byte a character and counts bytes", async () => {
  const { client, server } = await pair();
  const text = String.fromCharCode(...Array.from({ length: 256 }, (_, code) => code));
  expect(writeLatin1(client, text)).toBe(256);
  await eventually(() => server.received === 256);
  expect(server.text).toBe(text);
});

test("write(text, 'latin1') of more than there is room for says how many characters went", async () => {
  const { client, server } = await pair();
  server.open.pause();
  const taken = writeLatin1(client, "\u00e9".repeat(MUCH));
  expect(taken).toBeGreaterThan(0);
  expect(taken).toBeLessThan(MUCH);
  server.open.resume();
  await eventually(() => server.received >= taken);
  client.open.shutdown();
  await server.saw("end");
  expect(server.received).toBe(taken);
});

test("write(text) without an encoding is UTF-8", async () => {
  const { client, server } = await pair();
  expect(client.open.write("\u00e9")).toBe(2);
  await eventually(() => server.received === 2);
});

test("write(bytes, 0, length) sends the first bytes only", async () => {
  const { client, server } = await pair();
  expect(client.open.write(Buffer.from("abcdef"), 0, 3)).toBe(3);
  expect(client.open.write(Buffer.from("abcdef"), 4, 2)).toBe(2);
  await eventually(() => server.received === 5);
  expect(server.text).toBe("abcef");
});

test("write(bytes, offset) without a length throws unless the offset is 0: always give both", async () => {
  const { client } = await pair();
  expect(() => client.open.write(Buffer.from("abcdef"), 2)).toThrow();
});

test("end(bytes) of more than there is room for loses the rest: send all, then end", async () => {
  const { client, server } = await pair();
  server.open.pause();
  client.open.end(Buffer.alloc(MUCH));
  server.open.resume();
  await server.saw("end");
  expect(server.received).toBeLessThan(MUCH);
});

test("write returns -1 once the socket is closed, ended or reset", async () => {
  const closed = await pair();
  closed.client.open.close();
  expect(closed.client.open.write("x")).toBe(-1);
  const ended = await pair();
  ended.client.open.shutdown();
  expect(ended.client.open.write("x")).toBe(-1);
  const reset = await pair();
  reset.server.open.terminate();
  await reset.client.saw("close");
  expect(reset.client.open.write("x")).toBe(-1);
});

test("Buffer has latin1Slice and latin1Write, one byte a character, as core/buffer.d.ts says", () => {
  const bytes = Buffer.alloc(8);
  expect(bytes.latin1Write("\u00ff\u0000ab", 2)).toBe(4);
  expect([...bytes]).toEqual([0, 0, 255, 0, 97, 98, 0, 0]);
  expect(bytes.latin1Slice(2, 6)).toBe("\u00ff\u0000ab");
  expect(bytes.latin1Write("0123456789", 4)).toBe(4);
});
