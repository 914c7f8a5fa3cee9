/**
 * WebSocket key: what one side asks, and what the other must answer (RFC 6455 §4.2.2).
 *
 * why    a client that asks by HTTP/2 sends no key; the endpoint behind speaks HTTP/1 and needs one
 */
import { createHash } from "node:crypto";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** The Sec-WebSocket-Accept that answers a key. */
export function acceptOf(key: string): string {
  return createHash("sha1")
    .update(key + GUID)
    .digest("base64");
}
