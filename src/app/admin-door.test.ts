import { expect, test } from "bun:test";
import type { AdminHooks } from "../admin/status.ts";
import type { AdminConfig } from "../config/config.ts";
import { AdminDoor, type StartAdmin } from "./admin-door.ts";

const hooks = {} as AdminHooks;
const at = (port: number, isExplicit = true): AdminConfig => ({
  address: { kind: "tcp", host: "127.0.0.1", port },
  isExplicit,
  token: undefined,
});

function makeDoor(options: { isTakeover?: boolean; inheritedPort?: number } = {}) {
  const lines: string[] = [];
  const events: string[] = [];
  let fail: (error: unknown) => void = () => {};
  const start: StartAdmin = ({ address, onDefect }) => {
    fail = onDefect;
    const port = address.kind === "tcp" ? address.port : 0;
    events.push(`start ${port}`);
    return Promise.resolve({ port, stop: async () => void events.push(`stop ${port}`) });
  };
  const door = new AdminDoor({
    start,
    hooks,
    log: (level, area, text) => lines.push(`${level} ${area} ${text}`),
    isTakeover: options.isTakeover ?? false,
    inheritedPort: options.inheritedPort,
  });
  return { door, lines, events, fail: (error: unknown) => fail(error) };
}

function occupied(): { port: number; stop(): void } {
  return Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
}

test("a written address in use is a problem at admin.bind", async () => {
  const other = occupied();
  const { door, events } = makeDoor();
  const problem = await door.open(at(other.port), "weir.yaml");
  other.stop();
  expect(problem).toMatchObject({ path: "admin.bind", severity: "error" });
  expect(problem?.message).toContain("address already in use");
  expect(events).toEqual([]);
});

test("a default address in use is a warning, and Weir goes on without", async () => {
  const other = occupied();
  const { door, lines } = makeDoor();
  expect(await door.open(at(other.port, false), "weir.yaml")).toBeUndefined();
  other.stop();
  expect(lines[0]).toMatch(/^warn control no admin listener, going on without: cannot bind/);
});

test("a new address is bound before the old one is let go, an unchanged one is left alone", async () => {
  const { door, events } = makeDoor();
  const free = occupied();
  const { port } = free;
  free.stop();
  await door.open(at(port), "weir.yaml");
  await door.open(at(port), "weir.yaml");
  await door.open(at(0), "weir.yaml");
  await door.open(undefined, "weir.yaml");
  expect(events).toEqual([`start ${port}`, "start 0", `stop ${port}`, "stop 0"]);
});

test("after an upgrade the address of the generation before is taken, also one given by the kernel", async () => {
  const before = occupied();
  const { door, events } = makeDoor({ isTakeover: true, inheritedPort: before.port });
  expect(await door.open(at(0), "weir.yaml")).toBeUndefined();
  before.stop();
  expect(events).toEqual([`start ${before.port}`]);
});

test("a defect in the admin API is in the log, since its client is told no more than that", async () => {
  const { door, lines, fail } = makeDoor();
  await door.open(at(0), "weir.yaml");
  fail(new Error("a bug"));
  expect(lines.at(-1)).toMatch(/^error admin Error: a bug/);
});
