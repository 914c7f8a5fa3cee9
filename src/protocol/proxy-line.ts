/**
 * PROXY protocol: the header by which a load balancer in front of us names the client.
 *
 * in     the first bytes of a connection, in any cut
 * out    the addresses and how many bytes the header took; "more" while it is incomplete; undefined when the
 *        bytes are no PROXY header
 * rule   v1 is at most 107 bytes, v2 at most MAX_V2_BYTES; LOCAL and UNKNOWN keep the socket's own address
 * spec   https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt §2.1, §2.2
 */
import { parseIp } from "../core/address.ts";

export interface ProxyHeader {
  /** undefined: the header names no client (a health check of the balancer itself). */
  readonly source: { readonly ip: string; readonly port: number } | undefined;
  readonly destinationPort: number;
  readonly bytes: number;
}

const MAX_V1_BYTES = 107;
/** Addresses take 36 bytes at most; the rest is room for extensions that we skip. */
const MAX_V2_BYTES = 16 + 2048;
const V2_SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const V2_HEAD_BYTES = 16;

export function readProxyHeader(bytes: Buffer): ProxyHeader | "more" | undefined {
  const isV2 = startsAs(bytes, V2_SIGNATURE);
  if (isV2 === "yes") return readV2(bytes);
  const isV1 = startsAs(bytes, Buffer.from("PROXY ", "latin1"));
  if (isV1 === "yes") return readV1(bytes);
  return isV1 === "maybe" || isV2 === "maybe" ? "more" : undefined;
}

function startsAs(bytes: Buffer, start: Buffer): "yes" | "maybe" | "no" {
  const length = Math.min(bytes.length, start.length);
  if (!bytes.subarray(0, length).equals(start.subarray(0, length))) return "no";
  return length === start.length ? "yes" : "maybe";
}

const V1_LINE = /^PROXY (?:UNKNOWN(?: .*)?|(TCP4|TCP6) (\S+) (\S+) (\d{1,5}) (\d{1,5}))$/;

function readV1(bytes: Buffer): ProxyHeader | "more" | undefined {
  const end = bytes.indexOf("\r\n");
  if (end === -1) return bytes.length < MAX_V1_BYTES ? "more" : undefined;
  if (end + 2 > MAX_V1_BYTES) return undefined;
  const parts = V1_LINE.exec(bytes.toString("latin1", 0, end));
  if (parts === null) return undefined;
  const [, family, source = "", destination = "", sourcePort = "", destinationPort = ""] = parts;
  if (family === undefined) return { source: undefined, destinationPort: 0, bytes: end + 2 };
  const width = family === "TCP4" ? 4 : 16;
  const ip = parseIp(source);
  const isLegal =
    rawWidth(source) === width &&
    rawWidth(destination) === width &&
    isPort(sourcePort) &&
    isPort(destinationPort);
  if (!isLegal || ip === undefined) return undefined;
  return {
    source: { ip: formatIp(ip), port: Number(sourcePort) },
    destinationPort: Number(destinationPort),
    bytes: end + 2,
  };
}

const isPort = (text: string) => Number(text) <= 65535;
/** 4 or 16 by how it is written: an IPv4-mapped address is IPv6 here. */
const rawWidth = (ip: string) => (parseIp(ip) === undefined ? 0 : ip.includes(":") ? 16 : 4);

function readV2(bytes: Buffer): ProxyHeader | "more" | undefined {
  if (bytes.length < V2_HEAD_BYTES) return "more";
  const version = (bytes[12] as number) >> 4;
  const command = (bytes[12] as number) & 15;
  const family = bytes[13] as number;
  const length = bytes.readUInt16BE(14);
  if (version !== 2 || command > 1 || V2_HEAD_BYTES + length > MAX_V2_BYTES) return undefined;
  const end = V2_HEAD_BYTES + length;
  if (bytes.length < end) return "more";
  if (command === 0) return { source: undefined, destinationPort: 0, bytes: end };
  const width = family === 0x11 ? 4 : family === 0x21 ? 16 : 0;
  if (width === 0) return { source: undefined, destinationPort: 0, bytes: end };
  if (length < 2 * width + 4) return undefined;
  const at = V2_HEAD_BYTES;
  return {
    source: {
      ip: formatIp(unmapped(bytes.subarray(at, at + width))),
      port: bytes.readUInt16BE(at + 2 * width),
    },
    destinationPort: bytes.readUInt16BE(at + 2 * width + 2),
    bytes: end,
  };
}

/** An IPv4 client that came over IPv6 is the same client. */
function unmapped(bytes: Uint8Array): Uint8Array {
  const isMapped = bytes.length === 16 && bytes[10] === 255 && bytes[11] === 255;
  return isMapped && bytes.subarray(0, 10).every((byte) => byte === 0) ? bytes.subarray(12) : bytes;
}

/** The one spelling of an address (RFC 5952 §4): what logs, rules and endpoints compare. */
function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups: string[] = [];
  for (let at = 0; at < 16; at += 2) {
    groups.push((((bytes[at] as number) << 8) | (bytes[at + 1] as number)).toString(16));
  }
  const text = groups.join(":");
  const zeros = (run: RegExpExecArray) => run[0].split("0").length;
  const [longest] = [...text.matchAll(/(?:^|:)0(?::0)+(?=:|$)/g)].sort((a, b) => zeros(b) - zeros(a));
  if (longest === undefined) return text;
  return `${text.slice(0, longest.index)}::${text.slice(longest.index + longest[0].length + 1)}`;
}

export interface ProxiedConnection {
  readonly sourceIp: string;
  readonly sourcePort: number;
  readonly destinationIp: string;
  readonly destinationPort: number;
}

/** The header that opens a connection to an endpoint; without known addresses it says so. */
export function writeProxyHeader(version: "v1" | "v2", connection: ProxiedConnection): Buffer {
  const source = parseIp(connection.sourceIp);
  const destination = parseIp(connection.destinationIp);
  const isKnown = source !== undefined && destination !== undefined && source.length === destination.length;
  if (version === "v1")
    return Buffer.from(isKnown ? v1Line(connection, source, destination) : "PROXY UNKNOWN\r\n");
  return isKnown ? v2Bytes(connection, source, destination) : v2Head(0, 0, 0);
}

function v1Line(connection: ProxiedConnection, source: Uint8Array, destination: Uint8Array): string {
  const { sourcePort, destinationPort } = connection;
  const family = source.length === 4 ? "TCP4" : "TCP6";
  return `PROXY ${family} ${formatIp(source)} ${formatIp(destination)} ${sourcePort} ${destinationPort}\r\n`;
}

function v2Bytes(connection: ProxiedConnection, source: Uint8Array, destination: Uint8Array): Buffer {
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(connection.sourcePort, 0);
  ports.writeUInt16BE(connection.destinationPort, 2);
  const length = source.length * 2 + 4;
  return Buffer.concat([v2Head(1, source.length === 4 ? 0x11 : 0x21, length), source, destination, ports]);
}

function v2Head(command: number, family: number, length: number): Buffer {
  const tail = Buffer.from([0x20 | command, family, length >> 8, length & 255]);
  return Buffer.concat([V2_SIGNATURE, tail]);
}
