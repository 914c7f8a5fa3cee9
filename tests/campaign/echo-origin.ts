/**
 * Echo origin: answers with what the request asks for, byte for byte predictable.
 *
 * shape  `/bytes/ID/SIZE` with a length, `/chunks/ID/SIZE` without one, POST anywhere gives the body back,
 *        `/socket` is a WebSocket that echoes; every answer carries `X-Echo: ID`
 */
import { pattern } from "./pattern.ts";

export interface EchoOrigin {
  readonly port: number;
  stop(): Promise<void>;
}

const CHUNK = 1000;

function inChunks(text: string): ReadableStream<string> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      controller.enqueue(text.slice(at, at + CHUNK));
      at += CHUNK;
      if (at >= text.length) controller.close();
    },
  });
}

async function answer(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  const [, kind = "", id = "", size = ""] = pathname.split("/");
  const headers = { "X-Echo": id };
  if (request.method === "POST") return new Response(await request.bytes(), { headers });
  const text = pattern(Number(id), Number(size));
  return new Response(kind === "chunks" ? inChunks(text) : text, { headers });
}

export function startEchoOrigin(): EchoOrigin {
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    // pooled connections are Weir's to close: one that goes away under a POST may not be retried
    idleTimeout: 0,
    fetch(request, self) {
      if (new URL(request.url).pathname === "/socket" && self.upgrade(request)) return undefined;
      return answer(request);
    },
    websocket: {
      message(socket, text) {
        socket.send(text);
      },
    },
  });
  return { port: server.port as number, stop: () => server.stop(true) };
}
