/**
 * Passive health at the real program: each way to fail that requests alone can tell, and what is none.
 */
import { expect, test } from "bun:test";
import { Origin, type OriginConnection, perRequest } from "../support/origin.ts";
import { startWeir, type Weir } from "../support/weir.ts";

const GOOD = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";
/** Enough for the window of three seconds to be judged. */
const LANES = 8;

type Answer = (connection: OriginConnection) => unknown;

/** One endpoint that is well and one that answers in its own way. */
async function withTwo(
  { passive, bad }: { passive: string; bad: Answer },
  run: (weir: Weir, badName: string) => Promise<void>,
): Promise<void> {
  const well = await Origin.start(perRequest(() => GOOD));
  const answer = perRequest((_request, connection) => void bad(connection));
  const other = await Origin.start(answer);
  const weir = await startWeir(`
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { to: app, timeouts: { response: 200ms } } ]
upstreams:
  app:
    endpoints: [ "127.0.0.1:${well.port}", "127.0.0.1:${other.port}" ]
    health: { passive: ${passive} }
`);
  try {
    await run(weir, `app 127.0.0.1:${other.port}`);
  } finally {
    await weir.stop();
    await well.stop();
    await other.stop();
  }
}

/** Asks until `isDone`, on several lanes. */
async function load(weir: Weir, isDone: () => boolean): Promise<void> {
  const lane = async () => {
    while (!isDone()) {
      const answer = fetch(`http://127.0.0.1:${weir.port()}/`).then((response) => response.text());
      await answer.catch(() => {}); // some of them are cut: that is what is tested
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

const FAULTS: readonly (readonly [what: string, bad: Answer, passive: string, why: string])[] = [
  [
    "resets before its answer",
    (connection) => connection.reset(),
    "{ failures: 3 }",
    "failed several requests in a row: the endpoint closed before its response head was complete",
  ],
  [
    "cuts its answers",
    (connection) => {
      connection.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbut");
      connection.end();
    },
    "{ failures: 3 }",
    "failed several requests in a row: the endpoint closed in the middle of the response body",
  ],
  [
    "does not answer",
    () => {},
    "{ failures: 3 }",
    "failed several requests in a row: no response head in timeouts.response",
  ],
  [
    "talks no HTTP",
    (connection) => connection.write("220 mail.example.com ESMTP\r\n\r\n"),
    "{ failures: 3 }",
    "failed several requests in a row: the response head is not HTTP",
  ],
  [
    "answers 500",
    (connection) => connection.write("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"),
    "{ failures: 0, errorRate: 30% }",
    "fails more requests than the other endpoints",
  ],
  [
    "is slow",
    (connection) => setTimeout(() => connection.write(GOOD), 60),
    "{ failures: 0, latency: 300% }",
    "is slower than the other endpoints",
  ],
];
for (const [what, bad, passive, why] of FAULTS) {
  test(`an endpoint that ${what} is ejected, and the reason says so`, async () => {
    await withTwo({ passive, bad }, async (weir, badName) => {
      const isEjected = () => weir.stderr().includes(`${badName} is ejected, was up: ${why}`);
      const deadlineMs = performance.now() + 12_000;
      await load(weir, () => isEjected() || performance.now() > deadlineMs);
      expect(weir.stderr()).toContain(`${badName} is ejected, was up: ${why}`);
    });
  }, 20_000);
}

let turns = 0;
const everyOther = () => turns++ % 2 === 0;

const NO_FAULTS: readonly (readonly [what: string, bad: Answer])[] = [
  ["answers 500", (connection) => connection.write("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n")],
  [
    "closes after each answer",
    (connection) => {
      connection.write(`HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\ngood`);
      connection.end();
    },
  ],
  ["fails every second time", (connection) => (everyOther() ? connection.reset() : connection.write(GOOD))],
];
for (const [what, bad] of NO_FAULTS) {
  test(`an endpoint that ${what} is not ejected by what is on without a word`, async () => {
    await withTwo({ passive: "{}", bad }, async (weir) => {
      let asked = 0;
      await load(weir, () => ++asked > 400);
      expect(asked).toBeGreaterThan(400);
      await weir.stop(); // all that it has to say is said
      expect(weir.stderr()).not.toContain("is ejected");
    });
  }, 20_000);
}
