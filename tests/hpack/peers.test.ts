/**
 * Our header blocks against two implementations that share no code with ours, those of Node and of Bun: they read what
 * we write, we read what they write, over many streams of one connection and with tables of several sizes.
 *
 * note   with Bun both tables are the usual ones or its own is smaller: its encoder changes its size without saying so,
 *        against RFC 7541 §4.2
 */
import { expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { fieldsOfLines } from "../../src/core/fields.ts";
import { Out } from "../../src/core/out.ts";
import { Head } from "../../src/protocol/h2/head.ts";
import { HeadReader } from "../../src/protocol/h2/head-reader.ts";
import { HeadWriter } from "../../src/protocol/h2/head-writer.ts";
import { Chance } from "../laws/chance.ts";

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEAD = 9;
const HEADERS = 1;
const RESET = 3;
const SETTINGS = 4;
const GOAWAY = 7;
const END_OF_HEADERS_AND_STREAM = 5;
const ACK = 1;
const TABLE_SIZE = 1;
const STREAMS = 150;

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(FRAME_HEAD);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Just enough of HTTP/2 to ask one thing after the other. */
class Asker {
  readonly #socket: Socket;
  readonly #writer = new HeadWriter();
  readonly #reader = new HeadReader({ listBytes: 1 << 20, fields: 200 });
  readonly #out = new Out();
  #bytes = Buffer.alloc(0);
  #stream = -1;
  #waiting: ((frame: Frame) => void) | undefined;
  #failed: ((error: Error) => void) | undefined;

  readonly #tableBytes: number;

  constructor(socket: Socket, tableBytes: number) {
    this.#socket = socket;
    this.#tableBytes = tableBytes;
    const setting = Buffer.alloc(6);
    setting.writeUInt16BE(TABLE_SIZE);
    setting.writeUInt32BE(tableBytes, 2);
    socket.write(Buffer.concat([Buffer.from(PREFACE), frame(SETTINGS, 0, 0, setting)]));
    socket.on("data", (bytes: Buffer) => this.#feed(bytes));
    socket.on("close", () => this.#failed?.(new Error("the connection was closed")));
  }

  #feed(bytes: Uint8Array): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    while (this.#bytes.length >= FRAME_HEAD) {
      const length = this.#bytes.readUIntBE(0, 3);
      if (this.#bytes.length < FRAME_HEAD + length) return;
      const payload = this.#bytes.subarray(FRAME_HEAD, FRAME_HEAD + length);
      const [type, flags] = [this.#bytes[3] as number, this.#bytes[4] as number];
      const stream = this.#bytes.readUInt32BE(5) & 0x7fffffff;
      this.#bytes = this.#bytes.subarray(FRAME_HEAD + length);
      this.#take({ type, flags, stream, payload });
    }
  }

  #take(got: Frame): void {
    if (got.type === SETTINGS && (got.flags & ACK) === 0) this.#applySettings(got.payload);
    else if (got.type === SETTINGS) this.#reader.setTableBytes(this.#tableBytes);
    else if (got.type === HEADERS) this.#waiting?.(got);
    else if (got.type === GOAWAY || got.type === RESET) {
      this.#failed?.(new Error(`the server gave up: frame ${got.type}, ${got.payload.toString("hex")}`));
    }
  }

  #applySettings(payload: Buffer): void {
    for (let at = 0; at < payload.length; at += 6) {
      if (payload.readUInt16BE(at) === TABLE_SIZE) this.#writer.setTableBytes(payload.readUInt32BE(at + 2));
    }
    this.#socket.write(frame(SETTINGS, ACK, 0, Buffer.alloc(0)));
  }

  async ask(path: string, lines: string): Promise<Head> {
    this.#stream += 2;
    this.#out.reset();
    this.#writer.request(this.#out, {
      upstreamMethod: "GET",
      upstreamTarget: path,
      requestFields: fieldsOfLines(lines),
      upstreamDropLow: 0,
      upstreamDropHigh: 0,
      upstreamAdded: "",
      upstreamIdLines: "",
      requestBodyKind: 0,
      requestBodyLength: -1,
      upgrade: "",
      scheme: "http",
      authority: "a.test",
      protocol: "",
      takesTrailers: false,
    });
    const block = this.#out.bytes.subarray(0, this.#out.length);
    const answer = new Promise<Frame>((resolve, reject) => {
      this.#waiting = resolve;
      this.#failed = reject;
    });
    this.#socket.write(frame(HEADERS, END_OF_HEADERS_AND_STREAM, this.#stream, block));
    const { payload, stream } = await answer;
    expect(stream).toBe(this.#stream);
    const head = new Head();
    expect(this.#reader.read("response", payload, 0, payload.length, head)).toBe("");
    return head;
  }
}

function randomFields(chance: Chance): [name: string, value: string][] {
  const names = [
    "x-one",
    "x-two",
    "user-agent",
    "authorization",
    "etag",
    "x-api-key",
    `x-${chance.below(30)}`,
  ];
  return names
    .filter(() => chance.isTrue(0.6))
    .map((name) => {
      const value = chance.isTrue(0.5)
        ? `same ${chance.below(3)}`
        : chance.text(1 + chance.below(120), 'aZ09 ~;="&{^').trim();
      return [name, value === "" ? "0" : value];
    });
}

async function startServer(runtime: string, tableBytes: number) {
  const script = join(import.meta.dir, "echo-server.mjs");
  const child = Bun.spawn([runtime, script, String(tableBytes)], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream()))
    return { child, port: Number(text) };
  throw new Error(`${runtime} did not start`);
}

for (const [name, runtime, theirs, ours] of [
  ["Node", "node", 4096, 4096],
  ["Node", "node", 65536, 65536],
  ["Node", "node", 0, 0],
  ["Node", "node", 300, 1000],
  ["Node", "node", 1000, 300],
  ["Bun", process.execPath, 4096, 4096],
  ["Bun", process.execPath, 300, 4096],
  ["Bun", process.execPath, 0, 4096],
] as const) {
  test(`${name} with a table of ${theirs} bytes, and ours of ${ours}: both understand each other`, async () => {
    const { child, port } = await startServer(runtime, theirs);
    const socket = connect(port, "127.0.0.1");
    try {
      const asker = new Asker(socket, ours);
      const chance = new Chance(theirs + ours);
      for (let count = 0; count < STREAMS; count++) {
        const fields = randomFields(chance);
        const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
        const head = await asker.ask(`/item/${count}`, lines);
        expect([head.malformed, head.status, head.fields.find("x-path")]).toEqual([
          "",
          200,
          `/item/${count}`,
        ]);
        for (const [name, value] of fields) expect([name, head.fields.find(name)]).toEqual([name, value]);
      }
    } finally {
      socket.destroy();
      child.kill();
    }
  });
}
