/**
 * Greeter: a gRPC service to put behind the example, and to ask through it. Messages are JSON, so that it needs no
 * compiled definitions.
 *
 *   node_modules/.bin/bun examples/grpc/greeter.ts serve 50052
 *   node_modules/.bin/bun examples/grpc/greeter.ts ask 50051 anna
 */
import { promisify } from "node:util";
import {
  Client,
  credentials,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";

interface Named {
  readonly name: string;
}

interface Greeting {
  readonly text: string;
}

const toBytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const fromBytes = <T>(bytes: Buffer): T => JSON.parse(bytes.toString()) as T;

function method(name: string, responseStream: boolean): MethodDefinition<Named, Greeting> {
  return {
    path: `/examples.Greeter/${name}`,
    requestStream: false,
    responseStream,
    requestSerialize: toBytes,
    requestDeserialize: fromBytes<Named>,
    responseSerialize: toBytes,
    responseDeserialize: fromBytes<Greeting>,
  };
}

const HELLO = method("Hello", false);
const COUNT = method("Count", true);

export interface Greeter {
  readonly port: number;
  stop(): void;
}

/** Hello answers once, and with an error to nobody; Count answers three times. */
export async function startGreeter(port: number): Promise<Greeter> {
  const server = new Server();
  server.addService(
    { hello: HELLO, count: COUNT },
    {
      hello({ request }: { request: Named }, answer: sendUnaryData<Greeting>) {
        if (request.name === "") answer({ code: status.INVALID_ARGUMENT, details: "who?" });
        else answer(null, { text: `hello, ${request.name}` });
      },
      count(call: ServerWritableStream<Named, Greeting>) {
        for (const number of [1, 2, 3]) call.write({ text: `${number} for ${call.request.name}` });
        call.end();
      },
    },
  );
  const bind = promisify(server.bindAsync.bind(server));
  const bound = await bind(`127.0.0.1:${port}`, ServerCredentials.createInsecure());
  return { port: bound, stop: () => server.forceShutdown() };
}

/** What Hello and Count say to this name. */
export async function askGreeter(address: string, name: string): Promise<string[]> {
  const client = new Client(address, credentials.createInsecure());
  try {
    const hello = await new Promise<Greeting | undefined>((resolve, reject) => {
      client.makeUnaryRequest(
        HELLO.path,
        HELLO.requestSerialize,
        HELLO.responseDeserialize,
        { name },
        (error, value) => (error === null ? resolve(value) : reject(error)),
      );
    });
    const texts = [hello?.text ?? ""];
    const stream = client.makeServerStreamRequest(
      COUNT.path,
      COUNT.requestSerialize,
      COUNT.responseDeserialize,
      { name },
    );
    for await (const greeting of stream) texts.push((greeting as Greeting).text);
    return texts;
  } finally {
    client.close();
  }
}

if (import.meta.main) {
  const [what, port = "50051", name = "world"] = process.argv.slice(2);
  if (what === "serve") {
    const greeter = await startGreeter(Number(port));
    process.stdout.write(`greeter listens on 127.0.0.1:${greeter.port}\n`);
  } else {
    try {
      const texts = await askGreeter(`127.0.0.1:${port}`, name);
      process.stdout.write(`${texts.join("\n")}\n`);
    } catch (error) {
      process.stderr.write(`${(error as Error).message}\n`);
      process.exitCode = 1;
    }
  }
}
