/**
 * Origin program: one endpoint of the fault campaign, a process of its own so that it can be killed and frozen.
 *
 * use    `bun origin-program.ts NAME PORT CONTROL_PORT BEHAVIOUR`, the behaviour as JSON
 * in     HTTP/1.1 GETs without a body on PORT; on CONTROL_PORT `POST /behave` with a new behaviour, `GET /report`
 * rule   /healthz behaves as everything else, but needs no slot, is no miss and is not counted
 */
import type { Behaviour, OriginReport } from "./behaviour.ts";
import { bodyOf } from "./body.ts";

interface Client {
  text: string;
}

interface Job {
  readonly socket: Bun.Socket<Client>;
  readonly target: string;
}

const HEAD_END = "\r\n\r\n";
/** For what was written before a RST to arrive: a RST lets the receiver's kernel drop what it has not handed on. */
const ARRIVAL_MS = 3;
const LIE_BYTES = 100;
const TENTH_MS = 100;
const MAX_TENTHS = 10_000;

const [name = "", port = "", controlPort = "", first = ""] = process.argv.slice(2);
let behaviour = JSON.parse(first) as Behaviour;
let listener: Bun.TCPSocketListener<Client> | undefined;
const clients = new Set<Bun.Socket<Client>>();
const begun = new Map<number, number>();
const seen = new Set<string>();
let inside = 0;
let mostInside = 0;

/** At most `slots` at a time, the others in turn. */
class Stage {
  readonly #queue: (() => void)[] = [];
  #busy = 0;

  enter(slots: number, tookMs: number, done: () => void): void {
    const run = () => {
      this.#busy++;
      setTimeout(() => {
        this.#busy--;
        this.#queue.shift()?.();
        done();
      }, tookMs);
    };
    if (slots > 0 && this.#busy >= slots) this.#queue.push(run);
    else run();
  }
}

const work = new Stage();
const misses = new Stage();

function listen(): void {
  listener = Bun.listen<Client>({
    hostname: "127.0.0.1",
    port: Number(port),
    socket: {
      open: (socket) => {
        socket.data = { text: "" };
        clients.add(socket);
      },
      data: (socket, chunk) => read(socket, chunk),
      close: (socket) => void clients.delete(socket),
      error: () => {
        // a client that went is no matter of the endpoint
      },
    },
  });
}

function read(socket: Bun.Socket<Client>, chunk: Buffer): void {
  socket.data.text += chunk.toString("latin1");
  for (;;) {
    const end = socket.data.text.indexOf(HEAD_END);
    if (end === -1) return;
    const target = socket.data.text.split(" ", 2)[1] ?? "/";
    socket.data.text = socket.data.text.slice(end + HEAD_END.length);
    take({ socket, target });
  }
}

function take(job: Job): void {
  const { serviceMs, checkMs, slots, missMs, missSlots } = behaviour;
  if (job.target === "/healthz") {
    setTimeout(() => answer(job), checkMs);
    return;
  }
  const tenth = Math.floor(Date.now() / TENTH_MS);
  begun.set(tenth, (begun.get(tenth) ?? 0) + 1);
  if (begun.size > MAX_TENTHS) begun.clear();
  mostInside = Math.max(mostInside, ++inside);
  const done = () => {
    inside--;
    answer(job);
  };
  const key = job.target.slice(0, job.target.indexOf("?"));
  const serve = () => work.enter(slots, serviceMs, done);
  if (missMs === 0 || seen.has(key)) serve();
  else {
    misses.enter(missSlots, missMs, () => {
      seen.add(key);
      serve();
    });
  }
}

function answer({ socket, target }: Job): void {
  if (!clients.has(socket)) return;
  const { manner } = behaviour;
  const body = manner === "500" ? "out of order" : bodyOf(target);
  const lie = manner === "claims-more" ? LIE_BYTES : manner === "claims-less" ? -LIE_BYTES : 0;
  const status = manner === "500" ? "500 Internal Server Error" : "200 OK";
  const sent = manner === "reset" ? body.slice(0, body.length / 2) : body;
  const head = `HTTP/1.1 ${status}\r\nContent-Type: text/plain\r\nX-Endpoint: ${name}\r\n`;
  socket.write(`${head}Content-Length: ${body.length + lie}${HEAD_END}${sent}`);
  if (manner === "claims-more") socket.end();
  if (manner === "reset") setTimeout(() => socket.terminate(), ARRIVAL_MS);
}

function behave(wanted: Behaviour): void {
  behaviour = wanted;
  if (wanted.manner === "refuse") {
    listener?.stop(true);
    listener = undefined;
    for (const socket of clients) socket.terminate();
  } else if (listener === undefined) listen();
}

function report(): OriginReport {
  return { begun: [...begun], mostInside };
}

listen();
Bun.serve({
  hostname: "127.0.0.1",
  port: Number(controlPort),
  routes: {
    "/report": () => Response.json(report()),
    "/behave": async (request) => {
      behave((await request.json()) as Behaviour);
      return new Response("ok");
    },
  },
});
