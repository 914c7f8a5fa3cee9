/**
 * Fake socket: takes what the test lets it take and notes every call, for tests of sessions without a network.
 */
import type { RawSocket } from "../../src/transport/wire.ts";

export class FakeSocket implements RawSocket {
  /** What was written, one character a byte. */
  written = "";
  /** How many bytes it takes of each write. */
  room = Number.POSITIVE_INFINITY;
  /** Names of the other calls, in order. */
  readonly calls: string[] = [];
  readonly remoteAddress = "127.0.0.1";
  readonly remotePort = 1;
  readonly localAddress = "127.0.0.1";
  readonly localPort = 2;

  write(data: string | Uint8Array, offset?: number | "latin1", length?: number): number {
    const bytes = typeof data === "string" ? Buffer.from(data, "latin1") : Buffer.from(data);
    const start = typeof offset === "number" ? offset : 0;
    const wanted = bytes.subarray(start, start + (length ?? bytes.length)).subarray(0, this.room);
    this.written += wanted.toString("latin1");
    return wanted.length;
  }

  close = () => void this.calls.push("close");
  shutdown = () => void this.calls.push("shutdown");
  terminate = () => void this.calls.push("terminate");
  pause = () => void this.calls.push("pause");
  resume = () => void this.calls.push("resume");

  /** True while the last word about reading was `pause`. */
  get isPaused(): boolean {
    return this.calls.lastIndexOf("pause") > this.calls.lastIndexOf("resume");
  }
}
