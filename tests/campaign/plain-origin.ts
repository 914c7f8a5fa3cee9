/**
 * Plain origin: answers at once with fixed bytes, and takes whatever is sent to it, trailers too.
 *
 * why    it has to cost little, as it shares the machine with what is measured, and to understand all that
 *        the clients of a campaign send
 * shape  `/small`, `/10k`, `/1m`, `/100m`; any other path answers as `/small`
 */
export interface PlainOrigin {
  readonly port: number;
  stop(): void;
}

interface State {
  text: string;
  /** Bytes that the kernel has not taken. */
  waiting: Buffer[];
}
type Client = Bun.Socket<State>;

const KIB = 1024;
const SIZES: Readonly<Record<string, number>> = {
  "/small": 65,
  "/10k": 10 * KIB,
  "/1m": KIB * KIB,
  "/100m": 100 * KIB * KIB,
};
const headOf = (size: number) => Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
const ANSWERS = new Map(
  Object.entries(SIZES).map(([path, size]) => [
    path,
    Buffer.concat([headOf(size), Buffer.alloc(size, "weir")]),
  ]),
);

export function startPlainOrigin(): PlainOrigin {
  const server = Bun.listen<State>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(socket) {
        socket.data = { text: "", waiting: [] };
      },
      data(socket, chunk) {
        socket.data.text += chunk.toString("latin1");
        answerAll(socket);
      },
      drain: flush,
      error() {
        // resets are part of the campaign
      },
    },
  });
  return { port: server.port, stop: () => server.stop(true) };
}

function answerAll(socket: Client): void {
  for (;;) {
    const { text } = socket.data;
    const length = requestLength(text);
    if (length === undefined) return;
    const [method = "", path = ""] = text.slice(0, text.indexOf("\r\n")).split(" ");
    const size = SIZES[path] ?? 65;
    const answer = ANSWERS.get(path) ?? ANSWERS.get("/small");
    socket.data.text = text.slice(length);
    socket.data.waiting.push(method === "HEAD" ? headOf(size) : (answer as Buffer));
    flush(socket);
  }
}

/** out  how long the first request is, or undefined while it is not complete */
function requestLength(text: string): number | undefined {
  const headEnd = text.indexOf("\r\n\r\n");
  if (headEnd === -1) return undefined;
  const head = text.slice(0, headEnd + 2);
  const start = headEnd + 4;
  if (/\r\ntransfer-encoding: chunked\r\n/i.test(head)) {
    const last = text.startsWith("0\r\n", start) ? start : text.indexOf("\r\n0\r\n", start);
    const end = last === -1 ? -1 : text.indexOf("\r\n\r\n", last + 1);
    return end === -1 ? undefined : end + 4;
  }
  const end = start + Number(/\r\ncontent-length: (\d+)\r\n/i.exec(head)?.[1] ?? 0);
  return text.length < end ? undefined : end;
}

function flush(socket: Client): void {
  const { waiting } = socket.data;
  while (waiting.length > 0) {
    const first = waiting[0] as Buffer;
    const taken = socket.write(first);
    if (taken < 0) return;
    if (taken < first.length) {
      waiting[0] = first.subarray(taken);
      return;
    }
    waiting.shift();
  }
}
