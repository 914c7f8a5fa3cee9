import { expect, test } from "bun:test";
import { FakeSocket } from "../../tests/support/fake-socket.ts";
import { CidrSet } from "../core/address.ts";
import { LISTENER } from "../observe/metrics.table.ts";
import { SocketBudget } from "../transport/socket-budget.ts";
import { Wheel } from "../transport/timers.ts";
import { BufferBudget } from "../transport/wire.ts";
import { accept } from "./accept.ts";
import type { Listener } from "./listener.ts";
import type { Place } from "./place.ts";
import type { SessionServices } from "./services.ts";

function make() {
  const listener: Listener = {
    name: "web",
    limits: { connections: 10, requestHeadBytes: 4096, headers: 50, bodyBytes: 0, requestsPerConnection: 0 },
    timeouts: { handshakeMs: 1000, headMs: 1000, bodyMs: 1000, idleMs: 1000 },
    trustedProxies: new CidrSet([]),
    proxyProtocolFrom: new CidrSet(["127.0.0.1"]),
    protocols: ["h1"],
    http2: {
      maxStreams: 100,
      streamWindowBytes: 65_535,
      connectionWindowBytes: 1 << 20,
      extendedConnect: false,
    },
    tls: undefined,
    slot: 0,
    site: undefined,
    isLeaving: false,
  };
  const wheel = new Wheel();
  const nothing = () => undefined;
  const services: SessionServices = {
    wheel,
    budget: new BufferBudget(1e6),
    sockets: new SocketBudget(undefined),
    events: {
      request: nothing,
      requestBody: nothing,
      requestEnd: nothing,
      downstreamDrained: nothing,
      responseSent: nothing,
      downstreamFailed: nothing,
    },
    counters: new Float64Array(LISTENER.slots),
    workerSlot: 0,
    isDraining: false,
  };
  const place: Place = {
    listener,
    services,
    keeper: {
      opened: nothing,
      replaced: (_, after) => sessions.push(after),
      gone: nothing,
      defect: nothing,
      activeEverywhere: () => 0,
    },
    isNative: false,
    secure: () => {
      throw new Error("no TLS here");
    },
  };
  const sessions = [accept(new FakeSocket(), place)];
  return { session: () => sessions.at(-1), wheel };
}

test("a connection that closes leaves nothing in the wheel, whether its PROXY header had come or not", () => {
  for (const bytes of ["", "PROXY TCP4 ", "PROXY UNKNOWN\r\n"]) {
    const { session, wheel } = make();
    expect(wheel.size).toBe(1);
    session()?.onData(Buffer.from(bytes));
    session()?.onClose(false);
    expect(wheel.size).toBe(0);
  }
});
