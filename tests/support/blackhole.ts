/**
 * Blackhole: an address on the loopback interface where connections are never made and never refused.
 *
 * why    a listening socket whose queue is full drops further SYNs, as a dead machine would
 */
import { libc } from "../../src/transport/libc.ts";
import { openListenSocket } from "../../src/transport/listen-sockets.ts";
import { RawClient } from "./raw-client.ts";

/** More than a queue of 0 takes: one, and on some kernels one in the making. */
const MAX_FILL = 3;

export interface Blackhole {
  readonly address: string;
  close(): void;
}

export async function openBlackhole(): Promise<Blackhole> {
  const socket = openListenSocket({ kind: "tcp", host: "127.0.0.1", port: 0 }, false);
  if (socket.kind === "failure") throw new Error(`no blackhole: ${socket.text}`);
  const { descriptor, port } = socket;
  libc().listen(descriptor, 0);
  const fill: RawClient[] = [];
  for (let count = 0; count < MAX_FILL; count++) {
    const client = await RawClient.connect({ port, deadlineMs: 300 }).catch(() => undefined);
    if (client === undefined) break;
    fill.push(client);
  }
  return {
    address: `127.0.0.1:${port}`,
    close() {
      for (const client of fill) client.close();
      libc().close(descriptor);
    },
  };
}
