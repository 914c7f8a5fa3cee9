/**
 * Idle: opens many keep-alive connections, does one request on each, and then nothing.
 *
 * in     `bun idle.ts PORT COUNT [tls]`; stays until its stdin ends
 * out    a line when every connection has had its answer; exit code 1 when one is refused or lost
 */
export {};

const [port = "", count = "", security = ""] = process.argv.slice(2);
const isSecure = security === "tls";
const AT_ONCE = 200;
const REQUEST = "GET /small HTTP/1.1\r\nHost: bench.test\r\n\r\n";
const BODY_BYTES = 65;

interface State {
  text: string;
  answered: () => void;
}

function fail(why: string): never {
  console.error(`idle: ${why}`);
  process.exit(1);
}

let isOver = false;

function one(): Promise<void> {
  return new Promise((answered) => {
    Bun.connect<State>({
      hostname: "127.0.0.1",
      port: Number(port),
      data: { text: "", answered },
      ...(isSecure ? { tls: { rejectUnauthorized: false } } : {}),
      socket: {
        open(socket) {
          if (!isSecure) socket.write(REQUEST);
        },
        handshake(socket) {
          socket.write(REQUEST);
        },
        data(socket, chunk) {
          socket.data.text += chunk.toString("latin1");
          const end = socket.data.text.indexOf("\r\n\r\n");
          if (end === -1 || socket.data.text.length < end + 4 + BODY_BYTES) return;
          if (!socket.data.text.startsWith("HTTP/1.1 200 ")) fail(socket.data.text.slice(0, 200));
          socket.data.text = "";
          socket.data.answered();
        },
        close() {
          if (!isOver) fail("a connection was closed");
        },
      },
    }).catch((error: unknown) => fail(String(error)));
  });
}

for (let opened = 0; opened < Number(count); opened += AT_ONCE) {
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, Number(count) - opened) }, one));
}
console.log("ready");
await Bun.stdin.text();
isOver = true;
process.exit(0);
