/** TLS on listeners, seen from clients of the program. */
import { afterEach, expect, test } from "bun:test";
import { type AddressInfo, connect, createServer } from "node:net";
import { eventually } from "../support/eventually.ts";
import { hasProc, openFiles } from "../support/proc.ts";
import { RawClient } from "../support/raw-client.ts";
import { Stage } from "../support/stage.ts";
import { needs } from "../support/tools.ts";
import type { Weir } from "../support/weir.ts";
import { metric } from "../support/weir-metrics.ts";
import { certificateFiles, shownBy, TlsClient, tlsListener } from "./https.ts";

const stage = new Stage();
afterEach(() => stage.clear());

const FILES = await certificateFiles({
  a: { names: ["a.test", "www.a.test"] },
  wild: { names: ["*.b.test"] },
  rsa: { names: ["a.test"], keyType: "rsa", subject: "CN=rsa" },
});

test("the server name chooses the certificate: exact, wildcard, and the first for all others", async () => {
  const weir = await stage.weir(tlsListener("", ["a", "wild"]), { files: FILES });
  const rows = ["a.test", "WWW.A.TEST", "x.b.test", "b.test", "x.y.b.test", "nobody.test", ""];
  const shown = await Promise.all(rows.map((servername) => shownBy(weir.port(), { servername })));
  expect(shown).toEqual(["a.test", "a.test", "*.b.test", "a.test", "a.test", "a.test", "a.test"]);
});

test("HTTP/1.1 goes over TLS as it goes without: many requests, and a client that closes its side", async () => {
  const weir = await stage.weir(tlsListener("", ["a"]), { files: FILES });
  const client = await TlsClient.connect(weir.port());
  for (let count = 0; count < 3; count++) expect((await client.get()).body).toBe("hello\n");
  client.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
  expect((await client.response()).field("connection")).toBe("close");
  await eventually(() => client.isClosed);
});

for (const [way, listener] of [
  ["native", ""],
  ["peeked", 'proxyProtocol: { from: ["10.0.0.0/8"] }'],
] as const) {
  test(`${way}: a large body reaches a slow reader whole, and an upload comes through`, async () => {
    const bytes = Buffer.alloc(16 * 1024 * 1024);
    for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE(at, at);
    const origin = await stage.origin((connection) => {
      const end = connection.received.indexOf("\r\n\r\n");
      const length = Number(/content-length: (\d+)/i.exec(connection.received)?.[1] ?? 0);
      if (end === -1 || connection.received.length < end + 4 + length || connection.consumed > 0) return;
      connection.consumed = connection.received.length;
      const isSame =
        length === 0 || connection.received.slice(end + 4) === bytes.toString("latin1", 0, length);
      connection.write(`HTTP/1.1 200 OK\r\nX-Same: ${isSame}\r\nContent-Length: ${bytes.length}\r\n\r\n`);
      connection.write(bytes);
    });
    const yaml = tlsListener("", ["a"], listener).replace(/respond: .*? \} \}/, `to: "${origin.address}" }`);
    const weir = await stage.weir(yaml, { files: FILES });
    const { socket } = await TlsClient.connect(weir.port());
    socket.removeAllListeners("data");
    const parts: Buffer[] = [];
    let received = 0;
    socket.on("data", (part: Buffer) => {
      parts.push(part);
      received += part.length;
      if (parts.length % 16 === 0) {
        socket.pause();
        setTimeout(() => socket.resume(), 2);
      }
    });
    const upload = bytes.subarray(0, 3_000_000);
    socket.write(`POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: ${upload.length}\r\n\r\n`);
    socket.write(upload);
    await eventually(() => received > bytes.length, 10_000, "the body");
    const whole = Buffer.concat(parts);
    const head = whole.toString("latin1", 0, 1000).split("\r\n\r\n")[0] ?? "";
    await eventually(() => received === head.length + 4 + bytes.length, 5000, "its end");
    expect(head).toMatch(/^x-same: true$/im);
    expect(
      Buffer.concat(parts)
        .subarray(head.length + 4)
        .equals(bytes),
    ).toBe(true);
    socket.destroy();
  }, 20_000);
}

test("unknown names refused: an alert for them, and for clients that name no server", async () => {
  const weir = await stage.weir(tlsListener("unknownNames: refuse", ["a", "wild"]), { files: FILES });
  const shown = (servername: string) => shownBy(weir.port(), { servername });
  expect(await shown("a.test")).toBe("a.test");
  expect(await shown("nobody.test")).toMatch(/unrecognized.name/i);
  expect(await shown("")).toMatch(/alert/i);
});

test("ALPN: h2 before http/1.1, http/1.1 without any, and an alert where nothing fits (RFC 7301 §3.2)", async () => {
  const weir = await stage.weir(tlsListener("", ["a"]), { files: FILES });
  const agreed = async (...names: string[]) => {
    try {
      const client = await TlsClient.connect(weir.port(), { ALPNProtocols: names });
      const { alpnProtocol } = client.socket;
      client.close();
      return alpnProtocol;
    } catch (error) {
      return String((error as Error).message);
    }
  };
  expect(await agreed("http/1.1", "h2")).toBe("h2");
  expect(await agreed("http/1.1")).toBe("http/1.1");
  expect(await agreed("spdy/1")).toMatch(/no.application.protocol/i);
});

test("a listener with h1 alone does not agree to h2, and one with h2 alone takes nobody without it", async () => {
  for (const [protocols, offered, outcome] of [
    ["h1", ["h2", "http/1.1"], "http/1.1"],
    ["h2", ["h2", "http/1.1"], "h2"],
  ] as const) {
    const weir = await stage.weir(tlsListener("", ["a"], `protocols: [ ${protocols} ]`), { files: FILES });
    const client = await TlsClient.connect(weir.port(), { ALPNProtocols: offered });
    expect(client.socket.alpnProtocol).toBe(outcome);
    client.close();
    if (protocols === "h1") continue;
    const without = await TlsClient.connect(weir.port());
    await eventually(() => without.isClosed);
  }
});

test.skipIf(!needs("openssl"))(
  "RSA and ECDSA certificates of one name: each client gets what it can verify",
  async () => {
    const weir = await stage.weir(tlsListener("", ["a", "rsa"]), { files: FILES });
    const shown = async (...options: string[]) => {
      const address = `127.0.0.1:${weir.port()}`;
      const command = [
        "openssl",
        "s_client",
        "-connect",
        address,
        "-servername",
        "a.test",
        "-brief",
        ...options,
      ];
      const child = Bun.spawn(command, { stdin: new Uint8Array(), stdout: "ignore", stderr: "pipe" });
      return /Peer certificate: CN = (\S+)/.exec(await new Response(child.stderr).text())?.[1];
    };
    const outcomes = [
      await shown("-sigalgs", "ECDSA+SHA256"),
      await shown("-sigalgs", "RSA-PSS+SHA256"),
      await shown("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"),
    ];
    expect(outcomes).toEqual(["a.test", "rsa", "rsa"]);
  },
);

test("minVersion 1.3 refuses TLS 1.2, intermediate takes it", async () => {
  const old = { maxVersion: "TLSv1.2" } as const;
  const strict = await stage.weir(tlsListener('minVersion: "1.3"', ["a"]), { files: FILES });
  expect(await shownBy(strict.port(), old)).toMatch(/version|alert/i);
  expect(await shownBy(strict.port())).toBe("a.test");
  const usual = await stage.weir(tlsListener("", ["a"]), { files: FILES });
  expect(await shownBy(usual.port(), old)).toBe("a.test");
});

test("plain HTTP on a TLS port is told so", async () => {
  const weir = await stage.weir(tlsListener("", ["a"]), { files: FILES });
  const client = await stage.client(weir.port());
  await client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  const answer = await client.response();
  expect([answer.status, answer.body]).toEqual([400, "This port speaks TLS: use https://\n"]);
  await client.untilClose();
});

test("who does not finish the handshake in time is closed and counted", async () => {
  const yaml = tlsListener("", ["a"], "timeouts: { handshake: 500ms }");
  const weir = await stage.weir(yaml, { files: FILES });
  const silent = await stage.client(weir.port());
  const half = await stage.client(weir.port());
  await half.send(Buffer.from("160301020001", "hex"));
  await Promise.all([silent.untilClose(), half.untilClose()]);
  const failures = async () => {
    const text = await weir.metrics();
    return [
      metric(text, "weir_tls_handshake_failures_total", { listener: "web" }),
      metric(text, "weir_failures_total", { reason: "tls_handshake" }),
      metric(text, "weir_listener_connections_active", { listener: "web" }),
    ].join(" ");
  };
  await eventually(async () => (await failures()) === "2 2 0");
});

test("a session resumes on the same worker, also across a reload that keeps the certificate", async () => {
  const yaml = tlsListener("", ["a"]);
  const weir = await stage.weir(yaml, { files: FILES });
  const first = await TlsClient.connect(weir.port());
  await first.get();
  await eventually(() => first.session !== undefined);
  const session = first.session as Buffer;
  first.close();
  const isResumed = async () => {
    const client = await TlsClient.connect(weir.port(), { session });
    await client.get();
    const isReused = client.socket.isSessionReused();
    client.close();
    return isReused;
  };
  expect(await isResumed()).toBe(true);
  expect(await weir.reload(yaml.replace("hello", "good day"))).toBe(true);
  expect(await isResumed()).toBe(true);
});

test("a handshake under way when Weir is told to stop is finished, and its request answered", async () => {
  const weir = await stage.weir(tlsListener("", ["a"]), { files: FILES });
  const gate = await holdBack(weir.port(), 100);
  const connecting = TlsClient.connect(gate.port);
  await eventually(() => gate.isHolding());
  const isAccepted = async () => metric(await weir.metrics(), "weir_listener_connections_active") === 1;
  await eventually(isAccepted);
  weir.signal("SIGTERM");
  const isRefusing = async () => (await RawClient.connect(weir.port()).catch(() => undefined)) === undefined;
  await eventually(isRefusing);
  gate.open();
  const client = await connecting;
  expect((await client.get()).status).toBe(200);
  expect(await weir.exited).toBe(0);
});

/** Stands before a port and lets no more than so many bytes of the client through until it is opened. */
async function holdBack(port: number, limit: number) {
  let held: (() => void) | undefined;
  const server = createServer((client) => {
    const onward = connect(port, "127.0.0.1");
    for (const socket of [client, onward]) socket.on("error", () => {});
    onward.pipe(client);
    client.once("data", (first: Buffer) => {
      client.pause();
      onward.write(first.subarray(0, limit));
      held = () => {
        onward.write(first.subarray(limit));
        client.pipe(onward);
      };
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stage.after(() => void server.close());
  return {
    port: (server.address() as AddressInfo).port,
    isHolding: () => held !== undefined,
    open: () => held?.(),
  };
}

test("garbage and broken hellos leave no connection, no descriptor and no memory behind", async () => {
  const weir = await stage.weir(tlsListener("", ["a"]), { files: FILES });
  const hello = await captureHello();
  let seed = 7;
  const chance = (below: number) => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  const attack = async () => {
    const bytes = Buffer.from(hello.subarray(0, 1 + chance(hello.length)));
    for (let count = chance(8); count > 0; count--) bytes[chance(bytes.length)] = chance(256);
    const client = await RawClient.connect(weir.port());
    await client.send(bytes);
    client.reset();
  };
  const flood = async (count: number) => {
    for (let at = 0; at < count; at += 20) await Promise.all(Array.from({ length: 20 }, attack));
    const active = async () => metric(await weir.metrics(), "weir_listener_connections_active");
    await eventually(async () => (await active()) === 0);
    return { bytes: metric(await weir.metrics(), "weir_worker_memory_bytes"), files: await filesOf(weir) };
  };
  const before = await flood(500);
  const after = await flood(1500);
  expect(after.bytes - before.bytes).toBeLessThan(24 * 1024 * 1024);
  expect(after.files).toBe(before.files);
  expect(await shownBy(weir.port())).toBe("a.test");
}, 30_000);

/** Descriptors that the worker has open; 0 where nobody can tell. */
async function filesOf(weir: Weir): Promise<number> {
  const { pid } = (await weir.status()).workers[0] ?? { pid: 0 };
  return hasProc && pid !== 0 ? openFiles(pid) : 0;
}

/** The hello that this runtime's own client sends. */
async function captureHello(): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const socket = { data: (_: unknown, bytes: Buffer) => resolve(bytes) };
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket });
  void shownBy(listener.port, { servername: "a.test" });
  const hello = await promise;
  listener.stop(true);
  return hello;
}
