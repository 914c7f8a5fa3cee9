import { afterEach, beforeAll, expect, test } from "bun:test";
import { createServer as createPlainServer, type Server } from "node:net";
import { createServer, type TLSSocket, type TlsOptions } from "node:tls";
import { type Issued, type TestAuthority, testAuthority } from "../../tests/support/certificates.ts";
import { eventually } from "../../tests/support/eventually.ts";
import { freePort } from "../../tests/support/ports.ts";
import { dial } from "./dial.ts";
import { alertText, makeTlsContext, type Offer, TlsDialer } from "./dial-tls.ts";
import type { DialedSession } from "./dialed-session.ts";
import type { RawSocket } from "./wire.ts";

class Noted implements DialedSession {
  readonly events: string[] = [];
  readonly preface: Buffer | undefined;
  detail = "";
  socket: RawSocket | undefined;
  text = "";
  constructor(preface?: string) {
    this.preface = preface === undefined ? undefined : Buffer.from(preface);
  }
  onOpen(socket: RawSocket, protocol: string): void {
    this.socket = socket;
    this.events.push(`open ${protocol}`);
    socket.write("hello", "latin1");
  }
  onRefused(detail: string, code: string): void {
    this.detail = detail;
    this.events.push(code);
  }
  onAlert(detail: string): void {
    this.detail = detail;
    this.events.push("alert");
  }
  onData(bytes: Buffer): void {
    this.text += bytes.toString("latin1");
  }
  onDrain = () => undefined;
  onEnd = () => undefined;
  onClose = () => void this.events.push("close");
  onDefect = (defect: unknown) => void this.events.push(String(defect));
}

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

let ca: TestAuthority;
let stranger: TestAuthority;
let good: Issued;
const pairs: Record<string, Issued> = {};
beforeAll(async () => {
  ca = await testAuthority();
  stranger = await testAuthority("Somebody Else");
  good = await ca.issue({ names: ["good.test", "*.wild.test", "127.0.0.1"] });
  pairs["good"] = good;
  pairs["of a stranger"] = await stranger.issue({ names: ["good.test"] });
  pairs["expired"] = await ca.issue({ names: ["good.test"], days: -3 });
  pairs["without the IP"] = await ca.issue({ names: ["good.test"] });
  pairs["of a client"] = await ca.issue({ names: ["good.test"], client: true });
});

/** Echoes what it gets behind what it saw of the handshake. */
async function server(options: TlsOptions, seen: string[] = [], host = "127.0.0.1"): Promise<number> {
  const sockets = new Set<TLSSocket>();
  const started = createServer(options, (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("data", (bytes: Buffer) => {
      seen.push(bytes.toString("latin1"));
      socket.write(`${socket.servername || "no name"} ${bytes.toString("latin1")}`);
    });
  });
  started.on("tlsClientError", () => undefined);
  ends.push(() => {
    for (const socket of sockets) socket.destroy();
    started.close();
  });
  return await listening(started, host);
}

async function listening(started: Server, host = "127.0.0.1"): Promise<number> {
  await new Promise<void>((resolve) => started.listen(0, host, resolve));
  const bound = started.address();
  return bound !== null && typeof bound === "object" ? bound.port : 0;
}

interface Wish {
  readonly serverName?: string;
  readonly verify?: boolean;
  readonly ca?: string | undefined;
  readonly client?: Issued;
}

function dialer({ serverName = "good.test", verify = true, client, ...wish }: Wish = {}): TlsDialer {
  const context = makeTlsContext({
    ca: "ca" in wish ? wish.ca : ca.caPem,
    cert: client?.cert,
    key: client?.key,
  });
  return new TlsDialer({ context, serverName, verify });
}

function dialTo(port: number, tls: TlsDialer, offer: Offer = "h1", session = new Noted()): Noted {
  dial({ ip: "127.0.0.1", port }, session, { tls, offer });
  ends.push(() => session.socket?.terminate());
  return session;
}

async function outcome(session: Noted): Promise<string> {
  await eventually(() => session.text !== "" || session.events.some((event) => !event.startsWith("open")));
  return session.text || session.events.join(" ");
}

const TRUSTED: readonly [what: string, wish: Wish, answer: string][] = [
  ["the name asked for", {}, "good.test hello"],
  ["a name under a wildcard", { serverName: "a.wild.test" }, "a.wild.test hello"],
  ["the IP address that is dialled, without naming it (RFC 6066 §3)", { serverName: "" }, "no name hello"],
];
for (const [what, wish, answer] of TRUSTED) {
  test(`a certificate for ${what} is trusted`, async () => {
    const port = await server(good);
    expect(await outcome(dialTo(port, dialer(wish)))).toBe(answer);
  });
}

test("an IPv6 address is verified as an address too", async () => {
  const six = await ca.issue({ names: ["::1"] });
  for (const [pair, wanted] of [
    [six, "no name hello"],
    [good, "tls_untrusted"],
  ] as const) {
    const port = await server(pair, [], "::1");
    const session = new Noted();
    dial({ ip: "::1", port }, session, { tls: dialer({ serverName: "" }), offer: "h1" });
    ends.push(() => session.socket?.terminate());
    expect(await outcome(session)).toBe(wanted);
  }
});

const UNTRUSTED: readonly [what: string, pair: string, wish: Wish, reason: string][] = [
  ["for another name", "good", { serverName: "bad.test" }, "ERR_TLS_CERT_ALTNAME_INVALID"],
  ["for a name, when an IP is dialled", "without the IP", { serverName: "" }, "ERR_TLS_CERT_ALTNAME_INVALID"],
  ["of another authority", "of a stranger", {}, "UNABLE_TO_"],
  ["of no authority that the system knows", "good", { ca: undefined }, "UNABLE_TO_"],
  ["that has expired", "expired", {}, "CERT_HAS_EXPIRED"],
  ["made for clients", "of a client", {}, "INVALID_PURPOSE"],
];
for (const [what, pair, wish, reason] of UNTRUSTED) {
  test(`a certificate ${what} is refused with its reason, and not one byte is sent`, async () => {
    const seen: string[] = [];
    const port = await server(pairs[pair] as Issued, seen);
    const session = dialTo(port, dialer(wish));
    await eventually(() => session.events.length > 0);
    expect([session.events, seen]).toEqual([["tls_untrusted"], []]);
    expect(session.detail).toContain(reason);
  });

  test(`a certificate ${what} is taken when nothing is verified`, async () => {
    const port = await server(pairs[pair] as Issued);
    expect(await outcome(dialTo(port, dialer({ ...wish, verify: false })))).toContain("hello");
  });
}

test("an endpoint that speaks no TLS fails the handshake, verified or not, and gets nothing in plain text", async () => {
  let got = "";
  const plain = createPlainServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (bytes: Buffer) => {
      got += bytes.toString("latin1");
      socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
  });
  ends.push(() => plain.close());
  const port = await listening(plain);
  for (const verify of [true, false]) {
    const session = dialTo(port, dialer({ verify }));
    expect(await outcome(session)).toBe("tls_failed");
    expect(session.detail).toContain("does the endpoint speak TLS?");
  }
  expect(got).not.toContain("hello");
});

for (const how of ["end", "resetAndDestroy"] as const) {
  test(`an endpoint that hangs up during the handshake (${how}) fails it, verified or not`, async () => {
    const plain = createPlainServer((socket) => {
      socket.on("error", () => undefined);
      socket.on("data", () => socket[how]());
    });
    ends.push(() => plain.close());
    const port = await listening(plain);
    for (const verify of [true, false]) {
      expect(await outcome(dialTo(port, dialer({ verify })))).toBe("tls_failed");
    }
  });
}

test("a handshake that nobody waits for any more is cut, and its session told once", async () => {
  let isCut = false;
  const silent = createPlainServer((socket) => {
    socket.on("error", () => undefined);
    socket.on("close", () => {
      isCut = true;
    });
    socket.resume();
  });
  ends.push(() => silent.close());
  const port = await listening(silent);
  const session = new Noted();
  const secured = dial({ ip: "127.0.0.1", port }, session, { tls: dialer(), offer: "h1" });
  await eventually(async () => (await connections(silent)) === 1);
  secured?.abandon();
  await eventually(() => isCut && session.events.length > 0);
  expect(session.events).toEqual(["tls_failed"]);
});

test("a connection that is given up before it is made is closed when it comes", async () => {
  const seen: string[] = [];
  const port = await server(good, seen);
  const session = new Noted();
  dial({ ip: "127.0.0.1", port }, session, { tls: dialer(), offer: "h1" })?.abandon();
  await eventually(() => session.events.length > 0);
  expect([session.events, seen]).toEqual([["tls_failed"], []]);
});

function connections(of: Server): Promise<number> {
  return new Promise((resolve) => of.getConnections((_error, count) => resolve(count)));
}

test("a refused connection is no TLS failure", async () => {
  expect(await outcome(dialTo(await freePort(), dialer()))).toBe("connect_refused");
});

const ALPN: readonly [server: string[] | undefined, offer: Offer, outcome: string][] = [
  [["h2", "http/1.1"], "both", "open h2"],
  [["http/1.1"], "both", "open http/1.1"],
  [undefined, "both", "open "],
  [["h2", "http/1.1"], "h1", "open http/1.1"],
  [["h2"], "h2", "open h2"],
  [["http/1.1"], "h2", "tls_no_h2"],
  [undefined, "h2", "tls_no_h2"],
];
for (const [protocols, offer, wanted] of ALPN) {
  test(`an endpoint with ${protocols?.join(" and ") ?? "no ALPN"} that is offered ${offer}: ${wanted}`, async () => {
    const port = await server({ ...good, ...(protocols && { ALPNProtocols: protocols }) });
    const session = dialTo(port, dialer(), offer);
    await eventually(() => session.events.length > 0);
    expect(session.events[0]).toBe(wanted);
  });
}

test("a client certificate is shown when it is asked for", async () => {
  const client = await ca.issue({ names: ["weir"], client: true });
  const port = await server({ ...good, ca: ca.caPem, requestCert: true, rejectUnauthorized: true });
  expect(await outcome(dialTo(port, dialer({ client })))).toBe("good.test hello");
  expect(await outcome(dialTo(port, dialer()))).not.toContain("hello");
});

test("a header that goes before TLS arrives first and in plain text, and the certificate is verified all the same", async () => {
  const seen: string[] = [];
  const context = makeTlsContext({ ca: undefined, cert: good.cert, key: good.key });
  const listener = Bun.listen<{ isSecured: boolean }>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(socket) {
        socket.data = { isSecured: false };
      },
      data(socket, bytes) {
        if (socket.data.isSecured) return;
        socket.data.isSecured = true;
        const end = bytes.indexOf("\n") + 1;
        seen.push(bytes.subarray(0, end).toString("latin1"));
        const upgrade = {
          isServer: true,
          initialData: bytes.subarray(end),
          data: { isSecured: true },
          tls: { secureContext: context.native },
          socket: {
            data(secured: { write(text: string): number }, text: Buffer) {
              secured.write(`echo ${text.toString("latin1")}`);
            },
          },
        };
        socket.upgradeTLS(upgrade as unknown as Parameters<typeof socket.upgradeTLS>[0]);
      },
    },
  });
  ends.push(() => listener.stop(true));
  const trusted = dialTo(listener.port, dialer(), "h1", new Noted("PROXY UNKNOWN\r\n"));
  expect(await outcome(trusted)).toBe("echo hello");
  const untrusted = dialTo(
    listener.port,
    dialer({ serverName: "bad.test" }),
    "h1",
    new Noted("PROXY UNKNOWN\r\n"),
  );
  expect(await outcome(untrusted)).toBe("tls_untrusted");
  expect(seen).toEqual(["PROXY UNKNOWN\r\n", "PROXY UNKNOWN\r\n"]);
});

test("tickets are kept up to a bound, the newest is used first, and each once", () => {
  const tls = dialer();
  for (let number = 0; number < 20; number++) tls.keepTicket(Buffer.from([number]));
  const taken: number[] = [];
  for (let ticket = tls.takeTicket(); ticket !== undefined; ticket = tls.takeTicket())
    taken.push(ticket[0] as number);
  expect(taken).toEqual([19, 18, 17, 16, 15, 14, 13, 12]);
});

test("texts that are no certificates are refused before any connection", async () => {
  const other = await ca.issue();
  expect(() => makeTlsContext({ ca: "no PEM", cert: undefined, key: undefined })).toThrow();
  expect(() => makeTlsContext({ ca: undefined, cert: good.cert, key: other.key })).toThrow();
});

test("the reason of an alert is told without its surroundings", () => {
  expect(alertText("error:1000045c:SSL routines:OPENSSL_internal:TLSV1_ALERT_CERTIFICATE_REQUIRED")).toBe(
    "TLSV1_ALERT_CERTIFICATE_REQUIRED",
  );
});
