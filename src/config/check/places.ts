/**
 * Places on the machine: paths relative to the configuration file, and when two addresses are the same.
 */
import { isAbsolute, join } from "node:path";
import { type Address, parseIp } from "../../core/address.ts";

export function absolutePath(path: string, folder: string): string {
  return isAbsolute(path) ? path : join(folder, path);
}

/** A socket's path is absolute from here on; `@name` is an abstract socket and has no folder. */
export function absoluteAddress(address: Address, folder: string): Address {
  if (address.kind === "tcp" || address.path.startsWith("@")) return address;
  return { kind: "unix", path: absolutePath(address.path, folder) };
}

/** One of them is every address of the other's family on the same port: the kernel gives the port once. */
export function isOverlap(one: Address, other: Address): boolean {
  if (one.kind === "unix" || other.kind === "unix") return bindKey(one) === bindKey(other);
  if (one.port !== other.port || one.port === 0) return false;
  return bindKey(one) === bindKey(other) || isWithin(one, other) || isWithin(other, one);
}

/** `::` is dual stack and holds everything; `0.0.0.0` holds IPv4. */
export function isWithin(narrow: Address, wide: Address): boolean {
  if (narrow.kind === "unix" || wide.kind === "unix" || narrow.port !== wide.port) return false;
  const bytes = parseIp(wide.host) ?? [];
  const isAny = bytes.length > 0 && bytes.every((byte) => byte === 0);
  return isAny && (bytes.length === 16 || parseIp(narrow.host)?.length === 4);
}

/**
 * Equal for two addresses that cannot be bound both. `::` is dual stack, so it is `0.0.0.0` as well.
 * out  undefined for port 0: the kernel finds a free one each time
 */
export function bindKey(address: Address): string | undefined {
  if (address.kind === "unix") return `unix:${address.path}`;
  if (address.port === 0) return undefined;
  const bytes = parseIp(address.host) ?? [];
  const isAny = bytes.every((byte) => byte === 0);
  return `${isAny ? "any" : bytes.join(".")}|${address.port}`;
}
