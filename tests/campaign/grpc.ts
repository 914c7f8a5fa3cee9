/**
 * gRPC campaign: grpc-js on both sides of Weir, calls of every kind, some cancelled, some with too short a deadline.
 *
 * why    an implementation that is not ours says what gRPC is; every call has one right end, and reaching another one,
 *        or none, is a loss
 * out    how many calls of each kind ended right, and what did not
 */
import {
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  type Metadata,
  ServerCredentials,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { testAuthority } from "../support/certificates.ts";
import { eventually, within } from "../support/eventually.ts";
import { startWeir } from "../support/weir.ts";
import {
  decode,
  encode,
  type GrpcServer,
  MAX_MESSAGE_BYTES,
  SERVICE,
  startGrpcServer,
} from "./grpc-service.ts";

export type Security = "tls" | "h2c";

export interface GrpcOptions {
  readonly front: Security;
  readonly upstream: Security;
  readonly unary: number;
  /** Of each of the three streaming kinds. */
  readonly streams: number;
  readonly lanes: number;
  readonly say: (line: string) => void;
}

export interface GrpcReport {
  /** By kind: calls that ended as they should. */
  readonly right: Readonly<Record<string, number>>;
  readonly wrong: readonly string[];
  /** Calls that the server still holds although all clients have their answers. */
  readonly leftAtServer: number;
}

const CALL_MS = 20_000;
const KIB = 1024;
const EIGHT_MIB = 8 * KIB * KIB;
const STREAM_MESSAGES = 20;
/** Each has a connection of its own. */
const CLIENTS = 4;

export async function runGrpc(options: GrpcOptions): Promise<GrpcReport> {
  const authority = await testAuthority();
  const { cert, key } = await authority.issue({ names: ["localhost", "127.0.0.1"] });
  const pair = [{ private_key: Buffer.from(key), cert_chain: Buffer.from(cert) }];
  const isInside = options.upstream === "tls";
  const server = await startGrpcServer(
    isInside ? ServerCredentials.createSsl(null, pair) : ServerCredentials.createInsecure(),
  );
  const weir = await startWeir(configOf(options, server.port), {
    files: { "a.crt": cert, "a.key": key, "ca.pem": authority.caPem },
  });
  const channel =
    options.front === "tls"
      ? credentials.createSsl(Buffer.from(authority.caPem))
      : credentials.createInsecure();
  try {
    return await new Campaign(weir.port(), channel, options).run(server);
  } finally {
    await weir.stop();
    server.stop();
  }
}

function configOf({ front, upstream }: GrpcOptions, port: number): string {
  const entrance =
    front === "tls" ? "tls: { certificates: [ { cert: a.crt, key: a.key } ] }" : "protocols: [h2]";
  const way =
    upstream === "tls" ? "protocol: h2, tls: { ca: ca.pem, serverName: localhost }" : "protocol: h2c";
  return `
listeners: { web: { bind: "127.0.0.1:0", ${entrance} } }
routes: [ { to: rpc, timeouts: { request: 0s, response: 30s, idle: 30s } } ]
upstreams: { rpc: { endpoints: [ "127.0.0.1:${port}" ], ${way} } }
`;
}

/** How a call ended: its status, and for a call that went well what was wrong with its messages. */
interface Ending {
  readonly code: number;
  readonly wrong: string;
}

type Kind = (client: Client, id: number) => Promise<Ending>;

interface Planned {
  readonly name: string;
  readonly id: number;
  readonly code: number;
  readonly kind: Kind;
}

/** A step that reaches each of `count` once, and neighbours far from each other. */
function strideFor(count: number): number {
  const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));
  let step = Math.max(1, Math.floor(count * 0.618));
  while (divisor(step, count) !== 1) step++;
  return step;
}

class Campaign {
  readonly #port: number;
  readonly #credentials: ChannelCredentials;
  readonly #options: GrpcOptions;
  readonly #right: Record<string, number> = {};
  readonly #wrong: string[] = [];

  constructor(port: number, channel: ChannelCredentials, options: GrpcOptions) {
    this.#port = port;
    this.#credentials = channel;
    this.#options = options;
  }

  async run(server: GrpcServer): Promise<GrpcReport> {
    const { unary, streams, say, front, upstream } = this.#options;
    const plan: readonly (readonly [string, number, number, Kind])[] = [
      ["unary", unary, status.OK, (client, id) => unaryCall(client, { id, size: id % 2000 })],
      [
        "unary, told to fail",
        unary / 10,
        status.FAILED_PRECONDITION,
        (client, id) => unaryCall(client, { id, count: 1, size: 10 }),
      ],
      [
        "unary of 8 MiB",
        Math.max(2, unary / 1000),
        status.OK,
        (client, id) => unaryCall(client, { id, size: EIGHT_MIB }),
      ],
      ["unary, cancelled", unary / 20, status.CANCELLED, cancelledUnary],
      [
        "unary, too late",
        unary / 20,
        status.DEADLINE_EXCEEDED,
        (client, id) => unaryCall(client, { id, delayMs: 5000, size: 10 }, 20 + (id % 50)),
      ],
      ["server stream", streams, status.OK, serverStream],
      ["server stream, cancelled", streams / 10, status.CANCELLED, cancelledStream],
      ["client stream", streams, status.OK, clientStream],
      ["both ways", streams, status.OK, bothWays],
      ["both ways, cancelled", streams / 10, status.CANCELLED, cancelledBoth],
    ];
    await this.#all(
      plan.flatMap(([name, count, code, kind]) =>
        Array.from({ length: Math.ceil(count) }, (_, id) => ({ name, id, code, kind })),
      ),
    );
    await eventually(() => server.active() === 0, 5000, "the server's calls to end").catch(() => undefined);
    say(`${front} to ${upstream}: ${JSON.stringify(this.#right)}, ${this.#wrong.length} wrong`);
    return { right: this.#right, wrong: this.#wrong, leftAtServer: server.active() };
  }

  /** All kinds mixed, the same way each time, so many at once. */
  async #all(calls: readonly Planned[]): Promise<void> {
    const clients = Array.from({ length: CLIENTS }, () => this.#client());
    const step = strideFor(calls.length);
    let next = 0;
    const lane = async () => {
      while (next < calls.length) {
        const { name, id, code, kind } = calls[(next++ * step) % calls.length] as Planned;
        await this.#call(name, id, code, kind(clients[id % clients.length] as Client, id));
      }
    };
    await Promise.all(Array.from({ length: this.#options.lanes }, lane));
    for (const client of clients) client.close();
  }

  async #call(name: string, id: number, code: number, call: Promise<Ending>): Promise<void> {
    try {
      const ending = await within(call, CALL_MS, "the call to end");
      if (ending.code !== code)
        throw new Error(`status ${status[ending.code]}, not ${status[code]}: ${ending.wrong}`);
      if (code === status.OK && ending.wrong !== "") throw new Error(ending.wrong);
      this.#right[name] = (this.#right[name] ?? 0) + 1;
    } catch (error) {
      this.#wrong.push(`${name} ${id}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  #client(): Client {
    return new Client(`localhost:${this.#port}`, this.#credentials, {
      "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
      "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
      // a connection of its own for each client, not one that all share
      "grpc.use_local_subchannel_pool": 1,
    });
  }
}

interface Ask {
  readonly id: number;
  readonly count?: number;
  readonly delayMs?: number;
  readonly size: number;
}

function unaryCall(
  client: Client,
  { id, count = 0, delayMs = 0, size }: Ask,
  deadlineMs = CALL_MS,
): Promise<Ending> {
  const message = encode({ id, count, delayMs, size });
  const { path, requestSerialize, responseDeserialize } = SERVICE.unary;
  const options = { deadline: Date.now() + deadlineMs };
  return new Promise((resolve) => {
    const answered = (error: ServiceError | null, answer?: Buffer) => {
      if (error !== null) resolve({ code: error.code, wrong: error.details });
      else resolve({ code: status.OK, wrong: answer?.equals(message) === true ? "" : "another answer" });
    };
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, message, options, answered);
  });
}

/** Cancelled while the server waits, or just when it answers. */
function cancelledUnary(client: Client, id: number): Promise<Ending> {
  const message = encode({ id, count: 0, delayMs: 1000, size: 100 });
  const { path, requestSerialize, responseDeserialize } = SERVICE.unary;
  return new Promise((resolve) => {
    const call = client.makeUnaryRequest(path, requestSerialize, responseDeserialize, message, (error) =>
      resolve({ code: error?.code ?? status.OK, wrong: error?.details ?? "it ran to its end" }),
    );
    setTimeout(() => call.cancel(), id % 100);
  });
}

/** The end of a stream, whichever of its events tells it. */
function endOf(
  call: ClientReadableStream<Buffer> | ClientDuplexStream<Buffer, Buffer>,
  isRight: () => string,
): Promise<Ending> {
  return new Promise((resolve) => {
    call.on("error", (error: ServiceError) => resolve({ code: error.code, wrong: error.details }));
    call.on("status", ({ code }: { code: number; metadata: Metadata }) => {
      if (code === status.OK) resolve({ code, wrong: isRight() });
    });
  });
}

function openServerStream(
  client: Client,
  id: number,
  count: number,
  size: number,
): ClientReadableStream<Buffer> {
  const { path, requestSerialize, responseDeserialize } = SERVICE.serverStream;
  const message = encode({ id, count, delayMs: 0, size });
  return client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, message);
}

function serverStream(client: Client, id: number): Promise<Ending> {
  const call = openServerStream(client, id, STREAM_MESSAGES, (id * 37) % 5000);
  let next = id;
  let wrong = "";
  call.on("data", (bytes: Buffer) => {
    if (decode(bytes)?.id !== next++) wrong = `message ${next - 1 - id} is another one`;
  });
  return endOf(call, () => (wrong === "" && next !== id + STREAM_MESSAGES ? `${next - id} messages` : wrong));
}

/** Far more than is ever read: cancelled in the midst of it. */
function cancelledStream(client: Client, id: number): Promise<Ending> {
  const call = openServerStream(client, id, 10_000, 10 * KIB);
  let left = id % 20;
  call.on("data", () => {
    if (left-- === 0) call.cancel();
  });
  return endOf(call, () => "it ran to its end");
}

function clientStream(client: Client, id: number): Promise<Ending> {
  const { path, requestSerialize, responseDeserialize } = SERVICE.clientStream;
  return new Promise((resolve) => {
    const answered = (error: ServiceError | null, answer?: Buffer) => {
      if (error !== null) return resolve({ code: error.code, wrong: error.details });
      const found = answer === undefined ? undefined : decode(answer);
      const isRight = found?.count === STREAM_MESSAGES && found.id === id;
      return resolve({ code: status.OK, wrong: isRight ? "" : `answered ${JSON.stringify(found)}` });
    };
    const call = client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, answered);
    for (let sent = 0; sent < STREAM_MESSAGES; sent++)
      call.write(encode({ id, count: sent, delayMs: 0, size: (id * 13 + sent) % 3000 }));
    call.end();
  });
}

function openBoth(client: Client): ClientDuplexStream<Buffer, Buffer> {
  const { path, requestSerialize, responseDeserialize } = SERVICE.both;
  return client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
}

/** One message at a time, each sent when the echo of the one before is there. */
function bothWays(client: Client, id: number): Promise<Ending> {
  const call = openBoth(client);
  const message = (count: number) => encode({ id, count, delayMs: 0, size: (id + count * 101) % 4000 });
  let next = 0;
  let wrong = "";
  call.on("data", (bytes: Buffer) => {
    if (!bytes.equals(message(next++))) wrong = `echo ${next - 1} is another one`;
    if (next < STREAM_MESSAGES) call.write(message(next));
    else call.end();
  });
  call.write(message(0));
  return endOf(call, () => (wrong === "" && next !== STREAM_MESSAGES ? `${next} echoes` : wrong));
}

function cancelledBoth(client: Client, id: number): Promise<Ending> {
  const call = openBoth(client);
  let left = id % 5;
  call.on("data", (bytes: Buffer) => {
    if (left-- === 0) call.cancel();
    else call.write(bytes);
  });
  call.write(encode({ id, count: 0, delayMs: 0, size: 100 }));
  return endOf(call, () => "it ran to its end");
}
