import { afterAll, expect, test } from "bun:test";
import { createSocket } from "node:dgram";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addressesInHosts, NameLookup } from "./dns.ts";

const folder = mkdtempSync(join(tmpdir(), "weir-dns-"));
const hostsFile = join(folder, "hosts");
writeFileSync(
  hostsFile,
  "127.0.0.1 localhost\n10.1.1.1 db.internal DB2 # primary\n# 10.9.9.9 gone\n10.1.1.2 db.internal\n",
);

/** A name server with A records only; RFC 1035 §4.1. */
const RECORDS: Record<string, readonly [ip: string, ttlSeconds: number][]> = {
  "app.test": [
    ["10.0.0.1", 60],
    ["10.0.0.2", 7],
  ],
};
const server = createSocket("udp4");
server.on("message", (query, { address, port }) => {
  const labels: string[] = [];
  let at = 12;
  while ((query[at] ?? 0) > 0) {
    const size = query[at] ?? 0;
    labels.push(query.toString("latin1", at + 1, at + 1 + size));
    at += size + 1;
  }
  const isA = query.readUInt16BE(at + 1) === 1;
  const known = RECORDS[labels.join(".").toLowerCase()];
  const answers = isA ? (known ?? []) : [];
  const head = Buffer.from(query.subarray(0, at + 5));
  head.writeUInt16BE(known === undefined ? 0x8183 : 0x8180, 2);
  head.writeUInt16BE(answers.length, 6);
  head.writeUInt16BE(0, 10);
  const records = answers.map(([ip, ttl]) => {
    const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, ttl, 0, 4, ...ip.split(".").map(Number)]);
    return record;
  });
  server.send(Buffer.concat([head, ...records]), port, address);
});
await new Promise<void>((resolve) => server.bind(0, "127.0.0.1", resolve));
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

const lookup = new NameLookup({ hostsFile, servers: [`127.0.0.1:${server.address().port}`] });

test("records come with the smallest of their TTLs (RFC 1035 §3.2.1)", async () => {
  const got = await lookup.lookup("app.test");
  expect(got).toMatchObject({ kind: "answer", ttlMs: 7000 });
  expect(got.kind === "answer" && [...got.addresses].sort()).toEqual(["10.0.0.1", "10.0.0.2"]);
});

test("the hosts file comes first, with all of its lines, by any case and with a closing dot", async () => {
  for (const name of ["db.internal", "DB.Internal", "db.internal."]) {
    expect(await lookup.lookup(name)).toMatchObject({ kind: "answer", addresses: ["10.1.1.1", "10.1.1.2"] });
  }
});

test("localhost and names below it are this machine, whatever a name server says (RFC 6761 §6.3)", async () => {
  expect(await lookup.lookup("localhost")).toMatchObject({ addresses: ["127.0.0.1"] });
  expect(await lookup.lookup("app.localhost")).toMatchObject({ addresses: ["127.0.0.1", "::1"] });
});

test("an IP literal is its own answer, for ever", async () => {
  expect(await lookup.lookup("::1")).toEqual({ kind: "answer", addresses: ["::1"], ttlMs: Infinity });
});

test("a name that does not exist is a failure with a reason, not an empty answer", async () => {
  const got = await lookup.lookup("nowhere.invalid");
  expect(got.kind).toBe("failure");
  expect(got.kind === "failure" && got.text).not.toBe("");
});

const LINES: readonly [text: string, name: string, found: readonly string[]][] = [
  ["10.0.0.1 a b c", "b", ["10.0.0.1"]],
  ["10.0.0.1\ta\n::1 a", "a", ["10.0.0.1", "::1"]],
  ["#10.0.0.1 a", "a", []],
  ["10.0.0.1 b #a", "a", []],
  ["nonsense a", "a", []],
  ["10.0.0.1 ab", "a", []],
  ["", "a", []],
];
for (const [text, name, found] of LINES) {
  test(`hosts(5): ${JSON.stringify(text)} has ${found.length} of ${name}`, () => {
    expect(addressesInHosts(text, name)).toEqual(found);
  });
}
