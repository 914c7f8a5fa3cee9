/**
 * Sink: an origin that reads a request with its whole body and then answers with the number of bytes.
 *
 * in     `bun sink.ts PORT`; bodies by Content-Length or chunked (told by its last chunk)
 */
export {};

interface Progress {
  head: string;
  /** Body bytes still to come; -1 while reading the head, -2 for a chunked body. */
  left: number;
  size: number;
  tail: string;
}

const LAST_CHUNK = "\r\n0\r\n\r\n";

function answer(socket: Bun.Socket<Progress>): void {
  const body = String(socket.data.size);
  socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  socket.data = { head: "", left: -1, size: 0, tail: "" };
}

function readHead(socket: Bun.Socket<Progress>, chunk: Buffer): Buffer | undefined {
  const state = socket.data;
  const before = state.head.length;
  state.head += chunk.toString("latin1");
  const end = state.head.indexOf("\r\n\r\n");
  if (end === -1) return undefined;
  const length = /\r\ncontent-length: *(\d+)/i.exec(state.head)?.[1];
  if (length !== undefined) state.left = Number(length);
  else state.left = /\r\ntransfer-encoding: *chunked/i.test(state.head) ? -2 : 0;
  return chunk.subarray(end + 4 - before);
}

function readBody(socket: Bun.Socket<Progress>, chunk: Buffer): void {
  const state = socket.data;
  state.size += chunk.length;
  if (state.left === -2) {
    state.tail = (state.tail + chunk.subarray(-LAST_CHUNK.length).toString("latin1")).slice(
      -LAST_CHUNK.length,
    );
    if (state.tail === LAST_CHUNK) answer(socket);
    return;
  }
  state.left -= chunk.length;
  if (state.left === 0) answer(socket);
}

Bun.listen<Progress>({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  socket: {
    open(socket) {
      socket.data = { head: "", left: -1, size: 0, tail: "" };
    },
    data(socket, chunk) {
      const body = socket.data.left === -1 ? readHead(socket, chunk) : chunk;
      if (body !== undefined) readBody(socket, body);
    },
    error() {
      // a client that goes away is part of the work
    },
  },
});
