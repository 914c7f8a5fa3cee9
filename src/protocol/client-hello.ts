/**
 * Client hello: what does a TLS client ask for, before anything is answered?
 *
 * why    a PROXY header stands in front of the handshake, and an ACME validator (RFC 8737) is told from a browser
 *        by the protocols it offers: both must be known before a certificate is chosen
 * in     the first bytes of a connection, in any cut
 * out    server name and offered protocols; "more" while the hello is incomplete; undefined when the bytes are no
 *        client hello, or one larger than MAX_HELLO_BYTES
 * rule   looks, judges nothing else: the TLS library reads the same bytes again and is the one to refuse them
 * spec   RFC 8446 §4.1.2, §5.1; RFC 6066 §3; RFC 7301 §3.1
 */

export interface ClientHello {
  /** Lower case, without a last dot; "" when the client names no server. */
  readonly serverName: string;
  /** Empty when the client offers none. */
  readonly protocols: readonly string[];
}

/** With post-quantum key shares a hello has about 2 KiB; BoringSSL refuses more than 16 KiB of its own accord. */
const MAX_HELLO_BYTES = 16 * 1024;
/** Every record header on the way is five bytes; a hello cut into one-byte records is not worth reading. */
const MAX_BYTES = MAX_HELLO_BYTES + 64 * 5;
const RECORD_HEADER = 5;
const MESSAGE_HEADER = 4;
const HANDSHAKE_RECORD = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const APPLICATION_PROTOCOLS = 16;
/** Legacy version and random. */
const FIXED_BYTES = 2 + 32;

export function readClientHello(bytes: Buffer): ClientHello | "more" | undefined {
  const message = joinRecords(bytes);
  if (message === undefined) return undefined;
  if (message.length < MESSAGE_HEADER) return moreOrNothing(bytes);
  if (message[0] !== CLIENT_HELLO) return undefined;
  const end = MESSAGE_HEADER + message.readUIntBE(1, 3);
  if (end > MAX_HELLO_BYTES) return undefined;
  if (message.length < end) return moreOrNothing(bytes);
  return readBody(new Cursor(message.subarray(MESSAGE_HEADER, end)));
}

function moreOrNothing(bytes: Buffer): "more" | undefined {
  return bytes.length > MAX_BYTES ? undefined : "more";
}

/** The handshake bytes of the records so far. out  undefined when they are no handshake records */
function joinRecords(bytes: Buffer): Buffer | undefined {
  const parts: Buffer[] = [];
  let at = 0;
  let have = 0;
  while (at < bytes.length && have < messageBytes(parts[0])) {
    const isHandshake = bytes[at] === HANDSHAKE_RECORD && (bytes[at + 1] ?? 3) === 3;
    if (!isHandshake && parts.length === 0) return undefined;
    if (!isHandshake) break;
    if (at + RECORD_HEADER > bytes.length) break;
    const length = bytes.readUInt16BE(at + 3);
    if (length === 0) return undefined;
    const part = bytes.subarray(at + RECORD_HEADER, at + RECORD_HEADER + length);
    parts.push(part);
    have += part.length;
    at += RECORD_HEADER + length;
  }
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
}

/** Bytes of the message that begins here: what follows may be early data, and is not ours to look at. */
function messageBytes(start: Buffer | undefined): number {
  if (start === undefined || start.length < MESSAGE_HEADER) return Number.POSITIVE_INFINITY;
  return MESSAGE_HEADER + start.readUIntBE(1, 3);
}

function readBody(cursor: Cursor): ClientHello | undefined {
  cursor.skip(FIXED_BYTES);
  cursor.take(1); // session id
  cursor.take(2); // cipher suites
  cursor.take(1); // compression methods
  if (cursor.isBroken) return undefined;
  const hello = { serverName: "", protocols: [] as string[] };
  if (cursor.isAtEnd) return hello;
  const extensions = new Cursor(cursor.take(2));
  while (!extensions.isAtEnd && !extensions.isBroken) {
    const type = extensions.number(2);
    const value = new Cursor(extensions.take(2));
    if (type === SERVER_NAME) hello.serverName = readServerName(value);
    else if (type === APPLICATION_PROTOCOLS) hello.protocols = readProtocols(value);
  }
  return extensions.isBroken || cursor.isBroken ? undefined : hello;
}

function readServerName(value: Cursor): string {
  const list = new Cursor(value.take(2));
  const type = list.number(1);
  const name = list.take(2);
  return type === 0 && !list.isBroken ? normaliseServerName(name.toString("latin1")) : "";
}

function readProtocols(value: Cursor): string[] {
  return protocolsIn(value.take(2));
}

/** A list of protocol names as on the wire, each behind its length (RFC 7301 §3.1). */
export function protocolsIn(wire: Buffer): string[] {
  const list = new Cursor(wire);
  const names: string[] = [];
  while (!list.isAtEnd && !list.isBroken) names.push(list.take(1).toString("latin1"));
  return list.isBroken ? [] : names;
}

/** Names are compared without regard to case; a last dot says nothing (RFC 6066 §3 forbids it). */
export function normaliseServerName(name: string): string {
  const lower = name.toLowerCase();
  return lower.endsWith(".") ? lower.slice(0, -1) : lower;
}

const NOTHING = Buffer.alloc(0);

/** Reads on; once it would have to read past the end it is broken and gives nothing any more. */
class Cursor {
  readonly #bytes: Buffer;
  #at = 0;
  isBroken = false;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  skip(count: number): void {
    if (this.#at + count > this.#bytes.length) this.isBroken = true;
    else this.#at += count;
  }

  number(width: 1 | 2): number {
    const at = this.#at;
    this.skip(width);
    return this.isBroken ? 0 : this.#bytes.readUIntBE(at, width);
  }

  /** Bytes behind a length of `width` bytes. */
  take(width: 1 | 2): Buffer {
    const length = this.number(width);
    const at = this.#at;
    this.skip(length);
    return this.isBroken ? NOTHING : this.#bytes.subarray(at, at + length);
  }
}
