/**
 * Addresses: where we listen, where we connect, and which clients a block covers. Parsed once.
 *
 * in     `host:port`, `:port`, `[v6]:port`, `unix:/path`; `10.0.0.0/8`, `::1`, `192.0.2.7`
 * out    a value, or undefined when the text is none of these: the caller knows the place to blame
 */
export type Address =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

const MAX_PORT = 65535;

/** `defaultHost` stands for an empty host, as in `:8080`. */
export function parseAddress(text: string, defaultHost: string): Address | undefined {
  if (text.startsWith("unix:")) {
    const path = text.slice(5);
    return path === "" ? undefined : { kind: "unix", path };
  }
  const parts = /^(?:\[([0-9a-fA-F:.%]+)\]|([^:[\]/\s]*)):(\d{1,5})$/.exec(text);
  if (parts === null) return undefined;
  const port = Number(parts[3]);
  if (port > MAX_PORT) return undefined;
  return { kind: "tcp", host: parts[1] ?? (parts[2] === "" ? defaultHost : (parts[2] as string)), port };
}

/** As `parseAddress` reads it. */
export function formatAddress(address: Address): string {
  if (address.kind === "unix") return `unix:${address.path}`;
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** Bytes of an IP literal: 4, or 16; IPv4-mapped IPv6 comes back as its 4 bytes. */
export function parseIp(text: string): Uint8Array | undefined {
  const v4 = parseIpv4(text);
  if (v4 !== undefined) return v4;
  const v6 = parseIpv6(text);
  if (v6 === undefined) return undefined;
  const isMapped = v6.subarray(0, 10).every((byte) => byte === 0) && v6[10] === 255 && v6[11] === 255;
  return isMapped ? v6.slice(12) : v6;
}

function parseIpv4(text: string): Uint8Array | undefined {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (parts === null) return undefined;
  const bytes = parts.slice(1).map(Number);
  return bytes.every((byte) => byte <= 255) ? Uint8Array.from(bytes) : undefined;
}

function parseIpv6(text: string): Uint8Array | undefined {
  const [plain = ""] = text.split("%"); // a zone id names an interface, not an address
  const halves = plain.split("::");
  if (halves.length > 2 || !/^[0-9a-fA-F:.]+$/.test(plain)) return undefined;
  const head = groupsOf(halves[0] ?? "", halves.length === 1);
  const tail = halves.length === 2 ? groupsOf(halves[1] ?? "", true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 16 - head.length - tail.length;
  if (halves.length === 2 ? missing < 2 : missing !== 0) return undefined;
  return Uint8Array.from([...head, ...new Array<number>(missing).fill(0), ...tail]);
}

/** `mayEndInV4`: dotted bytes may only be the end of the whole address (RFC 4291 §2.2). */
function groupsOf(text: string, mayEndInV4: boolean): number[] | undefined {
  if (text === "") return [];
  const bytes: number[] = [];
  const groups = text.split(":");
  for (const [index, group] of groups.entries()) {
    const v4 = mayEndInV4 && index === groups.length - 1 ? parseIpv4(group) : undefined;
    if (v4 !== undefined) bytes.push(...v4);
    else if (/^[0-9a-fA-F]{1,4}$/.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 255);
    } else return undefined;
  }
  return bytes;
}

export interface Cidr {
  readonly bytes: Uint8Array;
  readonly bits: number;
}

/** `10.0.0.0/8`; an address alone is a block of one. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf("/");
  const bytes = parseIp(slash === -1 ? text : text.slice(0, slash));
  if (bytes === undefined) return undefined;
  if (slash === -1) return { bytes, bits: bytes.length * 8 };
  const suffix = text.slice(slash + 1);
  const bits = /^\d{1,3}$/.test(suffix) ? Number(suffix) : Number.NaN;
  return bits <= bytes.length * 8 ? { bytes, bits } : undefined;
}

function isInside(ip: Uint8Array, cidr: Cidr): boolean {
  if (ip.length !== cidr.bytes.length) return false;
  const whole = cidr.bits >> 3;
  for (let at = 0; at < whole; at++) if (ip[at] !== cidr.bytes[at]) return false;
  const rest = cidr.bits & 7;
  if (rest === 0) return true;
  const mask = 0xff << (8 - rest);
  return ((ip[whole] as number) & mask) === ((cidr.bytes[whole] as number) & mask);
}

/** A list of blocks; asking costs one compare a block, so ask once a connection. */
export class CidrSet {
  readonly #cidrs: readonly Cidr[];
  constructor(texts: readonly string[]) {
    this.#cidrs = texts.map(parseCidr).filter((cidr) => cidr !== undefined);
  }

  get isEmpty(): boolean {
    return this.#cidrs.length === 0;
  }

  has(ip: string): boolean {
    if (this.#cidrs.length === 0) return false;
    const bytes = parseIp(ip);
    return bytes !== undefined && this.#cidrs.some((cidr) => isInside(bytes, cidr));
  }
}
