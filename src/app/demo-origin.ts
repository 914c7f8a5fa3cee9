/**
 * Demo origin: a small server to put behind a proxy: it says who it is and what it got.
 *
 * why    one origin for the demo, the examples and their tests, so that what they promise is the same
 * note   /greet/NAME greets, /events sends server-sent events, /ws echoes WebSocket messages, /status/NNN
 *        answers with that status; everything else describes the request
 */
import type { Server, ServerWebSocket } from "bun";

export interface OriginOptions {
  /** What it calls itself in its answers. */
  readonly name: string;
  readonly where: { readonly port: number } | { readonly unix: string };
  readonly eventIntervalMs?: number;
}

interface SocketData {
  readonly name: string;
}

export type DemoOrigin = Server<SocketData>;

const EVENT_INTERVAL_MS = 1000;
const IDLE_S = 120;
/** A reader this many events behind gets no more until it has read. */
const MAX_EVENTS_BEHIND = 100;

export function startOrigin(options: OriginOptions): DemoOrigin {
  const { name, where, eventIntervalMs = EVENT_INTERVAL_MS } = options;
  const place =
    "unix" in where ? { unix: where.unix } : { hostname: "127.0.0.1", port: where.port, idleTimeout: IDLE_S };
  return Bun.serve<SocketData>({
    ...place,
    fetch(request: Request, server: DemoOrigin) {
      const url = new URL(request.url);
      if (url.pathname === "/ws" && server.upgrade(request, { data: { name } })) return undefined;
      if (url.pathname === "/events") return events(name, eventIntervalMs);
      if (url.pathname.startsWith("/greet/"))
        return text(`Hello, ${greeted(url.pathname)}! (origin ${name})\n`);
      const status = /^\/status\/([2-5]\d\d)$/.exec(url.pathname)?.[1];
      return text(describe(name, request, url), status === undefined ? 200 : Number(status));
    },
    websocket: {
      open(socket: ServerWebSocket<SocketData>) {
        socket.send(`origin ${socket.data.name} echoes what you send`);
      },
      message(socket: ServerWebSocket<SocketData>, message: string | Buffer) {
        socket.send(message);
      },
    },
  });
}

const text = (body: string, status = 200) =>
  new Response(body, { status, headers: { "content-type": "text/plain; charset=utf-8" } });

function greeted(path: string): string {
  const segment = path.slice("/greet/".length);
  try {
    return decodeURIComponent(segment) || "world";
  } catch {
    return segment;
  }
}

function describe(name: string, request: Request, url: URL): string {
  const fields = [...request.headers].map(([field, value]) => `  ${field}: ${value}`);
  return `This is origin ${name}. ${request.method} ${url.pathname}${url.search} arrived with\n${fields.join("\n")}\n`;
}

function events(name: string, intervalMs: number): Response {
  let timer: ReturnType<typeof setInterval> | undefined;
  let count = 0;
  const stream = new ReadableStream<string>({
    start(controller) {
      const send = () => {
        if ((controller.desiredSize ?? 0) <= -MAX_EVENTS_BEHIND) return;
        controller.enqueue(`event: tick\ndata: ${++count} from origin ${name}\n\n`);
      };
      send();
      timer = setInterval(send, intervalMs);
    },
    cancel() {
      clearInterval(timer);
    },
  });
  const headers = { "content-type": "text/event-stream", "cache-control": "no-store" };
  return new Response(stream, { headers });
}
