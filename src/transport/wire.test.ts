import { expect, test } from "bun:test";
import { OUT } from "../core/out.ts";
import { BufferBudget, type RawSocket, Wire } from "./wire.ts";

/** A socket that takes as many bytes of each write as the test allows. */
class NarrowSocket implements RawSocket {
  /** What each write may take; the last one holds for all that follow. */
  allow: number[] = [Number.POSITIVE_INFINITY];
  readonly calls: string[] = [];
  taken = Buffer.alloc(0);
  readonly remoteAddress = "127.0.0.1";
  readonly remotePort = 1;
  readonly localPort = 2;
  readonly localAddress = "127.0.0.1";

  write(data: string | Uint8Array, offset?: number | "latin1", length?: number): number {
    const bytes = typeof data === "string" ? Buffer.from(data, "latin1") : Buffer.from(data);
    const start = typeof offset === "number" ? offset : 0;
    const wanted = bytes.subarray(start, start + (length ?? bytes.length));
    const limit = (this.allow.length > 1 ? this.allow.shift() : this.allow[0]) ?? 0;
    if (limit < 0) return -1;
    const now = wanted.subarray(0, limit);
    this.taken = Buffer.concat([this.taken, now]);
    return now.length;
  }

  close = () => void this.calls.push("close");
  shutdown = () => void this.calls.push("shutdown");
  terminate = () => void this.calls.push("terminate");
  pause = () => void this.calls.push("pause");
  resume = () => void this.calls.push("resume");
}

function make(...allow: readonly number[]) {
  const socket = new NarrowSocket();
  if (allow.length > 0) socket.allow = [...allow];
  const budget = new BufferBudget(1000);
  return { socket, budget, wire: new Wire(socket, budget) };
}

test("what the socket takes at once is not kept", () => {
  const { socket, wire, budget } = make();
  expect([wire.writeText("head"), wire.writeBytes(Buffer.from("body"))]).toEqual([true, true]);
  expect([socket.taken.toString(), wire.isBlocked, budget.usedBytes]).toEqual(["headbody", false, 0]);
});

test("the rest of a short write waits, is counted, and goes out first when the socket drains", () => {
  const { socket, wire, budget } = make(3, 0, 4, 100);
  expect(wire.writeText("abcdef")).toBe(false);
  expect([wire.isBlocked, budget.usedBytes]).toEqual([true, 3]);
  expect(wire.writeBytes(Buffer.from("ghi"))).toBe(false);
  expect([budget.usedBytes, wire.flush()]).toEqual([6, false]);
  expect(wire.flush()).toBe(true);
  expect([socket.taken.toString(), wire.isBlocked, budget.usedBytes]).toEqual(["abcdefghi", false, 0]);
});

test("text is sent as Latin-1: one byte a character, cut anywhere", () => {
  const { socket, wire } = make(1, 1, 100);
  wire.writeText("äöü");
  while (!wire.flush()) {
    // until it is out
  }
  expect(socket.taken.toString("latin1")).toBe("äöü");
});

test("what was gathered in OUT is copied when it must wait: OUT is free again at once", () => {
  const { socket, wire } = make(2, 100);
  OUT.reset();
  OUT.text("first");
  expect(wire.writeOut()).toBe(false);
  OUT.reset();
  OUT.text("SECOND");
  expect(wire.writeOut()).toBe(false);
  OUT.reset();
  OUT.text("xxxxxxxxxxx");
  wire.flush();
  expect(socket.taken.toString()).toBe("firstSECOND");
});

for (const bodyBytes of [10, 32 * 1024, 32 * 1024 + 1, 300_000]) {
  test(`a head in OUT and ${bodyBytes} body bytes leave in order, whatever the socket takes`, () => {
    for (const limit of [1_000_000, 7, 4096]) {
      const { socket, wire } = make(...Array.from({ length: 2000 }, () => limit), 1_000_000);
      const body = Buffer.alloc(bodyBytes + 20, "b");
      OUT.reset();
      OUT.text("head:");
      wire.writeOutWith(body, 5, 5 + bodyBytes);
      for (let look = 0; look < 3000 && !wire.flush(); look++);
      expect(socket.taken.length).toBe(5 + bodyBytes);
      expect(socket.taken.toString("latin1", 0, 8)).toBe("head:bbb");
    }
  });
}

test("any sequence of writes into any socket comes out whole and in order, and the budget ends at zero", () => {
  let state = 77;
  const next = (below: number) => {
    state = Math.imul(state, 1_103_515_245) + 12_345;
    return (state >>> 8) % below;
  };
  const writers: readonly ((wire: Wire, text: string) => unknown)[] = [
    (wire, text) => wire.writeText(text),
    (wire, text) => wire.writeBytes(Buffer.from(text)),
    (wire, text) => wire.writeOwn(Buffer.from(text)),
    (wire, text) => {
      OUT.reset();
      OUT.text(text);
      wire.writeOut();
    },
  ];
  for (let round = 0; round < 200; round++) {
    const { socket, wire, budget } = make(...Array.from({ length: 400 }, () => next(40)), 1000);
    let expected = "";
    for (let write = 0; write < 12; write++) {
      const text = String.fromCharCode(97 + write).repeat(next(60));
      expected += text;
      writers[next(writers.length)]?.(wire, text);
      if (next(3) === 0) wire.flush();
    }
    for (let look = 0; look < 1000 && !wire.flush(); look++);
    expect([socket.taken.toString(), budget.usedBytes, wire.isBlocked]).toEqual([expected, 0, false]);
  }
});

test("bytes of one's own are given back once they are out, bytes of others never", () => {
  const { wire } = make(10, 1_000_000);
  const lent = Buffer.from(new ArrayBuffer(100_000)).fill("l");
  const own = Buffer.from(new ArrayBuffer(100_000)).fill("o");
  const part = Buffer.from(new ArrayBuffer(100_000)).subarray(1);
  expect([wire.writeBytes(lent), wire.writeOwn(own), wire.writeOwn(part)]).toEqual([false, false, false]);
  expect(own.length).toBe(100_000);
  wire.flush();
  expect([lent.length, own.length, part.length]).toEqual([100_000, 0, 99_999]);
});

test("finish sends FIN at once when nothing waits, else behind the last byte, and only once", () => {
  const idle = make();
  idle.wire.finish();
  idle.wire.finish();
  expect(idle.socket.calls).toEqual(["shutdown"]);
  const busy = make(0, 2, 100);
  busy.wire.writeText("abcd");
  busy.wire.finish();
  expect([busy.wire.flush(), busy.socket.calls]).toEqual([false, []]);
  expect([busy.wire.flush(), busy.socket.calls]).toEqual([true, ["shutdown"]]);
});

test("a socket that is closed takes nothing and blocks nobody: `close` will tell", () => {
  const { wire, budget } = make(0, -1);
  expect(wire.writeText("waits")).toBe(false);
  expect([wire.flush(), budget.usedBytes, wire.isBlocked]).toEqual([true, 0, false]);
  expect(wire.writeText("gone")).toBe(true);
});

test("when the socket closes, what waited is forgotten and given back; nothing is sent or closed again", () => {
  const { wire, socket, budget } = make(0);
  wire.writeBytes(Buffer.from("waits"));
  expect(budget.usedBytes).toBe(5);
  wire.closed();
  wire.finish();
  wire.close();
  wire.terminate();
  expect([budget.usedBytes, wire.isClosed, socket.calls]).toEqual([0, true, []]);
  expect([wire.writeText("more"), budget.usedBytes]).toEqual([true, 0]);
});

test("the budget is exhausted above its limit, over all wires together", () => {
  const budget = new BufferBudget(10);
  const wires = [1, 2].map(() => {
    const socket = new NarrowSocket();
    socket.allow = [0];
    return new Wire(socket, budget);
  });
  for (const wire of wires) wire.writeText("12345");
  expect(budget.isExhausted).toBe(false);
  wires[0]?.writeText("6");
  expect(budget.isExhausted).toBe(true);
  wires[0]?.closed();
  expect(budget.isExhausted).toBe(false);
});
