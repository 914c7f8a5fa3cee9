/**
 * Descriptors: open files handed from one process to another, over a pair of connected unix sockets.
 *
 * why    a listening socket that control keeps open outlives the worker that accepts on it: the connections
 *        in its queue wait for the next worker, which gets the same socket
 * shape  one message = 4 bytes of number chosen by the sender + one descriptor, so that sender and receiver
 *        cannot lose step unnoticed
 * cost   two system calls a descriptor; never waits: a full socket is `false` or undefined
 * spec   unix(7) SCM_RIGHTS; cmsg(3)
 */
import { ptr } from "bun:ffi";
import { C, errno, libc } from "./libc.ts";

/** Descriptor of a child's end of the pair: the first after stdin, stdout and stderr. */
export const DESCRIPTOR_SOCKET = 3;

const IS_DARWIN = process.platform === "darwin";
/** struct cmsghdr: size_t length on Linux, socklen_t on macOS; the data follows it. */
const CONTROL_HEADER = IS_DARWIN ? 12 : 16;

// The structures live as long as the module: the kernel writes through addresses the collector cannot see.
const payload = new Uint32Array(1);
const control = new DataView(new ArrayBuffer(24));
const vector = new BigUint64Array(2);
// struct msghdr: name, its length, vector, its length, control, its length, flags: same offsets on both systems
const message = new BigUint64Array(7);

function fillMessage(): void {
  vector[0] = BigInt(ptr(payload));
  vector[1] = BigInt(payload.byteLength);
  message.fill(0n);
  message[2] = BigInt(ptr(vector));
  message[3] = 1n;
  message[4] = BigInt(ptr(control));
  message[5] = BigInt(CONTROL_HEADER + (IS_DARWIN ? 4 : 8));
}

/** Two connected sockets, for this process and for a child; neither is inherited unless asked. */
export function descriptorPair(): readonly [own: number, child: number] {
  const pair = new Int32Array(2);
  if (libc().socketpair(C.AF_UNIX, C.SOCK_STREAM | C.SOCK_CLOEXEC, 0, ptr(pair)) !== 0) {
    throw new Error(`cannot make a socket pair: ${errno()}`);
  }
  return [pair[0] as number, pair[1] as number];
}

/** out  false when the socket is full and must be tried again. Throws when the receiver is gone. */
export function sendDescriptor(socket: number, number: number, descriptor: number): boolean {
  fillMessage();
  payload[0] = number;
  if (IS_DARWIN) control.setUint32(0, CONTROL_HEADER + 4, true);
  else control.setBigUint64(0, BigInt(CONTROL_HEADER + 4), true);
  control.setInt32(CONTROL_HEADER - 8, C.SOL_SOCKET, true);
  control.setInt32(CONTROL_HEADER - 4, C.SCM_RIGHTS, true);
  control.setInt32(CONTROL_HEADER, descriptor, true);
  if (Number(libc().sendmsg(socket, ptr(message), C.MSG_DONTWAIT | C.MSG_NOSIGNAL)) >= 0) return true;
  const code = errno();
  if (code === "EAGAIN" || code === "ENOBUFS" || code === "ETOOMANYREFS") return false;
  throw new Error(`cannot hand over a descriptor: ${code}`);
}

/** out  undefined when nothing has arrived. Throws when the sender is gone or sent something else. */
export function receiveDescriptor(socket: number): { number: number; descriptor: number } | undefined {
  fillMessage();
  control.setInt32(CONTROL_HEADER, -1, true);
  const size = Number(libc().recvmsg(socket, ptr(message), C.MSG_DONTWAIT | C.MSG_CMSG_CLOEXEC));
  if (size < 0) {
    const code = errno();
    if (code === "EAGAIN") return undefined;
    throw new Error(`cannot receive a descriptor: ${code}`);
  }
  const descriptor = control.getInt32(CONTROL_HEADER, true);
  if (size !== payload.byteLength || descriptor < 0) throw new Error("no descriptor arrived: sender is gone");
  return { number: payload[0] as number, descriptor };
}

/** A second descriptor for the same open file: one may be closed, the other lives on. Throws without room. */
export function duplicateDescriptor(descriptor: number): number {
  const copy = libc().dup(descriptor);
  if (copy < 0) throw new Error(`cannot duplicate a descriptor: ${errno()}`);
  return copy;
}

/** Closes our copy; one that another process holds stays open there. */
export function closeDescriptor(descriptor: number): void {
  libc().close(descriptor);
}

/**
 * Raises the number of files this process may open to what it is allowed at most; children inherit it.
 * out  the number in force, undefined when the system does not say
 */
export function raiseDescriptorLimit(): number | undefined {
  const limit = new BigUint64Array(2);
  if (libc().getrlimit(C.RLIMIT_NOFILE, ptr(limit)) !== 0) return undefined;
  const [soft = 0n, hard = 0n] = limit;
  if (soft >= hard) return Number(soft);
  limit[0] = hard;
  return Number(libc().setrlimit(C.RLIMIT_NOFILE, ptr(limit)) === 0 ? hard : soft);
}
