/**
 * Making connections: how failures are told, and unix sockets.
 */
import { afterAll, afterEach, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/ports.ts";
import { connectPair, End, HANDLERS } from "./pair.ts";

const folder = mkdtempSync(join(tmpdir(), "weir-runtime-"));
let stop: () => void = () => undefined;
afterEach(() => {
  stop();
  stop = () => undefined;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Where a failed connect is told: the code of the promise, and that of connectError. */
async function failureOf(target: { hostname: string; port: number } | { unix: string }) {
  let told: string | undefined;
  const socket: Bun.SocketHandler<End> = {
    ...HANDLERS,
    connectError(_socket, error) {
      told = (error as NodeJS.ErrnoException).code;
    },
  };
  const connecting =
    "unix" in target
      ? Bun.connect<End>({ unix: target.unix, socket, data: new End() })
      : Bun.connect<End>({ ...target, socket, data: new End() });
  const code = await connecting.then(
    () => "connected",
    (error: NodeJS.ErrnoException) => error.code,
  );
  return { code, told };
}

test("a refused connection is ECONNREFUSED, told by connectError and by the promise", async () => {
  const target = { hostname: "127.0.0.1", port: await freePort() };
  expect(await failureOf(target)).toEqual({ code: "ECONNREFUSED", told: "ECONNREFUSED" });
});

test("a unix socket that is not there is ENOENT", async () => {
  expect(await failureOf({ unix: join(folder, "none.sock") })).toEqual({ code: "ENOENT", told: "ENOENT" });
});

test("a unix socket carries bytes both ways, and its path is gone after stop", async () => {
  const unix = join(folder, "a.sock");
  const pair = await connectPair({ unix });
  stop = pair.stop;
  pair.client.open.write("ping");
  await eventually(() => pair.server.text === "ping");
  pair.server.open.write("pong");
  await eventually(() => pair.client.text === "pong");
  pair.stop();
  expect(existsSync(unix)).toBe(false);
});

test("a second listener on one address fails with EADDRINUSE, at once and by a throw", async () => {
  const listener = Bun.listen<End>({ hostname: "127.0.0.1", port: 0, socket: HANDLERS });
  stop = () => listener.stop(true);
  let code: string | undefined;
  try {
    Bun.listen<End>({ hostname: "127.0.0.1", port: listener.port, socket: HANDLERS });
  } catch (error) {
    code = (error as NodeJS.ErrnoException).code;
  }
  expect(code).toBe("EADDRINUSE");
});

test("the data object handed to connect is the socket's inside of open()", async () => {
  const pair = await connectPair();
  stop = pair.stop;
  expect(pair.client.open.data).toBe(pair.client);
});

test("stop() without force ends listening and leaves open connections alone", async () => {
  const server = new End();
  const listener = Bun.listen<End>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      ...HANDLERS,
      open(socket) {
        socket.data = server;
        HANDLERS.open?.(socket);
      },
    },
  });
  stop = () => listener.stop(true);
  const client = new End();
  await Bun.connect<End>({ hostname: "127.0.0.1", port: listener.port, socket: HANDLERS, data: client });
  await server.saw("open");
  listener.stop();
  expect((await failureOf({ hostname: "127.0.0.1", port: listener.port })).code).toBe("ECONNREFUSED");
  client.open.write("still here");
  await eventually(() => server.text === "still here");
});
