import { afterEach, expect, test } from "bun:test";
import { fstatSync } from "node:fs";
import type { ListenerConfig } from "../config/config.ts";
import type { Address } from "../core/address.ts";
import { SPREADS_CONNECTIONS } from "../transport/listen-sockets.ts";
import { ListenerSockets, listenSpecs } from "./listener-sockets.ts";

const LOOPBACK: Address = { kind: "tcp", host: "127.0.0.1", port: 0 };
const listener = (name: string, ...bind: Address[]) => ({ name, bind }) as unknown as ListenerConfig;
const FILE = "weir.yaml";

const all: ListenerSockets[] = [];
function makeSockets(): ListenerSockets {
  const made = new ListenerSockets((host) =>
    Promise.resolve(
      host === "localhost"
        ? { kind: "answer", addresses: ["127.0.0.1"], ttlMs: 1000 }
        : { kind: "failure", text: "no such name" },
    ),
  );
  all.push(made);
  return made;
}
afterEach(() => {
  for (const sockets of all.splice(0)) sockets.close(false);
});

async function bring(sockets: ListenerSockets, listeners: ListenerConfig[], workers: number) {
  const plan = sockets.extend(await sockets.plan(listeners, workers, FILE), workers);
  expect(plan.problems).toEqual([]);
  sockets.commit(plan)();
  return sockets.bound;
}

function isOpen(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isSocket();
  } catch {
    return false;
  }
}

const PER_ADDRESS = SPREADS_CONNECTIONS ? 3 : 1;

test("an address has one socket for each worker, all on one port", async () => {
  const [bound] = await bring(makeSockets(), [listener("web", LOOPBACK)], 3);
  expect(bound?.descriptors).toHaveLength(PER_ADDRESS);
  expect(bound?.address.kind === "tcp" && bound.address.port).toBeGreaterThan(0);
});

test("an unchanged address keeps its sockets; fewer workers close none of them", async () => {
  const sockets = makeSockets();
  const [before] = await bring(sockets, [listener("web", LOOPBACK)], 3);
  const [after] = await bring(sockets, [listener("web", LOOPBACK)], 1);
  expect(after).toEqual(before as NonNullable<typeof before>);
  const shares = listenSpecs(sockets.bound).map((spec) => spec.share);
  expect(shares).toEqual(SPREADS_CONNECTIONS ? [0, 1, 2] : [undefined]);
});

test("a port that was 0 and is now written out is the same address", async () => {
  const sockets = makeSockets();
  const [before] = await bring(sockets, [listener("web", LOOPBACK)], 1);
  const [after] = await bring(sockets, [listener("web", before?.address as Address)], 1);
  expect(after?.descriptors).toEqual(before?.descriptors as number[]);
});

test("a removed address is closed, and only then", async () => {
  const sockets = makeSockets();
  const [first] = await bring(sockets, [listener("one", LOOPBACK), listener("two", LOOPBACK)], 1);
  const second = sockets.bound[1]?.descriptors[0] as number;
  const plan = await sockets.plan([listener("one", LOOPBACK)], 1, FILE);
  const close = sockets.commit(plan);
  expect(isOpen(second)).toBe(true);
  close();
  expect([isOpen(first?.descriptors[0] as number), isOpen(second)]).toEqual([true, false]);
});

test("all problems are told, with the listener's name, and nothing stays open", async () => {
  const sockets = makeSockets();
  const elsewhere: Address = { kind: "tcp", host: "192.0.2.1", port: 80 };
  const unknown: Address = { kind: "tcp", host: "nowhere", port: 80 };
  const plan = await sockets.plan([listener("a", LOOPBACK, elsewhere), listener("b", unknown)], 1, FILE);
  expect(plan.problems.map(({ path, message }) => `${path}: ${message}`).sort()).toEqual([
    "listeners.a: cannot bind 192.0.2.1:80: no interface of this machine has that address",
    "listeners.b: cannot bind nowhere:80: no such name",
  ]);
  expect(plan.opened.filter(isOpen)).toEqual([]);
});

test("a name stands for its addresses", async () => {
  const [bound] = await bring(
    makeSockets(),
    [listener("web", { kind: "tcp", host: "localhost", port: 0 })],
    1,
  );
  expect(bound?.address).toMatchObject({ host: "127.0.0.1" });
});
