/**
 * Handshakes: TLS connections that are made and closed, one after the other on each of several lanes.
 *
 * why    run by Node, whose TLS is another one than that of any subject here
 * in     `node handshakes.mjs PORT COUNT full|resumed NAMES`: server names host-0 to host-(NAMES - 1) in turn
 * out    `{"count":…,"resumed":…,"seconds":…}`; exit code 1 when a handshake fails
 */
import { connect } from "node:tls";

const [port = "", count = "", kind = "", names = "1"] = process.argv.slice(2);
const LANES = 16;
const TICKET_MS = 2000;

/** @param {string} why */
function fail(why) {
  console.error(`handshakes: ${why}`);
  process.exit(1);
}

/**
 * @param {number} index
 * @param {Buffer | undefined} session
 */
function options(index, session) {
  return {
    host: "127.0.0.1",
    port: Number(port),
    servername: `host-${index % Number(names)}.bench.test`,
    rejectUnauthorized: false,
    ...(session === undefined ? {} : { session }),
  };
}

/** A ticket to resume with: it comes after the handshake, with some servers not before they have something to say. */
function ticket() {
  return new Promise((resolve) => {
    const socket = connect(options(0, undefined));
    const late = setTimeout(() => fail("no session ticket came"), TICKET_MS);
    socket.once("session", (session) => {
      clearTimeout(late);
      socket.destroy();
      resolve(session);
    });
    socket.on("error", (error) => fail(String(error)));
    socket.write("GET /small HTTP/1.1\r\nHost: bench.test\r\n\r\n");
    socket.resume();
  });
}

let next = 0;
let resumed = 0;

/** @param {Buffer | undefined} session */
function lane(session) {
  return new Promise((done) => {
    const one = () => {
      if (next >= Number(count)) {
        done(undefined);
        return;
      }
      const socket = connect(options(next++, session));
      socket.once("secureConnect", () => {
        if (socket.isSessionReused()) resumed++;
        socket.end();
      });
      socket.on("error", (error) => fail(String(error)));
      socket.once("close", one);
      socket.resume();
    };
    one();
  });
}

const session = kind === "resumed" ? await ticket() : undefined;
const startedAt = performance.now();
await Promise.all(Array.from({ length: LANES }, () => lane(session)));
const seconds = (performance.now() - startedAt) / 1000;
if (kind === "resumed" && resumed < next) fail(`only ${resumed} of ${next} handshakes were resumed`);
console.log(JSON.stringify({ count: next, resumed, seconds }));
process.exit(0);
