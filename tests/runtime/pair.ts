/**
 * Pair: two ends of one Bun TCP connection on the loopback address, each noting what happens to it.
 */
import { afterEach } from "bun:test";
import { eventually, within } from "../support/eventually.ts";

/** What happened to one end, in order: `open data:3 drain end close:ECONNRESET`. */
export class End {
  readonly events: string[] = [];
  readonly chunks: Buffer[] = [];
  received = 0;
  drains = 0;
  socket: Bun.Socket<End> | undefined;
  /** Called inside of the handlers, for behaviour that depends on being there. */
  onOpen: (socket: Bun.Socket<End>) => void = () => undefined;
  onData: (socket: Bun.Socket<End>, chunk: Buffer) => void = () => undefined;
  onEnd: (socket: Bun.Socket<End>) => void = () => undefined;

  get open(): Bun.Socket<End> {
    if (this.socket === undefined) throw new Error("not open yet");
    return this.socket;
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString("latin1");
  }

  has(event: string): boolean {
    return this.events.some((seen) => seen === event || seen.startsWith(`${event}:`));
  }

  async saw(event: string): Promise<void> {
    await eventually(() => this.has(event), 3000, `${event} (seen: ${this.events.join(" ")})`);
  }
}

export const HANDLERS: Bun.SocketHandler<End> = {
  open(socket) {
    socket.data.socket = socket;
    socket.data.events.push("open");
    socket.data.onOpen(socket);
  },
  data(socket, chunk) {
    const end = socket.data;
    end.events.push(`data:${chunk.length}`);
    end.chunks.push(chunk);
    end.received += chunk.length;
    end.onData(socket, chunk);
  },
  drain(socket) {
    socket.data.drains++;
    socket.data.events.push("drain");
  },
  end(socket) {
    socket.data.events.push("end");
    socket.data.onEnd(socket);
  },
  close(socket, error) {
    const code = (error as NodeJS.ErrnoException | undefined)?.code;
    socket.data.events.push(code === undefined ? "close" : `close:${code}`);
  },
  error() {
    // `close` follows
  },
};

export interface Pair {
  readonly client: End;
  readonly server: End;
  stop(): void;
}

export interface PairOptions {
  readonly allowHalfOpen?: boolean;
  /** Path of a unix socket instead of TCP. */
  readonly unix?: string;
  prepare?(server: End, client: End): void;
}

export async function connectPair({ allowHalfOpen = true, unix, prepare }: PairOptions = {}): Promise<Pair> {
  const [server, client] = [new End(), new End()];
  prepare?.(server, client);
  const socket: Bun.SocketHandler<End> = {
    ...HANDLERS,
    open(opened) {
      opened.data = server;
      HANDLERS.open?.(opened);
    },
  };
  const shared = { allowHalfOpen, data: client };
  const listener =
    unix === undefined
      ? Bun.listen<End>({ hostname: "127.0.0.1", port: 0, allowHalfOpen, socket })
      : Bun.listen<End>({ unix, allowHalfOpen, socket });
  const connecting =
    unix === undefined
      ? Bun.connect<End>({
          ...shared,
          hostname: "127.0.0.1",
          port: (listener as Bun.TCPSocketListener).port,
          socket: HANDLERS,
        })
      : Bun.connect<End>({ ...shared, unix, socket: HANDLERS });
  await within(connecting, 3000, "a connection");
  await server.saw("open");
  const stop = () => {
    client.socket?.terminate();
    listener.stop(true);
  };
  return { client, server, stop };
}

/** For the top of a test file. out  makes pairs that are gone when their test is over */
export function pairMaker(): (options?: PairOptions) => Promise<Pair> {
  const pairs: Pair[] = [];
  afterEach(() => {
    for (const pair of pairs.splice(0)) pair.stop();
  });
  return async (options) => {
    const made = await connectPair(options);
    pairs.push(made);
    return made;
  };
}
