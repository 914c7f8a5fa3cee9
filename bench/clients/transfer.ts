/**
 * Transfer: downloads or uploads of 100 MiB, one after the other on each of several connections.
 *
 * in     `bun transfer.ts download|upload PORT CONNECTIONS TIMES [tls]`
 * out    `{"bytes":…,"seconds":…}`; exit code 1 when an answer is not 200 or a connection ends early
 */
export {};

const SIZE = 100 << 20;
const [direction = "", port = "", connections = "", times = "", security = ""] = process.argv.slice(2);
const isSecure = security === "tls";
const isUpload = direction === "upload";
const PIECE = Buffer.alloc(256 << 10, "weir");
const HEAD = isUpload
  ? `POST /upload HTTP/1.1\r\nHost: bench.test\r\nContent-Length: ${SIZE}\r\n\r\n`
  : "GET /100m HTTP/1.1\r\nHost: bench.test\r\n\r\n";

interface State {
  timesLeft: number;
  /** Of the upload: request head and body bytes not yet taken by the kernel. */
  toSend: number;
  head: string;
  /** Response body bytes still to come; -1 while reading the head. */
  toRead: number;
  done: () => void;
}

function fail(why: string): never {
  console.error(`transfer: ${why}`);
  process.exit(1);
}

function send(socket: Bun.Socket<State>): void {
  const state = socket.data;
  while (state.toSend > 0) {
    const size = Math.min(PIECE.length, state.toSend);
    const taken = socket.write(PIECE, 0, size);
    if (taken < 0) fail("the proxy closed while we were sending");
    state.toSend -= taken;
    if (taken < size) return; // `drain` goes on
  }
}

function begin(socket: Bun.Socket<State>): void {
  const state = socket.data;
  if (state.timesLeft-- === 0) {
    socket.end();
    state.done();
    return;
  }
  state.head = "";
  state.toRead = -1;
  state.toSend = isUpload ? SIZE : 0;
  socket.write(HEAD);
  send(socket);
}

function read(socket: Bun.Socket<State>, chunk: Buffer): void {
  const state = socket.data;
  let size = chunk.length;
  if (state.toRead === -1) {
    const before = state.head.length;
    state.head += chunk.toString("latin1");
    const end = state.head.indexOf("\r\n\r\n");
    if (end === -1) return;
    if (!state.head.startsWith("HTTP/1.1 200 ")) fail(`answered with ${state.head.slice(0, 200)}`);
    const length = /\r\ncontent-length: *(\d+)/i.exec(state.head)?.[1];
    if (length === undefined) fail("no Content-Length in the answer");
    state.toRead = Number(length);
    size -= end + 4 - before;
  }
  state.toRead -= size;
  if (state.toRead < 0) fail("more bytes than the answer has");
  if (state.toRead === 0) begin(socket);
}

function run(): Promise<void> {
  return new Promise((done) => {
    Bun.connect<State>({
      hostname: "127.0.0.1",
      port: Number(port),
      data: { timesLeft: Number(times), toSend: 0, head: "", toRead: -1, done },
      ...(isSecure ? { tls: { rejectUnauthorized: false } } : {}),
      socket: {
        open(socket) {
          if (!isSecure) begin(socket);
        },
        handshake: begin,
        data: read,
        drain: send,
        close(socket) {
          if (socket.data.timesLeft >= 0) fail("the proxy closed early");
        },
      },
    }).catch((error: unknown) => fail(String(error)));
  });
}

const startedAt = performance.now();
await Promise.all(Array.from({ length: Number(connections) }, run));
const seconds = (performance.now() - startedAt) / 1000;
console.log(JSON.stringify({ bytes: SIZE * Number(connections) * Number(times), seconds }));
process.exit(0);
