/**
 * What the runtime does with a listening descriptor that somebody else opened: undocumented, relied upon.
 */
import { afterEach, expect, test } from "bun:test";
import { closeDescriptor } from "../../src/transport/descriptors.ts";
import { type ListenSocket, openListenSocket, restoreBacklog } from "../../src/transport/listen-sockets.ts";
import { needs } from "../support/tools.ts";

interface DescriptorListenOptions {
  readonly fd: number;
  readonly socket: { open(socket: { end(text: string): void }): void; data(): void };
}
type ListenOnDescriptor = (options: DescriptorListenOptions) => { stop(isForced?: boolean): void };
const listenOnDescriptor = Bun.listen as unknown as ListenOnDescriptor;

const opened: ListenSocket[] = [];
function openLoopback(): ListenSocket {
  const made = openListenSocket({ kind: "tcp", host: "127.0.0.1", port: 0 }, true);
  if (made.kind === "failure") throw new Error(made.text);
  opened.push(made);
  return made;
}
afterEach(() => {
  for (const socket of opened.splice(0)) closeDescriptor(socket.descriptor);
});

function greetFrom(descriptor: number, greeting: string) {
  return listenOnDescriptor({
    fd: descriptor,
    socket: { open: (socket) => socket.end(greeting), data() {} },
  });
}

async function connectAndRead(port: number): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let text = "";
  await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      data: (_, bytes) => {
        text += bytes.toString();
      },
      close: () => resolve(text),
      connectError: (_, error) => reject(error),
    },
  });
  return promise;
}

test("Bun.listen({ fd }) accepts on a descriptor that another opened", async () => {
  const socket = openLoopback();
  const listener = greetFrom(socket.descriptor, "adopted");
  expect(await connectAndRead(socket.port)).toBe("adopted");
  listener.stop(true);
  opened.length = 0; // stop() closed it
});

test("connections that came before Bun.listen({ fd }) are accepted by it", async () => {
  const socket = openLoopback();
  const waiting = connectAndRead(socket.port);
  const listener = greetFrom(socket.descriptor, "late");
  expect(await waiting).toBe("late");
  listener.stop(true);
  opened.length = 0;
});

test.skipIf(process.platform !== "linux" || !needs("ss"))(
  "Bun.listen({ fd }) shortens the backlog, and listen(2) through another descriptor restores it",
  () => {
    const socket = openLoopback();
    const backlog = () => {
      // Send-Q of a listening socket is its backlog; the kernel's cap may be lower than what we ask
      const lines = Bun.spawnSync(["ss", "-Hltn", `sport = :${socket.port}`]).stdout.toString();
      return Number(lines.trim().split(/\s+/)[2]);
    };
    const before = backlog();
    const listener = greetFrom(socket.descriptor, "");
    const adopted = backlog();
    restoreBacklog(socket.descriptor);
    const restored = backlog();
    listener.stop(true);
    opened.length = 0;
    expect({ adopted, restored }).toEqual({ adopted: Math.min(511, before), restored: before });
  },
);
