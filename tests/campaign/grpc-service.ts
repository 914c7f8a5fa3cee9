/**
 * gRPC service for campaigns: one method of each kind, on bytes, so that no description files are needed.
 *
 * shape  a message is id, count, delay and size (32 bits each, little-endian), then `size` bytes of a pattern that the
 *        id decides
 * rule   unary and bidirectional calls echo; a server stream sends `count` messages; a client stream is answered with
 *        how many messages came; `delay` is how long the server waits first; a unary call with a count fails
 */
import {
  type MethodDefinition,
  Server,
  type ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { within } from "../support/eventually.ts";

export interface Message {
  readonly id: number;
  readonly count: number;
  readonly delayMs: number;
  readonly size: number;
}

const HEAD_BYTES = 16;
export const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

/** A pattern of 64 KiB: a body of any size is cut from it, beginning where the id says. */
const PATTERN = Buffer.from(Uint8Array.from({ length: 1 << 16 }, (_, at) => (at * 31 + (at >> 8)) & 0xff));

export function encode({ id, count, delayMs, size }: Message): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES + size);
  for (const [index, value] of [id, count, delayMs, size].entries()) bytes.writeUInt32LE(value, index * 4);
  for (let at = 0, from = id & 0xfff; at < size; from = 0) {
    at += PATTERN.copy(bytes, HEAD_BYTES + at, from, Math.min(PATTERN.length, from + size - at));
  }
  return bytes;
}

/** out  the message, or undefined when its bytes are not those that were sent */
export function decode(bytes: Buffer): Message | undefined {
  if (bytes.length < HEAD_BYTES) return undefined;
  const [id = 0, count = 0, delayMs = 0, size = 0] = [0, 4, 8, 12].map((at) => bytes.readUInt32LE(at));
  const message = { id, count, delayMs, size };
  return bytes.length === HEAD_BYTES + size && encode(message).equals(bytes) ? message : undefined;
}

const asIs = (bytes: Buffer) => bytes;
function method(
  path: string,
  requestStream: boolean,
  responseStream: boolean,
): MethodDefinition<Buffer, Buffer> {
  const serializers = {
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
  return { path: `/weir.Campaign/${path}`, requestStream, responseStream, ...serializers };
}

export const SERVICE = {
  unary: method("Unary", false, false),
  serverStream: method("ServerStream", false, true),
  clientStream: method("ClientStream", true, false),
  both: method("Both", true, true),
} satisfies ServiceDefinition;

export interface GrpcServer {
  readonly port: number;
  /** Calls that the server has begun and neither finished nor seen cancelled. */
  readonly active: () => number;
  stop(): void;
}

export async function startGrpcServer(credentials: ServerCredentials): Promise<GrpcServer> {
  const active = new Set<object>();
  const server = new Server({
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_concurrent_streams": 1000,
  });
  server.addService(SERVICE, implementation(active));
  const bound = new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", credentials, (error, port) => (error ? reject(error) : resolve(port)));
  });
  const port = await within(bound, 5000, "the gRPC server to listen");
  return { port, active: () => active.size, stop: () => server.forceShutdown() };
}

/** What all four kinds of call are. */
interface AnyCall {
  on(event: "cancelled", listener: () => void): unknown;
}

function implementation(active: Set<object>) {
  const begin = (call: AnyCall) => {
    active.add(call);
    call.on("cancelled", () => active.delete(call));
  };
  return {
    unary(call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>): void {
      begin(call);
      const message = decode(call.request);
      setTimeout(() => {
        active.delete(call);
        if (message === undefined)
          answer({ code: status.DATA_LOSS, details: "not the bytes that were sent" });
        else if (message.count > 0)
          answer({ code: status.FAILED_PRECONDITION, details: `told to fail ${message.id} – grüße` });
        else answer(null, call.request);
      }, message?.delayMs ?? 0);
    },
    serverStream(call: ServerWritableStream<Buffer, Buffer>): void {
      begin(call);
      const message = decode(call.request);
      if (message === undefined) call.emit("error", { code: status.DATA_LOSS });
      else sendAll(call, message, () => active.delete(call));
    },
    clientStream(call: ServerReadableStream<Buffer, Buffer>, answer: sendUnaryData<Buffer>): void {
      begin(call);
      let count = 0;
      let id = 0;
      call.on("data", (bytes: Buffer) => {
        id = decode(bytes)?.id ?? -1_000_000;
        count++;
      });
      call.on("end", () => {
        active.delete(call);
        if (!call.cancelled) answer(null, encode({ id: Math.max(0, id), count, delayMs: 0, size: 0 }));
      });
    },
    both(call: ServerDuplexStream<Buffer, Buffer>): void {
      begin(call);
      call.on("data", (bytes: Buffer) => call.write(bytes));
      call.on("end", () => {
        active.delete(call);
        call.end();
      });
    },
  };
}

/** `count` messages, as fast as they are taken. */
function sendAll(
  call: ServerWritableStream<Buffer, Buffer>,
  { id, count, delayMs, size }: Message,
  done: () => void,
): void {
  let sent = 0;
  const more = () => {
    if (call.cancelled) return done();
    while (sent < count) {
      const message = encode({ id: id + sent++, count: 0, delayMs: 0, size });
      if (!call.write(message) && sent < count) {
        call.once("drain", more);
        return;
      }
    }
    done();
    call.end();
  };
  setTimeout(more, delayMs);
}
