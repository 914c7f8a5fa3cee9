/**
 * Malformed requests, each at the real program in front of an endpoint that records what it gets.
 *
 * why    smuggling is a disagreement between two parsers, so what counts is what the endpoint sees
 * note   after each row a probe goes through on another connection: whatever the row could have sent to the
 *        endpoint was sent before it
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { eventually } from "../support/eventually.ts";
import { Origin, type OriginConnection, response } from "../support/origin.ts";
import { RawClient } from "../support/raw-client.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import {
  HEAD_BYTES,
  HEADERS,
  MALFORMED_REQUESTS,
  type Outcome,
  type Passed,
  type RequestRow,
} from "./malformed-requests.table.ts";
import { type StrictRequest, strictRequests } from "./strict-requests.ts";

const PROBE = "GET /probe HTTP/1.1\r\nHost: probe.test\r\n\r\n";

let weir: Weir;
let origin: Origin;

/** Answers every whole request; a request that breaks the strict reading gets nothing, and fails its row. */
function record(connection: OriginConnection): void {
  const { requests } = strictRequests(connection.received);
  for (; connection.requests < requests.length; connection.requests++) connection.write(response("seen"));
}

beforeAll(async () => {
  origin = await Origin.start(record);
  weir = await startWeir(`
listeners:
  web:
    bind: "127.0.0.1:0"
    limits: { requestHead: ${HEAD_BYTES}, headers: ${HEADERS} }
routes: [ { to: app } ]
upstreams: { app: [ "${origin.address}" ] }
`);
});

afterAll(async () => {
  await weir?.stop();
  await origin?.stop();
});

/** Sends the probe and waits for its answer. */
async function probe(client: RawClient): Promise<void> {
  await client.send(PROBE);
  const answer = await client.response();
  expect([answer.status, answer.body]).toEqual([200, "seen"]);
}

/** What the endpoint got since `before`, on all connections: whole requests but probes, and loose bytes. */
function since(before: readonly number[]): { requests: StrictRequest[]; loose: OriginConnection[] } {
  const requests: StrictRequest[] = [];
  const loose: OriginConnection[] = [];
  for (const connection of origin.connections) {
    const received = strictRequests(connection.received.slice(before[connection.index] ?? 0));
    requests.push(...received.requests.filter(({ line }) => line !== "GET /probe"));
    if (received.rest !== "") loose.push(connection);
  }
  return { requests, loose };
}

async function expectRefused(client: RawClient, outcome: Outcome & { kind: "refused" }): Promise<void> {
  const answer = await client.response();
  expect(answer.status).toBe(outcome.status);
  expect(answer.field("connection")).toBe("close");
  expect(await client.untilClose()).toBe(answer.raw);
}

async function expectAnswered(client: RawClient, status: number): Promise<void> {
  const answer = await client.response();
  expect(answer.status).toBe(status);
  expect(answer.field("connection")).toBeUndefined();
  await probe(client);
}

function expectSeen(seen: StrictRequest | undefined, wanted: Passed): void {
  if (seen === undefined) throw new Error(`the endpoint did not get ${wanted.line}`);
  expect(seen.line).toBe(wanted.line);
  expect(seen.body).toBe(wanted.body ?? "");
  for (const line of wanted.has ?? []) expect(seen.fields).toContain(line);
  for (const name of wanted.lacks ?? []) expect(seen.field(name)).toBeUndefined();
  expect(seen.trailers.filter((line) => !line.startsWith("X-"))).toEqual([]);
}

async function expectPassed(client: RawClient, count: number): Promise<void> {
  for (let index = 0; index < count; index++) expect((await client.response()).status).toBe(200);
}

async function play(client: RawClient, { bytes, outcome }: RequestRow): Promise<void> {
  await client.send(bytes);
  if (outcome.kind === "refused") await expectRefused(client, outcome);
  else if (outcome.kind === "answered") await expectAnswered(client, outcome.status);
  else await expectPassed(client, outcome.requests.length);
}

function isHarmless(connection: OriginConnection, outcome: Outcome): boolean {
  return outcome.kind === "refused" && outcome.isBegun && connection.isClosed;
}

test("there are at least 150 rows, each with a name of its own", () => {
  const names = MALFORMED_REQUESTS.map((row) => row.name);
  expect(new Set(names).size).toBe(names.length);
  expect(names.length).toBeGreaterThanOrEqual(150);
});

for (const row of MALFORMED_REQUESTS) {
  const verb = row.outcome.kind === "passed" ? "passed" : `${row.outcome.kind} with ${row.outcome.status}`;
  test(`${verb}: ${row.name}`, async () => {
    const before = origin.received.map((text) => text.length);
    const client = await RawClient.connect(weir.port());
    const prober = await RawClient.connect(weir.port());
    try {
      await play(client, row);
      await probe(prober);
    } finally {
      client.close();
      prober.close();
    }
    const { requests, loose } = since(before);
    const wanted = row.outcome.kind === "passed" ? row.outcome.requests : [];
    expect(requests.map(({ line }) => line)).toEqual(wanted.map(({ line }) => line));
    for (const [index, passed] of wanted.entries()) expectSeen(requests[index], passed);
    for (const connection of loose) {
      await eventually(() => isHarmless(connection, row.outcome), 2000, "the begun request to be cut off");
    }
  });
}
