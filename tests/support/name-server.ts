/**
 * Name server: answers questions over UDP from a table that a test may change.
 *
 * spec   RFC 1035 §4.1 (messages), §3.4.1 (A); RFC 3596 (AAAA); RFC 2782 (SRV)
 */
import { createSocket } from "node:dgram";
import { parseIp } from "../../src/core/address.ts";

export interface ServiceRecord {
  readonly target: string;
  readonly port: number;
  readonly priority?: number;
  readonly weight?: number;
}

export interface NameRecords {
  ttlSec?: number;
  /** IPv4 and IPv6 addresses. */
  addresses?: readonly string[];
  services?: readonly ServiceRecord[];
  /** Response code instead of an answer, of all questions or of those of one type: 2 = server failure. */
  code?: number | { readonly type: number; readonly code: number };
}

export interface NameServer {
  /** `ip:port`. */
  readonly address: string;
  /** By name; one that is missing does not exist. */
  readonly names: Map<string, NameRecords>;
  /** Questions so far. */
  readonly asked: () => number;
  stop(): void;
}

export const TYPE = { a: 1, aaaa: 28, srv: 33 } as const;
const NO_SUCH_NAME = 3;

export async function startNameServer(): Promise<NameServer> {
  const names = new Map<string, NameRecords>();
  const socket = createSocket("udp4");
  let asked = 0;
  socket.on("message", (query, { address, port }) => {
    asked++;
    socket.send(answerTo(query, names), port, address);
  });
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  return {
    address: `127.0.0.1:${socket.address().port}`,
    names,
    asked: () => asked,
    stop: () => void socket.close(),
  };
}

function answerTo(query: Buffer, names: ReadonlyMap<string, NameRecords>): Buffer {
  const labels: string[] = [];
  let at = 12;
  for (let size = query[at] ?? 0; size > 0; size = query[at] ?? 0) {
    labels.push(query.toString("latin1", at + 1, at + 1 + size));
    at += size + 1;
  }
  const type = query.readUInt16BE(at + 1);
  const known = names.get(labels.join(".").toLowerCase());
  const code = codeOf(known, type);
  const data = code === 0 && known !== undefined ? dataOf(known, type) : [];
  const head = Buffer.from(query.subarray(0, at + 5));
  head.writeUInt16BE(0x8180 | code, 2);
  head.writeUInt16BE(data.length, 6);
  head.writeUInt32BE(0, 8);
  return Buffer.concat([head, ...data.map((bytes) => record(type, known?.ttlSec ?? 60, bytes))]);
}

function codeOf(known: NameRecords | undefined, type: number): number {
  if (known === undefined) return NO_SUCH_NAME;
  const { code = 0 } = known;
  if (typeof code === "number") return code;
  return code.type === type ? code.code : 0;
}

function dataOf({ addresses = [], services = [] }: NameRecords, type: number): Uint8Array[] {
  if (type === TYPE.srv) return services.map(serviceData);
  const size = { [TYPE.a]: 4, [TYPE.aaaa]: 16 }[type];
  return addresses.map((ip) => parseIp(ip) ?? new Uint8Array()).filter(({ length }) => length === size);
}

function serviceData({ target, port, priority = 0, weight = 0 }: ServiceRecord): Buffer {
  const head = Buffer.alloc(6);
  for (const [index, value] of [priority, weight, port].entries()) head.writeUInt16BE(value, index * 2);
  const labels = target.split(".").filter((label) => label !== "");
  return Buffer.concat([
    head,
    ...labels.map((label) => Buffer.concat([Buffer.of(label.length), Buffer.from(label)])),
    Buffer.of(0),
  ]);
}

/** The name is a pointer to that of the question. */
function record(type: number, ttlSec: number, data: Uint8Array): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc00c, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(ttlSec, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}
