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
