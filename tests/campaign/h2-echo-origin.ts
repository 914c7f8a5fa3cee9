/**
 * HTTP/2 echo origin: answers as echo-origin.ts does, to requests over HTTP/2, in the clear or by TLS.
 *
 * shape  `farewell` sends GOAWAY on every connection with what was begun there, as a server does that is about to be
 *        replaced; what was begun is answered
 */
import { createSecureServer, createServer, type Http2Server, type ServerHttp2Stream } from "node:http2";
import { pattern } from "./pattern.ts";

export interface H2EchoOrigin {
  readonly port: number;
  /** out  how many connections were told */
  farewell(): number;
  stop(): Promise<void>;
}

interface Session {
  readonly closed: boolean;
  readonly destroyed: boolean;
  close(): void;
  destroy(): void;
  on(event: "error" | "close", act: () => void): unknown;
}

const CHUNK = 1000;

export async function startH2EchoOrigin(tls?: { cert: string; key: string }): Promise<H2EchoOrigin> {
  const server: Http2Server = tls === undefined ? createServer() : createSecureServer({ ...tls });
  const sessions = new Set<Session>();
  server.on("session", (session: Session) => {
    sessions.add(session);
    session.on("error", () => {}); // resets are part of the campaign
    session.on("close", () => sessions.delete(session));
  });
  server.on("stream", (stream, fields) => {
    stream.on("error", () => {});
    serve(stream as ServerHttp2Stream, String(fields[":method"]), String(fields[":path"]));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const bound = server.address();
  return {
    port: bound !== null && typeof bound === "object" ? bound.port : 0,
    farewell() {
      const open = [...sessions].filter(({ closed, destroyed }) => !closed && !destroyed);
      for (const session of open) session.close();
      return open.length;
    },
    async stop() {
      for (const session of sessions) session.destroy();
      server.close();
    },
  };
}

function serve(stream: ServerHttp2Stream, method: string, path: string): void {
  const [, kind = "", id = "", size = ""] = path.split("/");
  const fields = { ":status": 200, "x-echo": id };
  if (method === "POST") {
    const pieces: Buffer[] = [];
    stream.on("data", (piece: Buffer) => pieces.push(piece));
    stream.on("end", () => {
      stream.respond(fields);
      stream.end(Buffer.concat(pieces));
    });
    return;
  }
  const text = pattern(Number(id), Number(size));
  if (kind === "bytes") stream.respond({ ...fields, "content-length": text.length });
  else stream.respond(fields);
  if (method === "HEAD") stream.end();
  else if (kind === "bytes") stream.end(text);
  else {
    for (let at = 0; at < text.length; at += CHUNK) stream.write(text.slice(at, at + CHUNK));
    stream.end();
  }
}
