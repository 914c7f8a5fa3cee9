/**
 * HTTP/2 conformance of the server: every rule of the tables, over cleartext with prior knowledge and over TLS.
 *
 * note   the rules are those that public conformance suites test, h2spec's among them, and some that matter to a
 *        proxy only
 */
import { afterAll, beforeAll, describe, test } from "bun:test";
import { type Blackhole, openBlackhole } from "../support/blackhole.ts";
import { testAuthority } from "../support/certificates.ts";
import { H2Peer, type H2Target } from "../support/h2-peer.ts";
import { Origin, perRequest, response } from "../support/origin.ts";
import { startWeir, type Weir } from "../support/weir.ts";
import { FRAMING } from "./framing.table.ts";
import { MESSAGES } from "./messages.table.ts";
import { BODY, type Rule } from "./rule.ts";
import { STREAMS } from "./streams.table.ts";

let origin: Origin;
let nowhere: Blackhole;
let weir: Weir;
let caPem = "";

beforeAll(async () => {
  const authority = await testAuthority();
  const { cert, key } = await authority.issue({ names: ["a.test"] });
  caPem = authority.caPem;
  origin = await Origin.start(
    perRequest((request) =>
      request.requestLine.startsWith("HEAD")
        ? `HTTP/1.1 200 OK\r\nContent-Length: ${BODY.length}\r\n\r\n`
        : response(BODY),
    ),
  );
  nowhere = await openBlackhole();
  const text = `
listeners:
  plain: { bind: "127.0.0.1:0", protocols: [h2] }
  tls:
    bind: "127.0.0.1:0"
    tls: { certificates: [ { cert: a.crt, key: a.key } ] }
routes:
  - { to: app }
  - { match: { path: /nowhere }, to: nowhere }
  - { match: { path: /at-once }, respond: { body: "${BODY}" } }
upstreams: { app: [ "${origin.address}" ], nowhere: [ "${nowhere.address}" ] }
`;
  weir = await startWeir(text, { files: { "a.crt": cert, "a.key": key } });
});

afterAll(async () => {
  await weir?.stop();
  await origin?.stop();
  nowhere?.close();
});

const TARGETS: Record<string, () => H2Target> = {
  h2c: () => ({ port: weir.port("plain") }),
  tls: () => ({ port: weir.port("tls"), tls: { ca: caPem, serverName: "a.test" } }),
};

async function holds(rule: Rule, target: H2Target): Promise<void> {
  const peer =
    rule.begins === false
      ? await H2Peer.open(target)
      : await H2Peer.connect(target, ...(rule.settings ?? []));
  try {
    await rule.act(peer);
    await rule.outcome(peer);
  } finally {
    peer.close();
  }
}

for (const [name, target] of Object.entries(TARGETS)) {
  describe(name, () => {
    for (const rule of [...FRAMING, ...STREAMS, ...MESSAGES]) {
      test(`${rule.section}: ${rule.rule}`, () => holds(rule, target()), 15_000);
    }
  });
}
