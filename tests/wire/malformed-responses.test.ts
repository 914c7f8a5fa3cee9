/**
 * Malformed responses, each from a scripted endpoint through the real program.
 *
 * why    a response that ends elsewhere than it says becomes the beginning of the next client's answer
 * note   after each row a probe asks for an answer of its own, on the same client connection where that lives on
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { eventually } from "../support/eventually.ts";
import { Origin, type OriginConnection, perRequest, response } from "../support/origin.ts";
import { parseResponse, RawClient, type RawResponse } from "../support/raw-client.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { MALFORMED_RESPONSES, type ResponseOutcome, type ResponseRow } from "./malformed-responses.table.ts";

let weir: Weir;
let origin: Origin;
let asked: OriginConnection | undefined;

function play(row: ResponseRow, connection: OriginConnection): undefined {
  asked = connection;
  if (row.bytes !== "") connection.write(row.bytes);
  if (row.next === "end") connection.end();
  // a reset may overtake bytes that the proxy has not read yet, so it follows after a moment of rest
  else if (row.next === "reset") setTimeout(() => connection.reset(), row.bytes === "" ? 0 : 20);
  return undefined;
}

beforeAll(async () => {
  origin = await Origin.start(
    perRequest((request, connection) => {
      const [, kind = "", index = ""] = /^\w+ \/(row|probe)\/(\d+) /.exec(request.requestLine) ?? [];
      if (kind === "probe") return response(`clean ${index}`);
      return play(MALFORMED_RESPONSES[Number(index)] as ResponseRow, connection);
    }),
  );
  weir = await startWeir(`
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { to: app } ]
upstreams: { app: [ "${origin.address}" ] }
`);
});

afterAll(async () => {
  await weir?.stop();
  await origin?.stop();
});

async function probe(client: RawClient, index: number): Promise<void> {
  await client.send(`GET /probe/${index} HTTP/1.1\r\nHost: a.test\r\n\r\n`);
  const answer = await client.response();
  expect([answer.status, answer.body]).toEqual([200, `clean ${index}`]);
}

async function probeAnew(index: number): Promise<void> {
  const client = await RawClient.connect(weir.port());
  try {
    await probe(client, index);
  } finally {
    client.close();
  }
}

/** Drops 1xx responses before the final one. */
async function finalResponse(client: RawClient, method: string): Promise<[RawResponse, RawResponse[]]> {
  const interims: RawResponse[] = [];
  for (;;) {
    const next = await client.response(method);
    if (next.status >= 200) return [next, interims];
    interims.push(next);
  }
}

async function expectFailed(client: RawClient, row: ResponseRow, status: number): Promise<void> {
  const [answer] = await finalResponse(client, row.method ?? "GET");
  expect(answer.status).toBe(status);
  expect(answer.field("x-request-id")).toMatch(/^[0-9a-f]{32}$/);
  expect(answer.field("connection")).toBeUndefined();
}

async function expectPassed(
  client: RawClient,
  row: ResponseRow,
  wanted: ResponseOutcome & { kind: "passed" },
): Promise<void> {
  const [answer, interims] = await finalResponse(client, row.method ?? "GET");
  expect([answer.status, answer.body]).toEqual([wanted.status, wanted.body]);
  for (const line of wanted.has ?? []) {
    expect(answer.fields.map(([name, value]) => `${name}: ${value}`)).toContain(line);
  }
  for (const name of wanted.lacks ?? []) expect(answer.field(name)).toBeUndefined();
  expect(answer.trailers.filter(([name]) => !name.startsWith("x-"))).toEqual([]);
  expect(interims.map(({ status }) => status)).toEqual([...(wanted.interims ?? [])]);
  const names = interims.flatMap(({ fields }) => fields.map(([name]) => name));
  expect(names.filter((name) => name !== "link")).toEqual([]);
}

/** The head is there, the body is not, and the client can tell. */
async function expectCut(client: RawClient): Promise<void> {
  const text = await client.untilClose();
  expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(text).not.toContain("poison");
  expect(parseResponse(text, "GET", true)).toBeUndefined();
}

const isGone = (connection: OriginConnection | undefined) =>
  connection?.isEnded === true || connection?.isClosed === true;

test("there are at least 50 rows, each with a name of its own", () => {
  const names = MALFORMED_RESPONSES.map((row) => row.name);
  expect(new Set(names).size).toBe(names.length);
  expect(names.length).toBeGreaterThanOrEqual(50);
});

for (const [index, row] of MALFORMED_RESPONSES.entries()) {
  test(`${row.outcome.kind}: ${row.name}`, async () => {
    const client = await RawClient.connect(weir.port());
    try {
      const { outcome } = row;
      await client.send(
        `${row.method ?? "GET"} /row/${index} HTTP/1.1\r\nHost: a.test\r\n${row.ask ?? ""}\r\n`,
      );
      if (outcome.kind === "failed") await expectFailed(client, row, outcome.status);
      else if (outcome.kind === "passed") await expectPassed(client, row, outcome);
      else await expectCut(client);
      if (row.late !== undefined) asked?.write(row.late);
      if (row.retires)
        await eventually(() => isGone(asked), 2000, "the endpoint's connection to be given up");
      else expect(isGone(asked)).toBe(false);
      if (outcome.kind !== "cut") await probe(client, index);
      await probeAnew(index);
    } finally {
      client.close();
    }
  });
}

test("an HTTP/1.0 client sees by a reset that a body without length is not whole", async () => {
  const index = MALFORMED_RESPONSES.findIndex(({ name }) => name.includes("reset in its middle"));
  const client = await RawClient.connect(weir.port());
  await client.send(`GET /row/${index} HTTP/1.0\r\nHost: a.test\r\n\r\n`);
  await client.untilClose();
  await eventually(() => client.isClosed, 2000, "the reset");
  expect(client.errorCode).toBe("ECONNRESET");
});
