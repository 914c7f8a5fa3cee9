/**
 * Chunks: body bytes on their way as one chunk of HTTP/1.1.
 */
import { OUT } from "../core/out.ts";
import { chunkStart } from "../protocol/h1/writer.ts";
import { JOIN_BYTES, type Wire } from "../transport/wire.ts";

/** out  false when the other side is slow */
export function sendChunk(wire: Wire, bytes: Buffer): boolean {
  OUT.reset();
  OUT.text(chunkStart(bytes.length));
  if (bytes.length > JOIN_BYTES) {
    wire.writeOut();
    wire.writeOwn(bytes);
    return wire.writeText("\r\n");
  }
  OUT.copy(bytes, 0, bytes.length);
  OUT.text("\r\n");
  return wire.writeOut();
}
