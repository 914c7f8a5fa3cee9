/**
 * Runtime: its resolver remembers an answer for as long as the records say, SRV records too.
 *
 * why    it does not tell the TTL of SRV records: we ask as often as we like, and this keeps the name server from
 *        hearing of it
 */
import { expect, test } from "bun:test";
import { NameLookup } from "../../src/transport/dns.ts";
import { eventually } from "../support/eventually.ts";
import { startNameServer } from "../support/name-server.ts";

test("a name server is asked for SRV records again when their TTL is over, and not before", async () => {
  const server = await startNameServer();
  const name = "_http._tcp.cached.test";
  const services = (port: number) => ({ ttlSec: 2, services: [{ target: "a.test", port }] });
  const names = new NameLookup({ servers: [server.address] });
  const port = async () => {
    const got = await names.services(name);
    return got.kind === "answer" ? got.services[0]?.port : got;
  };
  try {
    server.names.set(name, services(1));
    expect(await port()).toBe(1);
    server.names.set(name, services(2));
    for (let turn = 0; turn < 20; turn++) expect(await port()).toBe(1);
    expect(server.asked()).toBe(1);
    await eventually(async () => (await port()) === 2, 6000, "the records of the next TTL");
    expect(server.asked()).toBe(2);
  } finally {
    server.stop();
  }
}, 15_000);
