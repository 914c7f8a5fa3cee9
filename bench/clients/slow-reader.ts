/**
 * Slow reader: one download of 100 MiB at a steady rate far below what the proxy could give.
 *
 * in     `bun slow-reader.ts PORT MIB_PER_SEC`; exit code 0 when every byte has come
 */
export {};

const SIZE = 100 << 20;
const TICK_MS = 20;
const [port = "", rate = ""] = process.argv.slice(2);
const bytesPerTick = (Number(rate) * (1 << 20) * TICK_MS) / 1000;

let head = "";
let received = 0;
let allowed = bytesPerTick;

const socket = await Bun.connect({
  hostname: "127.0.0.1",
  port: Number(port),
  socket: {
    open(socket) {
      socket.write("GET /100m HTTP/1.1\r\nHost: bench.test\r\nConnection: close\r\n\r\n");
    },
    data(socket, chunk) {
      if (received === 0) {
        head += chunk.toString("latin1");
        const end = head.indexOf("\r\n\r\n");
        if (end === -1) return;
        received = head.length - end - 4;
      } else received += chunk.length;
      if (received >= allowed) socket.pause();
    },
    close() {
      process.exit(received === SIZE ? 0 : 1);
    },
  },
});

setInterval(() => {
  allowed += bytesPerTick;
  if (received < allowed) socket.resume();
}, TICK_MS);
