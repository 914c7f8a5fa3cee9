/**
 * Send file: bytes of a file that lies in memory go into a socket without coming by here.
 *
 * why    a large hit of the cache costs a copy into this process and one out of it for each byte; the kernel needs neither
 * rule   only for plain TCP and unix sockets, whose bytes are the file's, and for files in memory (/dev/shm): a disk would
 *        make the worker wait
 * note   Linux; elsewhere nothing is taken and the caller sends the bytes itself. That a socket of the runtime tells its
 *        descriptor is undocumented: tests/runtime holds it
 * spec   sendfile(2)
 */
import { ptr } from "bun:ffi";
import { libc } from "./libc.ts";

const OFFSET = new BigInt64Array(1);
const OFFSET_AT = ptr(OFFSET);
const IS_ABLE = process.platform === "linux";

/** out  bytes that the socket took; 0 = none now, or it has to be done another way */
export function sendFile(socket: number, file: number, position: number, count: number): number {
  if (!IS_ABLE || socket < 0) return 0;
  OFFSET[0] = BigInt(position);
  return Math.max(0, Number(libc().sendfile(socket, file, OFFSET_AT, count)));
}
