/**
 * Runtime: a socket tells its descriptor, and what the kernel sends there goes between what the runtime writes.
 */
import { expect, test } from "bun:test";
import { closeSync, openSync, writeSync } from "node:fs";
import { sendFile } from "../../src/transport/send-file.ts";

const PATH = `/dev/shm/weir-test-${crypto.randomUUID()}`;

test.skipIf(process.platform !== "linux")(
  "sendfile on a socket's `fd` keeps the order with `write`",
  async () => {
    const writing = openSync(PATH, "wx+");
    writeSync(writing, "0123456789");
    const arrived = Promise.withResolvers<string>();
    let text = "";
    const server = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open(socket) {
          const { fd } = socket as unknown as { readonly fd: number };
          socket.write("head ");
          expect(sendFile(fd, writing, 2, 5)).toBe(5);
          socket.write(" tail");
          socket.end();
        },
        data() {},
      },
    });
    await Bun.connect({
      hostname: "127.0.0.1",
      port: server.port,
      socket: {
        data: (_socket, bytes) => {
          text += bytes.toString();
        },
        close: () => arrived.resolve(text),
      },
    });
    expect(await arrived.promise).toBe("head 23456 tail");
    server.stop(true);
    closeSync(writing);
    await Bun.file(PATH).delete();
  },
);

test("a closed descriptor takes nothing, and nothing is thrown", () => {
  expect(sendFile(-1, 0, 0, 10)).toBe(0);
});
