/**
 * Scarcity: no descriptors, no room on the disk, names that move, ten thousand routes. What cannot be had is refused
 * clearly, what goes on goes on, and all is well again afterwards.
 */
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ReloadAnswer } from "../../src/admin/status.ts";
import { eventually } from "../support/eventually.ts";
import { Origin, type OriginConnection, perRequest, response } from "../support/origin.ts";
import { RawClient } from "../support/raw-client.ts";
import { startWeir, type Weir, type WeirOptions } from "../support/weir.ts";
import { startEchoOrigin } from "./echo-origin.ts";
import { openFiles, usedMs } from "./kernel.ts";
import { Load, type LoadFailure } from "./load.ts";

const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function start(yaml: string, options: WeirOptions = {}): Promise<Weir> {
  const weir = await startWeir(yaml, options);
  stops.push(() => weir.stop());
  return weir;
}

const yamlFor = (endpoint: string, more = "") => `
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { to: app } ]
upstreams: { app: [ "${endpoint}" ] }
${more}
`;

const isLinux = process.platform === "linux";
/** A mount namespace of its own: what is mounted there nobody else sees. */
const mayMount = isLinux && Bun.spawnSync(["unshare", "-m", "true"]).exitCode === 0;
const inShell = (script: string) => ["sh", "-c", `${script}; exec "$@"`, "sh"];
const inNamespace = (script: string) => ["unshare", "-m", ...inShell(script)];

async function get(port: number): Promise<RawClient> {
  const client = await RawClient.connect(port);
  await client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  return client;
}

const FILES = 512;
const CLIENTS = 400;

test.skipIf(!isLinux)(
  "out of descriptors: the newest get 503, the others their answers, and nothing spins",
  async () => {
    const held: OriginConnection[] = [];
    let isHolding = true;
    const answer = response("ok");
    const origin = await Origin.start(
      perRequest((_request, connection) => {
        if (!isHolding) return answer;
        held.push(connection);
        return undefined;
      }),
    );
    stops.push(() => origin.stop());
    const weir = await start(yamlFor(origin.address), { within: inShell(`ulimit -n ${FILES}`) });
    const worker = (await weir.status()).workers[0]?.pid ?? 0;
    const clients: RawClient[] = [];
    for (let count = 0; count < CLIENTS; count++) clients.push(await get(weir.port()));
    const refused = () => clients.filter((client) => client.text.startsWith("HTTP/1.1 503 "));
    await eventually(() => refused().length + held.length === CLIENTS, 5000, "all to be held or refused");
    // the limit leaves room for a good part of them, on both sides
    expect(held.length).toBeGreaterThan(FILES / 4);
    const usedBefore = usedMs(worker);
    await Bun.sleep(1000);
    expect(usedMs(worker) - usedBefore).toBeLessThan(250);
    expect(openFiles(worker).length).toBeLessThan(FILES);

    isHolding = false;
    for (const connection of held) connection.write(answer);
    const answered = () => clients.filter((client) => client.text.startsWith("HTTP/1.1 200 "));
    await eventually(() => answered().length === held.length, 5000, "the others to be answered");
    for (const client of clients) client.close();
    await eventually(
      async () => (await weir.status()).listeners[0]?.connectionsActive === 0,
      5000,
      "the end",
    );
    const again = await Promise.all(Array.from({ length: 100 }, () => get(weir.port())));
    await eventually(
      () => again.every((client) => client.text.startsWith("HTTP/1.1 200 ")),
      5000,
      "recovery",
    );
    for (const client of again) client.close();
    expect((await weir.status()).workers[0]).toMatchObject({ pid: worker, restarts: 0 });
  },
);

test.skipIf(!mayMount)(
  "disk full under the access log: traffic goes on, lines are counted as dropped, then written again",
  async () => {
    const origin = startEchoOrigin();
    stops.push(() => origin.stop());
    const folder = mkdtempSync(join(tmpdir(), "weir-full-"));
    stops.push(async () => rmSync(folder, { recursive: true, force: true }));
    // long lines: what waits in memory before lines are dropped is soon full too
    const format = `{path} ${"x".repeat(8000)}`;
    const observe = `observe: { accessLog: { format: "${format}", to: "${folder}/access.log" } }`;
    const within = inNamespace(`mount -t tmpfs -o size=1m tmpfs ${folder}`);
    const weir = await start(yamlFor(`127.0.0.1:${origin.port}`, observe), { within });
    const failures: LoadFailure[] = [];
    const load = new Load({ port: weir.port(), ratePerSec: 500, lanes: 20, freshEvery: 20, failures });
    load.start();
    const dropped = async () =>
      Number(/^weir_access_log_dropped_total\S* (\d+)/m.exec(await weir.metrics())?.[1] ?? 0);
    await eventually(async () => (await dropped()) > 100, 10_000, "lines to be dropped");
    // the same file, seen through the process that has it mounted
    const seen = `/proc/${weir.pid}/root${folder}/access.log`;
    writeFileSync(seen, "");
    await eventually(() => statSync(seen).size > 0, 5000, "lines to be written again");
    const { answered, sent } = await load.stop();
    expect(failures).toEqual([]);
    expect(answered).toBe(sent);
    expect(weir.stderr()).toContain("access-log");
    expect((await weir.status()).workers[0]?.restarts).toBe(0);
  },
);

test.skipIf(!mayMount)("a name that moves is followed, and no request is lost on the way", async () => {
  const from = await Origin.start(perRequest(() => response("old home")));
  stops.push(() => from.stop());
  const folder = mkdtempSync(join(tmpdir(), "weir-hosts-"));
  stops.push(async () => rmSync(folder, { recursive: true, force: true }));
  const hosts = join(folder, "hosts");
  writeFileSync(hosts, "127.0.0.1 localhost\n127.0.0.1 moving.test\n");
  // another address; the port is part of the endpoint and stays
  const to = Bun.serve({
    port: from.port,
    hostname: "127.0.0.3",
    fetch: () => new Response("new home"),
  });
  stops.push(() => to.stop(true));
  const weir = await start(yamlFor(`moving.test:${from.port}`), {
    within: inNamespace(`mount --bind ${hosts} /etc/hosts`),
  });
  const url = `http://127.0.0.1:${weir.port()}/`;
  const ask = async () => {
    const answer = await fetch(url);
    return `${answer.status} ${await answer.text()}`;
  };
  expect(await ask()).toBe("200 old home");
  writeFileSync(hosts, "127.0.0.1 localhost\n127.0.0.3 moving.test\n");
  const answers = new Set<string>();
  const isFollowed = async () => {
    const answer = await ask();
    answers.add(answer);
    return answer === "200 new home";
  };
  await eventually(isFollowed, 15_000, "the name to be followed");
  // and for good: a pooled connection to the old address is not used again
  for (let count = 0; count < 10; count++) expect(await ask()).toBe("200 new home");
  expect([...answers].sort()).toEqual(["200 new home", "200 old home"]);
});

const ROUTES = 10_000;
const routes = (version: number) =>
  Array.from({ length: ROUTES }, (_, index) => `  - { match: { path: /t${version}/${index}/* }, to: app }`);

test("ten thousand routes are brought in under load without a lost request or a long stall", async () => {
  const origin = startEchoOrigin();
  stops.push(() => origin.stop());
  const weir = await start(yamlFor(`127.0.0.1:${origin.port}`));
  const failures: LoadFailure[] = [];
  const load = new Load({ port: weir.port(), ratePerSec: 200, lanes: 20, freshEvery: 10, failures });
  load.start();
  for (const version of [1, 2]) {
    const text = yamlFor(`127.0.0.1:${origin.port}`).replace(
      "routes: [ { to: app } ]",
      `routes:\n  - { to: app }\n${routes(version).join("\n")}`,
    );
    writeFileSync(
      join(weir.folder, "weir.yaml"),
      `${text}server: { workers: 1 }\nadmin: { bind: "127.0.0.1:0" }\n`,
    );
    const answer = await fetch(new URL("/api/v1/reload", weir.admin), { method: "POST" });
    expect(((await answer.json()) as ReloadAnswer).applied).toBe(true);
  }
  const { answered, sent, maxMs } = await load.stop();
  expect(failures).toEqual([]);
  expect(answered).toBe(sent);
  // 200 ms on a quiet machine; the tests run on busy ones
  expect(maxMs).toBeLessThan(1000);
});
