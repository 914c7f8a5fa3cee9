/**
 * Libc: the few system calls that the runtime does not offer, and the numbers they take.
 *
 * why    Bun can neither open a listening socket without accepting on it, nor pass a descriptor to another
 *        process, nor raise a resource limit; control needs all three
 * out    a call's own result, -1 with `errno()` on failure: callers turn it into a value or an error
 * never  used on the hot path, nor with memory that the garbage collector may take during the call:
 *        pass buffers that somebody holds
 * note   Linux (glibc, musl) on x64 and arm64; macOS for development
 */
import { dlopen, type Pointer, read } from "bun:ffi";

const IS_DARWIN = process.platform === "darwin";

const SYMBOLS = {
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  listen: { args: ["i32", "i32"], returns: "i32" },
  connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
  getsockname: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  socketpair: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
  sendmsg: { args: ["i32", "ptr", "i32"], returns: "i64" },
  recvmsg: { args: ["i32", "ptr", "i32"], returns: "i64" },
  send: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
  sendfile: { args: ["i32", "i32", "ptr", "u64"], returns: "i64" },
  dup: { args: ["i32"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  flock: { args: ["i32", "i32"], returns: "i32" },
  getrlimit: { args: ["i32", "ptr"], returns: "i32" },
  setrlimit: { args: ["i32", "ptr"], returns: "i32" },
} as const;

/** Numbers of the platform's headers. The socket flags are 0 on macOS, which has none: see `openSocket`. */
export const C = IS_DARWIN
  ? ({
      AF_UNIX: 1,
      AF_INET: 2,
      AF_INET6: 30,
      SOCK_STREAM: 1,
      SOCK_CLOEXEC: 0,
      SOCK_NONBLOCK: 0,
      SOL_SOCKET: 0xffff,
      SO_REUSEADDR: 4,
      SO_REUSEPORT: 0x200,
      IPPROTO_IPV6: 41,
      IPV6_V6ONLY: 27,
      SCM_RIGHTS: 1,
      MSG_DONTWAIT: 0x80,
      MSG_CMSG_CLOEXEC: 0,
      MSG_NOSIGNAL: 0x80000,
      RLIMIT_NOFILE: 8,
      LOCK_EX: 2,
      LOCK_NB: 4,
    } as const)
  : ({
      AF_UNIX: 1,
      AF_INET: 2,
      AF_INET6: 10,
      SOCK_STREAM: 1,
      SOCK_CLOEXEC: 0o2000000,
      SOCK_NONBLOCK: 0o4000,
      SOL_SOCKET: 1,
      SO_REUSEADDR: 2,
      SO_REUSEPORT: 15,
      IPPROTO_IPV6: 41,
      IPV6_V6ONLY: 26,
      SCM_RIGHTS: 1,
      MSG_DONTWAIT: 0x40,
      MSG_CMSG_CLOEXEC: 0x40000000,
      MSG_NOSIGNAL: 0x4000,
      RLIMIT_NOFILE: 7,
      LOCK_EX: 2,
      LOCK_NB: 4,
    } as const);

const ERRORS_LINUX: Readonly<Record<number, string>> = {
  1: "EPERM",
  2: "ENOENT",
  11: "EAGAIN",
  13: "EACCES",
  22: "EINVAL",
  23: "ENFILE",
  24: "EMFILE",
  30: "EROFS",
  88: "ENOTSOCK",
  97: "EAFNOSUPPORT",
  98: "EADDRINUSE",
  99: "EADDRNOTAVAIL",
  105: "ENOBUFS",
  109: "ETOOMANYREFS",
  111: "ECONNREFUSED",
};
const ERRORS_DARWIN: Readonly<Record<number, string>> = {
  1: "EPERM",
  2: "ENOENT",
  13: "EACCES",
  22: "EINVAL",
  23: "ENFILE",
  24: "EMFILE",
  30: "EROFS",
  35: "EAGAIN",
  38: "ENOTSOCK",
  47: "EAFNOSUPPORT",
  48: "EADDRINUSE",
  49: "EADDRNOTAVAIL",
  55: "ENOBUFS",
  61: "ECONNREFUSED",
};

const LIBRARIES: readonly string[] = IS_DARWIN
  ? ["libSystem.B.dylib"]
  : ["libc.so.6", "libc.so", `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`];

function open() {
  let problem: unknown;
  for (const name of LIBRARIES) {
    try {
      return dlopen(name, SYMBOLS).symbols;
    } catch (error) {
      problem = error;
    }
  }
  throw new Error(`cannot load the C library (tried ${LIBRARIES.join(", ")})`, { cause: problem });
}

function openErrno(): () => Pointer | null {
  const name = IS_DARWIN ? "__error" : "__errno_location";
  for (const library of LIBRARIES) {
    try {
      const found = dlopen(library, { [name]: { args: [], returns: "ptr" } }).symbols[name];
      if (found !== undefined) return found as unknown as () => Pointer | null;
    } catch {
      // the next name
    }
  }
  return () => null;
}

let symbols: ReturnType<typeof open> | undefined;
let errnoLocation: (() => Pointer | null) | undefined;

/** The calls; the library is opened on first use. */
export function libc(): ReturnType<typeof open> {
  // loading a library may itself set errno, so both are loaded before the first call
  errnoLocation ??= openErrno();
  symbols ??= open();
  return symbols;
}

/** Name of the last failure, as `EADDRINUSE`; read it before anything else happens. */
export function errno(): string {
  const at = errnoLocation?.() ?? null;
  const number = at === null ? 0 : read.i32(at, 0);
  return (IS_DARWIN ? ERRORS_DARWIN : ERRORS_LINUX)[number] ?? `errno ${number}`;
}
