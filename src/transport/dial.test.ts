import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../../tests/support/eventually.ts";
import { Origin, type OriginScript } from "../../tests/support/origin.ts";
import { freePort } from "../../tests/support/ports.ts";
import { dial } from "./dial.ts";
import type { DialedSession } from "./dialed-session.ts";
import type { RawSocket } from "./wire.ts";

class Noted implements DialedSession {
  readonly events: string[] = [];
  socket: RawSocket | undefined;
  text = "";
  onOpen(socket: RawSocket): void {
    this.socket = socket;
    this.events.push("open");
  }
  onRefused = (detail: string) => void this.events.push(detail === "" ? "refused without reason" : "refused");
  onData(bytes: Buffer): void {
    this.text += bytes.toString("latin1");
  }
  onDrain = () => undefined;
  onEnd = () => void this.events.push("end");
  onClose = (isReset: boolean) => void this.events.push(isReset ? "reset" : "close");
  onDefect = (defect: unknown) => void this.events.push(String(defect));
}

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function origin(script: OriginScript, unix?: string): Promise<Origin> {
  const started = await Origin.start(script, unix === undefined ? {} : { unix });
  ends.push(() => started.stop());
  return started;
}

test("a connection is told by open, then bytes both ways, then end: reading goes on after our FIN", async () => {
  const { port, connections } = await origin({ end: (connection) => connection.write("late") });
  const session = new Noted();
  dial({ ip: "127.0.0.1", port }, session);
  await eventually(() => session.socket);
  session.socket?.write("hello", "latin1");
  session.socket?.shutdown();
  await eventually(() => session.text === "late");
  expect(connections[0]?.received).toBe("hello");
  connections[0]?.end();
  await eventually(() => session.events.includes("close"));
  expect(session.events).toEqual(["open", "close"]); // behind our own FIN the other one is told by close alone
});

test("the other side's FIN is told by end, and its RST by a close that says so", async () => {
  const { port, connections } = await origin({});
  const [first, second] = [new Noted(), new Noted()];
  for (const session of [first, second]) {
    dial({ ip: "127.0.0.1", port }, session);
    await eventually(() => session.socket);
  }
  await eventually(() => connections.length === 2);
  connections[0]?.end();
  connections[1]?.reset();
  await eventually(() => first.events.includes("end") && second.events.includes("reset"));
  expect([first.events, second.events]).toEqual([
    ["open", "end"],
    ["open", "reset"],
  ]);
  first.socket?.close();
});

test("a refusal is told once, with a reason", async () => {
  const session = new Noted();
  dial({ ip: "127.0.0.1", port: await freePort() }, session);
  await eventually(() => session.events.length > 0);
  await Bun.sleep(20);
  expect(session.events).toEqual(["refused"]);
});

test("unix sockets are dialled by path; one that is not there is a refusal", async () => {
  const folder = mkdtempSync(join(tmpdir(), "weir-dial-"));
  ends.push(() => rmSync(folder, { recursive: true, force: true }));
  const unix = join(folder, "a.sock");
  await origin({ open: (connection) => connection.write("hi") }, unix);
  const [there, missing] = [new Noted(), new Noted()];
  dial({ unix }, there);
  dial({ unix: join(folder, "b.sock") }, missing);
  await eventually(() => there.text === "hi" && missing.events.length > 0);
  expect(missing.events).toEqual(["refused"]);
  there.socket?.terminate();
});

test("a session that throws is told of its defect, and its connection is closed", async () => {
  const { port, connections } = await origin({ open: (connection) => connection.write("hi") });
  const session = new Noted();
  session.onData = () => {
    throw new Error("a bug");
  };
  dial({ ip: "127.0.0.1", port }, session);
  await eventually(() => session.events.length >= 3);
  expect(session.events).toEqual(["open", "Error: a bug", "close"]);
  await eventually(() => connections[0]?.isClosed === true);
});
