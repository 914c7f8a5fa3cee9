import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Address } from "../core/address.ts";
import { closeDescriptor } from "./descriptors.ts";
import { type BindFailure, findOccupant, type ListenSocket, openListenSocket } from "./listen-sockets.ts";

const folder = mkdtempSync(join(tmpdir(), "weir-listen-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

const opened: number[] = [];
afterEach(() => {
  for (const descriptor of opened.splice(0)) closeDescriptor(descriptor);
});

const tcp = (host: string, port: number): Address => ({ kind: "tcp", host, port });
const unix = (path: string): Address => ({ kind: "unix", path });

function openOne(address: Address, isGrouped = false): ListenSocket {
  const made = openListenSocket(address, isGrouped);
  if (made.kind === "failure") throw new Error(made.text);
  opened.push(made.descriptor);
  return made;
}

function failToOpen(address: Address): BindFailure {
  const made = openListenSocket(address, false);
  if (made.kind === "socket") throw new Error("bound, which it should not");
  return made;
}

async function isAnswering(hostname: string, port: number): Promise<boolean> {
  try {
    const socket = await Bun.connect({ hostname, port, socket: { data() {} } });
    socket.terminate();
    return true;
  } catch {
    return false;
  }
}

test("port 0 becomes the port that the kernel gives, and others may join its group", () => {
  const first = openOne(tcp("127.0.0.1", 0), true);
  expect(first.port).toBeGreaterThan(1023);
  expect(openOne(tcp("127.0.0.1", first.port), true).port).toBe(first.port);
});

test(":: takes IPv4 connections too", async () => {
  const { port } = openOne(tcp("::", 0));
  expect(await isAnswering("127.0.0.1", port)).toBe(true);
});

test("an occupied address is found although group sockets could be bound beside it", () => {
  const { port } = openOne(tcp("127.0.0.1", 0), true);
  expect(findOccupant(tcp("127.0.0.1", port))?.code).toBe("EADDRINUSE");
  expect(findOccupant(tcp("::", port))?.code).toBe("EADDRINUSE");
  expect(findOccupant(tcp("127.0.0.2", port))).toBeUndefined();
});

const FAILURES: readonly [what: string, make: () => Address, text: RegExp][] = [
  [
    "an address in use",
    () => tcp("127.0.0.1", openOne(tcp("127.0.0.1", 0)).port),
    /^cannot bind 127\.0\.0\.1:\d+: address already in use$/,
  ],
  [
    "an address of another machine",
    () => tcp("192.0.2.1", 80),
    /no interface of this machine has that address/,
  ],
  ["a path that is too long", () => unix(`/tmp/${"x".repeat(200)}`), /longer than \d+ bytes/],
  ["a folder that does not exist", () => unix(join(folder, "none/a.sock")), /the folder does not exist/],
];
for (const [what, make, text] of FAILURES) {
  test(`${what} is refused with what to do about it`, () => {
    const failed = failToOpen(make());
    expect(failed.text).toMatch(text);
    expect(failed.hint).toMatch(/\.$/);
  });
}

test("a unix socket has mode 0660 from the start and is answered", async () => {
  const path = join(folder, "a.sock");
  openOne(unix(path));
  expect(statSync(path).mode & 0o777).toBe(0o660);
});

test("a unix socket that a live process listens on is not taken away", () => {
  const path = join(folder, "b.sock");
  openOne(unix(path));
  expect(failToOpen(unix(path)).text).toContain("another process listens there");
});

test("the socket file of a dead process is replaced", () => {
  const path = join(folder, "c.sock");
  closeDescriptor(openOne(unix(path)).descriptor);
  opened.length = 0;
  openOne(unix(path));
});

test("a file that is no socket is never removed", () => {
  const path = join(folder, "precious");
  writeFileSync(path, "text");
  expect(failToOpen(unix(path)).text).toContain("is not a socket");
  expect(statSync(path).size).toBe(4);
});
