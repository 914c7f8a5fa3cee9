/**
 * Listen sockets: opened by control, accepted on by workers.
 *
 * why    a socket that control opens itself has the backlog we want, is held by a process that carries no
 *        traffic, and may be below port 1024 while workers run as nobody
 * rule   with `isGrouped` many sockets share one address (SO_REUSEPORT) and the kernel spreads connections
 *        over them: one for each worker, so that none is woken in vain. That option would also let a second
 *        Weir bind the same address unseen, so an address is first tried without it: `findOccupant`
 * in     addresses whose host is an IP literal; `::` takes IPv4 too, and becomes 0.0.0.0 without IPv6
 * fails  a BindFailure: the kernel's code, what it means, what to do
 * spec   socket(7), ip(7), ipv6(7), unix(7)
 */
import { ptr } from "bun:ffi";
import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { type Address, formatAddress, parseIp } from "../core/address.ts";
import { C, errno, libc } from "./libc.ts";

/** Connections that may wait to be accepted; the kernel caps it with net.core.somaxconn, 4096 by default. */
const BACKLOG = 4096;
/** Readable and writable by owner and group: who may talk to the proxy is a question of the group. */
const UNIX_MODE = 0o660;
/** sun_path is 108 bytes on Linux and 104 on macOS, with a closing zero. */
const MAX_UNIX_PATH = process.platform === "darwin" ? 103 : 107;
/** One socket for each worker where the kernel spreads connections over them; macOS gives all to the last. */
export const SPREADS_CONNECTIONS = process.platform === "linux";

export interface BindFailure {
  readonly kind: "failure";
  readonly code: string;
  /** Such as `cannot bind 127.0.0.1:80: permission denied`. */
  readonly text: string;
  readonly hint: string | undefined;
}

export interface ListenSocket {
  readonly kind: "socket";
  readonly descriptor: number;
  /** The port really bound; 0 for a unix socket. */
  readonly port: number;
}

const MEANINGS: Readonly<Record<string, readonly [text: string, hint: string]>> = {
  EACCES: [
    "permission denied",
    "Ports below 1024 need root, the capability CAP_NET_BIND_SERVICE, or a lower net.ipv4.ip_unprivileged_port_start.",
  ],
  EADDRINUSE: [
    "address already in use",
    "Another program listens there (`ss -ltnp` shows which); stop it or choose another port.",
  ],
  EADDRNOTAVAIL: [
    "no interface of this machine has that address",
    "`ip addr` lists the addresses; use `:port` to listen on all of them.",
  ],
  EAFNOSUPPORT: ["this machine has no IPv6", "Use an IPv4 address such as 0.0.0.0."],
  EMFILE: ["too many open files", "Raise the limit of the service (`ulimit -n`, LimitNOFILE)."],
};
const UNIX_MEANINGS: Readonly<Record<string, readonly [text: string, hint: string]>> = {
  EACCES: ["permission denied", "The folder must be writable for the user that starts Weir."],
  EROFS: ["the file system is read-only", "Choose a folder such as /run."],
  ENOENT: ["the folder does not exist", "Make it first."],
  EADDRINUSE: ["another process listens there", "Stop it or choose another path."],
  EEXIST: ["the file exists and is not a socket", "Remove it or choose another path."],
  ENAMETOOLONG: [
    `the path is longer than ${MAX_UNIX_PATH} bytes`,
    "Choose a shorter path such as /run/weir.sock.",
  ],
};

function failure(address: Address, code: string): BindFailure {
  const [meaning, hint] = (address.kind === "unix" ? UNIX_MEANINGS : MEANINGS)[code] ?? [code, undefined];
  return { kind: "failure", code, text: `cannot bind ${formatAddress(address)}: ${meaning}`, hint };
}

interface SocketAddress {
  readonly family: number;
  readonly bytes: Uint8Array;
}

/** struct sockaddr: family in two bytes on Linux, length and family in one each on macOS. */
function socketAddress(family: number, size: number): SocketAddress {
  const bytes = new Uint8Array(size);
  bytes[0] = process.platform === "darwin" ? size : family;
  bytes[1] = process.platform === "darwin" ? family : 0;
  return { family, bytes };
}

function ipSocketAddress(host: string, port: number): SocketAddress | undefined {
  const ip = parseIp(host);
  if (ip === undefined) return undefined;
  const isV4 = ip.length === 4;
  const made = socketAddress(isV4 ? C.AF_INET : C.AF_INET6, isV4 ? 16 : 28);
  made.bytes[2] = port >> 8;
  made.bytes[3] = port & 255;
  made.bytes.set(ip, isV4 ? 4 : 8);
  if (!isV4) new DataView(made.bytes.buffer).setUint32(24, scopeOf(host), true);
  return made;
}

/** Number of the interface behind `%` in a link-local address. */
function scopeOf(host: string): number {
  const name = host.split("%")[1];
  if (name === undefined) return 0;
  const found = networkInterfaces()[name]?.find((entry) => entry.family === "IPv6");
  return found?.scopeid ?? (Number(name) || 0);
}

function unixSocketAddress(path: string): SocketAddress {
  const made = socketAddress(C.AF_UNIX, 2 + MAX_UNIX_PATH + 1);
  made.bytes.set(Buffer.from(path), 2);
  return made;
}

function newSocket(family: number): number {
  return libc().socket(family, C.SOCK_STREAM | C.SOCK_CLOEXEC | C.SOCK_NONBLOCK, 0);
}

function setOption(socket: number, level: number, option: number, value: number): void {
  const bytes = new Int32Array([value]);
  libc().setsockopt(socket, level, option, ptr(bytes), bytes.byteLength);
}

/** out  a bound socket, or the name of what failed */
function bindSocket(to: SocketAddress, isGrouped: boolean): number | string {
  const socket = newSocket(to.family);
  if (socket < 0) return errno();
  if (to.family !== C.AF_UNIX) setOption(socket, C.SOL_SOCKET, C.SO_REUSEADDR, 1);
  if (isGrouped) setOption(socket, C.SOL_SOCKET, C.SO_REUSEPORT, 1);
  if (to.family === C.AF_INET6) setOption(socket, C.IPPROTO_IPV6, C.IPV6_V6ONLY, 0);
  if (libc().bind(socket, ptr(to.bytes), to.bytes.byteLength) === 0) return socket;
  const code = errno();
  libc().close(socket);
  return code;
}

function portOf(socket: number): number {
  const bytes = new Uint8Array(28);
  const size = new Uint32Array([bytes.byteLength]);
  libc().getsockname(socket, ptr(bytes), ptr(size));
  return ((bytes[2] as number) << 8) | (bytes[3] as number);
}

function bindTcp(address: Extract<Address, { kind: "tcp" }>, isGrouped: boolean): number | string {
  const to = ipSocketAddress(address.host, address.port);
  if (to === undefined) return "not an IP address";
  const bound = bindSocket(to, isGrouped);
  const isWithoutIpv6 = bound === "EAFNOSUPPORT" || bound === "EADDRNOTAVAIL";
  if (address.host !== "::" || !isWithoutIpv6) return bound;
  return bindSocket(ipSocketAddress("0.0.0.0", address.port) as SocketAddress, isGrouped);
}

/** Says who is in the way of binding a TCP address; undefined when nobody is. Binds and lets go. */
export function findOccupant(address: Address): BindFailure | undefined {
  if (address.kind === "unix" || address.port === 0) return undefined;
  const bound = bindTcp(address, false);
  if (typeof bound === "string") return failure(address, bound);
  libc().close(bound);
  return undefined;
}

/** Opens a listening socket, non-blocking and not inherited by children. */
export function openListenSocket(address: Address, isGrouped: boolean): ListenSocket | BindFailure {
  const bound = address.kind === "unix" ? bindUnix(address.path) : bindTcp(address, isGrouped);
  if (typeof bound === "string") return failure(address, bound);
  if (libc().listen(bound, BACKLOG) !== 0) {
    const code = errno();
    libc().close(bound);
    return failure(address, code);
  }
  return { kind: "socket", descriptor: bound, port: address.kind === "unix" ? 0 : portOf(bound) };
}

function bindUnix(path: string): number | string {
  if (Buffer.byteLength(path) > MAX_UNIX_PATH) return "ENAMETOOLONG";
  const maskBefore = process.umask(0o777 & ~UNIX_MODE);
  try {
    const obstacle = removeStale(path);
    if (obstacle !== undefined) return obstacle;
    const bound = bindSocket(unixSocketAddress(path), false);
    if (typeof bound === "number") chmodSync(path, UNIX_MODE);
    return bound;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  } finally {
    process.umask(maskBefore);
  }
}

/** Takes the file of a unix socket away; call it when nobody is to connect there any more. */
export function removeUnixSocket(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // somebody tidied up before
  }
}

/** Removes the socket file of a dead process. out  why the path cannot be used, or undefined */
function removeStale(path: string): string | undefined {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return undefined;
  if (!found.isSocket()) return "EEXIST";
  const probe = newSocket(C.AF_UNIX);
  const to = unixSocketAddress(path);
  const isConnected = libc().connect(probe, ptr(to.bytes), to.bytes.byteLength) === 0;
  const code = isConnected ? "" : errno();
  libc().close(probe);
  if (code !== "ECONNREFUSED") return code === "EACCES" ? code : "EADDRINUSE";
  unlinkSync(path);
  return undefined;
}

/**
 * Sets the backlog again. Bun calls listen(2) with 511 on the descriptor that a worker adopts; the queue
 * belongs to the socket, so the process that opened it can put the length right afterwards.
 */
export function restoreBacklog(descriptor: number): void {
  libc().listen(descriptor, BACKLOG);
}
