/**
 * Compressed bodies as tests read them: decoded whole, or as far as they have come.
 */
import { connect, type IncomingHttpHeaders } from "node:http2";
import zlib from "node:zlib";

export const CODINGS = ["gzip", "br", "zstd"] as const;
export type Coding = (typeof CODINGS)[number];

const { constants: C } = zlib;
const DECODE = { gzip: zlib.gunzipSync, br: zlib.brotliDecompressSync, zstd: zlib.zstdDecompressSync };
const PARTIAL = { gzip: C.Z_SYNC_FLUSH, br: C.BROTLI_OPERATION_FLUSH, zstd: C.ZSTD_e_flush };

/** A body by its Content-Encoding; throws when it is cut. */
export function decode(coding: string | undefined, bytes: Buffer): Buffer {
  return coding === undefined ? bytes : DECODE[coding as Coding](bytes);
}

/** What can be had of a body that has not ended. */
export function decodeStart(coding: Coding, bytes: Buffer): string {
  if (bytes.length === 0) return "";
  return DECODE[coding](bytes, { finishFlush: PARTIAL[coding] }).toString("latin1");
}

export interface H2Answer {
  fields: IncomingHttpHeaders;
  trailers: IncomingHttpHeaders;
  body: Buffer;
  isDone: boolean;
  close(): void;
}

/** Asks over HTTP/2; the answer fills as it comes. */
export function askH2(port: number, path: string, fields: Record<string, string>): H2Answer {
  const session = connect(`http://127.0.0.1:${port}`);
  session.on("error", () => undefined);
  const answer: H2Answer = {
    fields: {},
    trailers: {},
    body: Buffer.alloc(0),
    isDone: false,
    close: () => session.destroy(),
  };
  const stream = session.request({ ":path": path, ...fields });
  stream.on("response", (got) => {
    answer.fields = got;
  });
  stream.on("trailers", (got) => {
    answer.trailers = got;
  });
  stream.on("data", (bytes: Buffer) => {
    answer.body = Buffer.concat([answer.body, bytes]);
  });
  stream.on("error", () => undefined);
  stream.on("end", () => {
    answer.isDone = true;
  });
  stream.end();
  return answer;
}
