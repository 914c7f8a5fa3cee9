/**
 * Mixed: a great many exchanges, most of them decent, some broken off or reset at every awkward place.
 *
 * in     `bun mixed.ts PORT COUNT`
 * out    counts by kind as JSON; exit code 1 when a decent exchange fails
 */
export {};

const [port = "", count = ""] = process.argv.slice(2);
const CONNECTIONS = 64;
const FIELDS = "Host: bench.test\r\nUser-Agent: mixed/1\r\nAccept: */*\r\n";

/** What one connection does next, and what must come back. */
interface Kind {
  readonly name: string;
  /** Out of 1000. */
  readonly share: number;
  readonly bytes: string;
  /** Responses that must come whole; 0 = none is waited for. */
  readonly answers: number;
  readonly isHead?: boolean;
  /** How the connection ends: kept, FIN after the answer, RST at once, RST after the first bytes of the answer. */
  readonly ending: "keep" | "fin" | "reset" | "reset_in_body";
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\n${FIELDS}\r\n`;
const KINDS: readonly Kind[] = [
  { name: "get", share: 700, bytes: get("/small"), answers: 1, ending: "keep" },
  { name: "get_10k", share: 80, bytes: get("/10k"), answers: 1, ending: "keep" },
  {
    name: "head",
    share: 50,
    bytes: `HEAD /10k HTTP/1.1\r\n${FIELDS}\r\n`,
    answers: 1,
    isHead: true,
    ending: "keep",
  },
  {
    name: "pipelined",
    share: 40,
    bytes: get("/small") + get("/10k") + get("/small"),
    answers: 3,
    ending: "keep",
  },
  {
    name: "post",
    share: 50,
    bytes: `POST /small HTTP/1.1\r\n${FIELDS}Content-Length: 300\r\n\r\n${"b".repeat(300)}`,
    answers: 1,
    ending: "keep",
  },
  {
    name: "post_chunked",
    share: 30,
    bytes: `POST /small HTTP/1.1\r\n${FIELDS}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n`,
    answers: 1,
    ending: "keep",
  },
  { name: "fin", share: 10, bytes: get("/small"), answers: 1, ending: "fin" },
  {
    name: "refused",
    share: 10,
    bytes: "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    answers: 0,
    ending: "fin",
  },
  {
    name: "reset_in_head",
    share: 10,
    bytes: `GET /small HTTP/1.1\r\n${FIELDS}`,
    answers: 0,
    ending: "reset",
  },
  { name: "reset_after_head", share: 8, bytes: get("/1m"), answers: 0, ending: "reset" },
  { name: "reset_in_answer", share: 6, bytes: get("/1m"), answers: 0, ending: "reset_in_body" },
  {
    name: "reset_in_upload",
    share: 6,
    bytes: `POST /small HTTP/1.1\r\n${FIELDS}Content-Length: 100000\r\n\r\n${"c".repeat(5000)}`,
    answers: 0,
    ending: "reset",
  },
];

function kindAt(slot: number): Kind {
  let edge = 0;
  for (const kind of KINDS) {
    edge += kind.share;
    if (slot < edge) return kind;
  }
  throw new Error("the shares do not add up to 1000");
}

/** A fixed order in which every kind is spread evenly: runs are the same each time. */
const ORDER: Kind[] = [];
for (let at = 0; at < 1000; at++) {
  const slot = (at * 619) % 1000; // 619 is prime to 1000: every slot once, far from its neighbours
  ORDER.push(kindAt(slot));
}

interface State {
  kind: Kind;
  text: string;
  answersLeft: number;
  isOpen: boolean;
}

let next = 0;
const total = Number(count);
const done: Record<string, number> = {};
let active = 0;
let finished: () => void = () => undefined;

function fail(why: string): never {
  console.error(`mixed: ${why}`);
  process.exit(1);
}

/** Begins the next exchange on this connection, or ends it when all are done. */
function begin(socket: Bun.Socket<State>): void {
  if (next >= total) {
    socket.data.isOpen = false;
    socket.end();
    finish();
    return;
  }
  const kind = ORDER[next++ % ORDER.length] as Kind;
  done[kind.name] = (done[kind.name] ?? 0) + 1;
  socket.data = { kind, text: "", answersLeft: kind.answers, isOpen: true };
  socket.write(kind.bytes);
  if (kind.ending === "reset") replace(socket, true);
}

function finish(): void {
  if (--active === 0) finished();
}

/** Leaves the connection, and goes on with a new one. */
function replace(socket: Bun.Socket<State>, withReset: boolean): void {
  socket.data.isOpen = false;
  if (withReset) socket.terminate();
  else socket.end();
  open();
}

function read(socket: Bun.Socket<State>, chunk: Buffer): void {
  const state = socket.data;
  if (!state.isOpen) return;
  if (state.kind.ending === "reset_in_body") {
    replace(socket, true);
    return;
  }
  if (state.kind.answers === 0) return; // the proxy refuses and closes: `close` goes on
  state.text += chunk.toString("latin1");
  while (state.answersLeft > 0 && takeAnswer(state)) state.answersLeft--;
  if (state.answersLeft > 0) return;
  if (state.kind.ending === "fin") replace(socket, false);
  else begin(socket);
}

function takeAnswer(state: State): boolean {
  const end = state.text.indexOf("\r\n\r\n");
  if (end === -1) return false;
  const status = state.text.slice(9, 12);
  // nginx's static files refuse POST with 405: decent too, the origin's own answer
  if (status !== "200" && status !== "405")
    fail(`${state.kind.name} answered with ${state.text.slice(0, 200)}`);
  const length = Number(/\r\ncontent-length: *(\d+)/i.exec(state.text.slice(0, end))?.[1] ?? "0");
  const size = end + 4 + (state.kind.isHead === true ? 0 : length);
  if (state.text.length < size) return false;
  state.text = state.text.slice(size);
  return true;
}

function open(): void {
  Bun.connect<State>({
    hostname: "127.0.0.1",
    port: Number(port),
    data: { kind: KINDS[0] as Kind, text: "", answersLeft: 0, isOpen: true },
    socket: {
      open: begin,
      data: read,
      end(socket) {
        socket.end();
      },
      close(socket) {
        const { isOpen, kind, answersLeft, text } = socket.data;
        if (!isOpen) return;
        socket.data.isOpen = false;
        // A connection may end between exchanges (its share of requests is used up); in one it may not.
        if (kind.answers > 0 && (text !== "" || answersLeft !== kind.answers))
          fail(`${kind.name} was cut short`);
        open();
      },
    },
  }).catch((error: unknown) => fail(String(error)));
}

await new Promise<void>((resolve) => {
  finished = resolve;
  active = CONNECTIONS;
  for (let at = 0; at < CONNECTIONS; at++) open();
});
console.log(JSON.stringify(done));
process.exit(0);
