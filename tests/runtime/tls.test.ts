/**
 * What the runtime does with TLS on accepted sockets beyond its documentation: relied upon by src/transport/tls.ts.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { connect as connectSecure } from "node:tls";
import { ALERT_UNRECOGNIZED_NAME, makeContext, sendPlain } from "../../src/transport/tls.ts";
import { eventually } from "../support/eventually.ts";
import { RawClient } from "../support/raw-client.ts";
import { needs } from "../support/tools.ts";
import { ca, connectTls, contextOf, MODES, RULES, serve, stopServers } from "./tls-pair.ts";

afterEach(stopServers);

const BIG = 12 * 1024 * 1024;

describe.each([...MODES])("%s", (mode) => {
  test("a handshake is told once, before the first data, with name, protocol, version and cipher", async () => {
    const server = serve(mode, { context: await contextOf({}, {}) });
    const client = await connectTls(server.port, { servername: "A.Test", ALPNProtocols: ["http/1.1"] });
    client.write("hi");
    const served = await server.shaken();
    await served.saw("data:2");
    const { socket } = served;
    expect(served.summary).toBe("handshake:true data:2");
    expect([socket.getServername(), socket.alpnProtocol, socket.getTLSVersion()]).toEqual([
      "A.Test",
      "http/1.1",
      "TLSv1.3",
    ]);
    expect(socket.getCipher()?.name).toMatch(/^TLS_/);
    expect([socket.remoteAddress, socket.remotePort]).toEqual(["127.0.0.1", client.localPort as number]);
    expect(socket.isSessionReused()).toBe(false);
    client.destroy();
  });

  test("half-close: the client's end is told, and it still reads what is written", async () => {
    const server = serve(mode, { context: await contextOf({}, {}) });
    const client = await connectTls(server.port);
    const served = await server.shaken();
    client.end("question");
    await served.saw("end");
    expect(served.received).toBe(8);
    served.socket.write("late", "latin1");
    const [answer] = await once(client, "data");
    expect(String(answer)).toBe("late");
    served.socket.shutdown();
    await served.saw("close");
  });

  test("shutdown() sends what was written and FIN, and reading goes on", async () => {
    const server = serve(mode, { context: await contextOf({}, {}) });
    const client = await connectTls(server.port);
    const served = await server.shaken();
    let text = "";
    client.on("data", (bytes) => {
      text += bytes;
    });
    served.socket.write("answer", "latin1");
    served.socket.shutdown();
    await once(client, "end");
    expect(text).toBe("answer");
    client.end("more");
    await served.saw("data:4");
    await served.saw("close");
  });

  test("close() delivers what was taken; the session hears of its end once", async () => {
    const server = serve(mode, { context: await contextOf({}, {}) });
    const client = await connectTls(server.port);
    const served = await server.shaken();
    let received = 0;
    client.on("data", (bytes) => {
      received += bytes.length;
    });
    const taken = served.socket.write(Buffer.alloc(100_000));
    served.socket.close();
    await once(client, "end");
    expect(received).toBe(taken);
    await served.saw("close");
    expect([server.gone.length, served.events.filter((event) => event.startsWith("close")).length]).toEqual([
      1, 1,
    ]);
  });

  test("terminate() is a reset: the client does not take what it got for complete", async () => {
    const server = serve(mode, { context: await contextOf({}, {}) });
    const client = await connectTls(server.port);
    const served = await server.shaken();
    let ending = "";
    client.once("end", () => {
      ending ||= "end";
    });
    client.once("error", () => {
      ending ||= "reset";
    });
    served.socket.terminate();
    await eventually(() => ending !== "");
    expect(ending).toBe("reset");
    expect(server.gone).toHaveLength(1);
  });

  test("a client's reset is told by close, once", async () => {
    const server = serve(mode, { context: await contextOf({}, {}) });
    const client = await connectTls(server.port);
    const served = await server.shaken();
    (client as unknown as { resetAndDestroy(): void }).resetAndDestroy();
    await eventually(() => server.gone.length === 1);
    expect(served.events.filter((event) => event.startsWith("close"))).toHaveLength(1);
  });

  test("short writes lose nothing: the count is of plain bytes, and drain says when to go on", async () => {
    const server = serve(mode, { context: await contextOf({}, {}) });
    const client = await connectTls(server.port);
    const served = await server.shaken();
    client.pause();
    const bytes = Buffer.alloc(BIG);
    for (let at = 0; at < BIG; at += 4) bytes.writeUInt32LE(at, at);
    let sent = served.socket.write(bytes);
    expect(sent).toBeLessThan(BIG);
    served.onDrain = () => {
      for (let taken = 1; taken > 0 && sent < BIG; sent += Math.max(taken, 0)) {
        taken = served.socket.write(bytes.subarray(sent));
      }
      if (sent === BIG) served.socket.shutdown();
    };
    let at = 0;
    let isSame = true;
    client.on("data", (chunk: Buffer) => {
      isSame &&= chunk.equals(bytes.subarray(at, at + chunk.length));
      at += chunk.length;
    });
    client.resume();
    await once(client, "end");
    expect([at, isSame]).toEqual([BIG, true]);
    client.destroy();
  });

  test("pause() holds the sender back, and resume() gives everything", async () => {
    const server = serve(mode, { context: await contextOf({}, {}) });
    const client = await connectTls(server.port);
    const served = await server.shaken();
    served.socket.pause();
    client.end(Buffer.alloc(BIG));
    await Bun.sleep(50); // time in which it would come
    const whilePaused = served.received;
    served.socket.resume();
    await served.saw("end");
    expect(whilePaused).toBeLessThan(64 * 1024);
    expect(served.received).toBe(BIG);
    client.destroy();
  });

  test("a hello that ends halfway is told by close at the latest", async () => {
    const server = serve(mode, { context: await contextOf({}, {}) });
    for (const how of ["end", "reset"] as const) {
      const client = await RawClient.connect(server.port);
      await client.send(Buffer.from("160301020001", "hex"));
      await eventually(() => server.served.length === server.gone.length + 1);
      client[how]();
      await eventually(() => server.served.length === server.gone.length);
      client.close();
    }
  });

  test("records that do not decrypt close the connection, and are told as an error with code EPROTO", async () => {
    const server = serve(mode, { context: await contextOf({}, {}) });
    const raw = connectTcp(server.port, "127.0.0.1");
    raw.on("error", () => {});
    const client = connectSecure({ socket: raw, rejectUnauthorized: false });
    client.on("error", () => {});
    const served = await server.shaken();
    raw.write(Buffer.from([23, 3, 3, 0, 20, ...Buffer.alloc(20, 1)]));
    await eventually(() => server.gone.length === 1);
    expect([served.received, server.defects]).toEqual([0, []]);
    client.destroy();
    raw.destroy();
  });

  test("client certificates: none, good, of another authority, revoked; asked for", async () => {
    const other = await (await import("../support/certificates.ts")).testAuthority("Other");
    const [good, bad, revoked] = [
      await ca.issue({ names: ["good"], client: true }),
      await other.issue({ names: ["bad"], client: true }),
      await ca.issue({ names: ["revoked"], client: true }),
    ];
    const rules = { ...RULES, clientAuth: "optional" as const, ca: ca.caPem, crl: await ca.revoke(revoked) };
    const server = serve(mode, { context: await contextOf(rules, {}), rules });
    const outcome = async (pair: object) => {
      const client = await connectTls(server.port, pair);
      await eventually(() => server.served.at(-1)?.isDone !== undefined);
      const served = server.served.at(-1);
      client.destroy();
      served?.socket.terminate();
      await eventually(() => server.gone.length === server.served.length);
      return [served?.isDone, served?.error?.code, served?.error === null || served?.error === undefined];
    };
    expect(await outcome({})).toEqual([true, "UNABLE_TO_GET_ISSUER_CERT", false]);
    expect(await outcome(good)).toEqual([true, undefined, true]);
    expect((await outcome(bad))[2]).toBe(false);
    expect(await outcome(revoked)).toEqual([true, "CERT_REVOKED", false]);
  });

  test("client certificates: required; the handshake fails without one", async () => {
    const rules = { ...RULES, clientAuth: "require" as const, ca: ca.caPem };
    const server = serve(mode, { context: await contextOf(rules, {}), rules });
    const client = await connectTls(server.port).catch(() => undefined); // TLS 1.3 tells the client afterwards
    await eventually(() => server.served.at(-1)?.isDone === false);
    await eventually(() => server.gone.length === 1);
    client?.destroy();
  });

  test("a session resumes on the same context, and on no other, with its client certificate but the name of now", async () => {
    const rules = { ...RULES, clientAuth: "optional" as const, ca: ca.caPem };
    const context = await contextOf(rules, {});
    const servers = [
      serve(mode, { context, rules }),
      serve(mode, { context, rules }),
      serve(mode, { context: await contextOf(rules, {}), rules }),
    ] as const;
    const first = await connectTls(servers[0].port, await ca.issue({ names: ["good"], client: true }));
    const ticket = once(first, "session");
    (await servers[0].shaken()).socket.write("x", "latin1");
    const session = (await ticket)[0] as Buffer;
    first.destroy();
    const seen: unknown[] = [];
    for (const server of servers) {
      const before = server.served.length;
      const client = await connectTls(server.port, { session, servername: "b.test" });
      await eventually(() => server.served.length > before);
      const { socket } = await server.shaken();
      const { subject } = socket.getPeerX509Certificate() ?? {};
      seen.push([socket.isSessionReused(), socket.getServername(), socket.authorized, subject]);
      client.destroy();
    }
    expect(seen).toEqual([
      [true, "b.test", true, "CN=good"],
      [true, "b.test", true, "CN=good"],
      [false, "b.test", false, undefined],
    ]);
  });
});

test("plain text is told apart: the handshake fails with HTTP_REQUEST, and bytes may go past the library", async () => {
  const server = serve("native", { context: await contextOf({}, {}) });
  const client = await RawClient.connect(server.port);
  await eventually(() => server.served.length === 1);
  const [served] = server.served;
  if (served === undefined) throw new Error("nobody came");
  const { onHandshake } = served;
  served.onHandshake = (isDone, error) => {
    onHandshake.call(served, isDone, error);
    sendPlain(served.socket, Buffer.from("plain"));
  };
  await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  expect(await client.untilClose()).toBe("plain");
  await eventually(() => server.gone.length === 1);
  expect([served.isDone, served.error?.message]).toEqual([false, expect.stringContaining("HTTP_REQUEST")]);
  client.close();
});

test("serverName and alpnCallback decide, or refuse with an alert", async () => {
  const [first, second] = [
    await contextOf({}, { names: ["a.test"] }),
    await contextOf({}, { names: ["b.test"] }),
  ];
  const offered: string[] = [];
  const server = serve("native", {
    context: first,
    contextFor: (name) => (name === "b.test" ? second : undefined),
    chooseProtocol: (wire) => {
      offered.push(wire.toString("latin1"));
      return wire.includes("h2") ? "h2" : undefined;
    },
  });
  const shown = async (options: object) => {
    const client = await connectTls(server.port, options);
    const { subject } = client.getPeerCertificate();
    const protocol = client.alpnProtocol;
    client.destroy();
    return [subject.CN, protocol];
  };
  expect(await shown({ servername: "b.test", ALPNProtocols: ["h2"] })).toEqual(["b.test", "h2"]);
  expect(offered).toEqual(["\x02h2"]);
  expect((await shown({ servername: "b.test" }))[1]).toBeFalsy(); // none offered, none asked
  const codeOf = (options: object) =>
    connectTls(server.port, options).catch((error) => String(error.message));
  expect(await codeOf({ servername: "x.test" })).toMatch(/unrecognized.name/i);
  expect(await codeOf({ servername: "b.test", ALPNProtocols: ["x"] })).toMatch(/no.application.protocol/i);
  expect(server.defects).toEqual([]);
});

test("without a certificate a handshake without server name fails, one with a name goes on", async () => {
  const context = makeContext([], RULES);
  const named = await contextOf({}, {});
  const server = serve("native", { context, contextFor: () => named });
  (await connectTls(server.port, { servername: "a.test" })).destroy();
  expect(await connectTls(server.port, { servername: "" }).catch((error) => String(error))).toMatch(
    /alert|closed/i,
  );
});

test("what TLS listens with is changed on a second descriptor, and no connection is lost", async () => {
  const contexts = [
    await contextOf({}, { names: ["one"] }),
    await contextOf({}, { names: ["two"] }),
  ] as const;
  const server = serve("native", { context: contexts[0], contextFor: () => contexts[0] });
  let isOver = false;
  const seen = new Set<string>();
  let failures = 0;
  const ask = async () => {
    while (!isOver) {
      try {
        const client = await connectTls(server.port, { servername: "" });
        seen.add(client.getPeerCertificate().subject.CN as string);
        client.destroy();
      } catch {
        failures++;
      }
    }
  };
  const clients = [ask(), ask(), ask(), ask()];
  for (let round = 0; round < 20; round++) {
    await Bun.sleep(15);
    const context = contexts[round % 2] as (typeof contexts)[0];
    const chooseProtocol = () => undefined;
    server.accepting.setTls({ context, rules: RULES, contextFor: () => context, chooseProtocol });
  }
  isOver = true;
  await Promise.all(clients);
  expect([failures, [...seen].sort()]).toEqual([0, ["one", "two"]]);
});

test("rules of a context hold: TLS 1.2 refused, and of the curves only those named", async () => {
  const context = await contextOf({ minVersion: "1.3", curves: "X25519MLKEM768" }, {});
  const server = serve("native", { context, rules: { ...RULES, minVersion: "1.3" } });
  (await connectTls(server.port)).destroy(); // this runtime's client knows X25519MLKEM768
  const outcome = (options: object) => connectTls(server.port, options).catch((error) => String(error));
  expect(await outcome({ maxVersion: "TLSv1.2" })).toMatch(/version|alert|closed/i);
  expect(await outcome({ ecdhCurve: "P-384" })).toMatch(/handshake|alert|closed/i);
});

test.skipIf(!needs("openssl"))(
  "one context shows an RSA or an ECDSA certificate, as the client can verify",
  async () => {
    const context = await contextOf({}, { names: ["ec"] }, { names: ["rsa"], keyType: "rsa" });
    const server = serve("native", { context });
    const shown = async (...options: string[]) => {
      const command = ["openssl", "s_client", "-connect", `127.0.0.1:${server.port}`, "-brief", ...options];
      const child = Bun.spawn(command, { stdin: new Uint8Array(), stdout: "ignore", stderr: "pipe" });
      return /Peer certificate: CN = (\w+)/.exec(await new Response(child.stderr).text())?.[1];
    };
    const outcomes = [
      await shown("-sigalgs", "RSA-PSS+SHA256"),
      await shown("-sigalgs", "ECDSA+SHA256"),
      await shown("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"),
      await shown("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"),
    ];
    expect(outcomes).toEqual(["rsa", "ec", "rsa", "ec"]);
  },
);

test("of the suites of TLS 1.2 the listener's order counts", async () => {
  const suites = ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"];
  const server = serve("native", { context: await contextOf({ ciphers: suites.join(":") }, {}) });
  const client = await connectTls(server.port, {
    maxVersion: "TLSv1.2",
    ciphers: [...suites].reverse().join(":"),
  });
  expect(client.getCipher().name).toBe(suites[0] as string);
  client.destroy();
});

test("an alert in a plain record is an alert to a client that waits for an answer", async () => {
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: (socket) => void socket.end(ALERT_UNRECOGNIZED_NAME) },
  });
  const outcome = await connectTls(listener.port).catch((error) => String(error.message));
  expect(outcome).toMatch(/unrecognized.name/i);
  listener.stop(true);
});
