/**
 * Every example starts as it is, and does what its README promises.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { type ClientHttp2Session, connect as h2Connect } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as tlsConnect } from "node:tls";
import { askGreeter } from "../../examples/grpc/greeter.ts";
import type { Explanation } from "../../src/cli/explain-plan.ts";
import { ROOT, weir } from "../cli/program.ts";
import { needs } from "../support/tools.ts";
import { cachingPromises } from "./caching.ts";
import { type Example, startExample, writeCertificates } from "./example.ts";

const FOLDER = join(ROOT, "examples");
const names = readdirSync(FOLDER, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && entry.name !== "certs")
  .map((entry) => entry.name);
const fileOf = (name: string) =>
  join(FOLDER, name, existsSync(join(FOLDER, name, "weir.yaml")) ? "weir.yaml" : "weir.config.ts");
/** Examples with a test of their own below. */
const tested = new Set<string>();

/** A field line as the origin prints it, without what is new in every request. */
const withoutIds = (line: string) => line.trim().replace(/^(x-request-id|traceparent): .*/, "$1: …");

/** Tests against one running example. */
function example(name: string, body: (running: () => Example) => void): void {
  tested.add(name);
  describe(name, () => {
    let running: Example | undefined;
    beforeAll(async () => {
      running = await startExample(fileOf(name).slice(FOLDER.length + 1));
    });
    afterAll(() => running?.stop());
    body(() => {
      if (running === undefined) throw new Error(`${name} is not running`);
      return running;
    });
  });
}

const made = mkdtempSync(join(tmpdir(), "weir-example-certs-"));
const CERTS = join(made, "certs");
beforeAll(() => writeCertificates(CERTS));
afterAll(() => rmSync(made, { recursive: true }));

test.skipIf(!needs("openssl"))("certificates.sh makes the files that the examples name", async () => {
  const folder = join(made, "by-openssl");
  const child = Bun.spawn(["sh", join(FOLDER, "certificates.sh"), folder], { stderr: "inherit" });
  expect(await child.exited).toBe(0);
  expect(readdirSync(folder)).toEqual(expect.arrayContaining(readdirSync(CERTS)));
  for (const name of ["tls", "client-certificates"]) {
    const env = { ...process.env, CERTS: folder };
    expect(await weir(["check", "-c", fileOf(name)], { env })).toMatchObject({ code: 0, err: "" });
  }
  const alice = new X509Certificate(readFileSync(join(folder, "alice.crt")));
  expect(alice.verify(new X509Certificate(readFileSync(join(folder, "ca.crt"))).publicKey)).toBeTrue();
});

describe.each(names)("%s", (name) => {
  test("is right as it is, with no more of an environment than certificates", async () => {
    const { PATH } = process.env;
    const run = await weir(["check", "-c", fileOf(name)], { env: { PATH, CERTS } });
    expect(run).toMatchObject({ code: 0, err: "", out: expect.stringMatching(/^ok: /) });
  });

  test("has a page that says how to run it and what to try", () => {
    const page = readFileSync(join(FOLDER, name, "README.md"), "utf8");
    expect(page).toContain(`bin/weir run -c examples/${fileOf(name).slice(FOLDER.length + 1)}`);
    expect(page).toContain("Try ");
    expect(page.split("\n").length).toBeLessThanOrEqual(20);
    expect(readFileSync(join(FOLDER, "README.md"), "utf8")).toContain(`[${name}](${name})`);
  });
});

example("hello", (running) => {
  test("sends requests to two endpoints in turn, with forwarding fields", async () => {
    const bodies = [];
    for (let count = 0; count < 12; count++) bodies.push((await running().get("/x?y=1")).body);
    const answered = bodies.map((body) => /origin ([AB])/.exec(body)?.[1]).sort();
    expect(answered).toContain("A");
    expect(answered).toContain("B");
    expect(bodies[0]).toContain("GET /x?y=1 arrived");
    expect(bodies[0]).toContain("x-forwarded-for: 127.0.0.1\n");
    expect(bodies[0]).toMatch(/ {2}via: 1\.1 /);
    expect(bodies[0]).toMatch(/ {2}x-request-id: \S+/);
  });
});

example("two-upstreams-weighted", (running) => {
  test("testers always get the new version", async () => {
    for (let count = 0; count < 5; count++) {
      expect((await running().get("/", { lines: ["X-Beta: 1"] })).body).toContain("origin B");
    }
  });

  test("about five of a hundred others do", async () => {
    const client = await running().connect();
    const total = 400;
    let fresh = 0;
    for (let count = 0; count < total; count++) {
      await client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
      if ((await client.response()).body.includes("origin B")) fresh++;
    }
    client.close();
    // 20 are expected; a right split leaves these bounds less than once in a million runs
    expect(fresh).toBeGreaterThanOrEqual(2);
    expect(fresh).toBeLessThanOrEqual(45);
  });
});

example("static-site", (running) => {
  test("serves index.html for the folder, and 304 to who has it", async () => {
    const page = await running().get("/");
    expect(page.status).toBe(200);
    expect(page.field("content-type")).toBe("text/html; charset=utf-8");
    expect(page.field("x-content-type-options")).toBe("nosniff");
    expect(page.body).toContain("Served from a folder.");
    const again = await running().get("/", { lines: [`If-None-Match: ${page.field("etag")}`] });
    expect(again.status).toBe(304);
  });

  test("serves parts of a file", async () => {
    const part = await running().get("/style.css", { lines: ["Range: bytes=0-9"] });
    expect(part).toMatchObject({ status: 206, body: ":root {\n  " });
  });

  test("answers with its own page for what is missing, and never leaves the folder", async () => {
    const missing = await running().get("/nothing");
    expect(missing.status).toBe(404);
    expect(missing.body).toContain("Nothing here");
    expect((await running().get("/%2e%2e/weir.yaml")).status).toBe(400);
    expect((await running().get("/../weir.yaml")).status).toBe(400);
  });
});

example("headers-and-rewrites", (running) => {
  test("strips the prefix, sets and removes request fields, applies the policy", async () => {
    const answer = await running().get("/v1/users", { lines: ["X-Debug: 1"] });
    expect(answer.body).toContain("GET /users arrived");
    expect(answer.body).toContain("x-env: prod\n");
    expect(answer.body).not.toContain("x-debug");
    expect(answer.field("x-frame-options")).toBe("DENY");
    expect(answer.field("x-content-type-options")).toBe("nosniff");
    expect(answer.field("server")).toBeUndefined();
  });

  test("weir explain tells the very fields that the origin gets", async () => {
    const lines = ["X-Debug: 1", "X-Forwarded-For: 192.0.2.1", "TE: trailers", "Accept: text/plain"];
    const { body } = await running().get("/v1/users?page=2", { host: "a.test", lines });
    const words = ["explain", "--json", "-c", fileOf("headers-and-rewrites"), "GET", "/v1/users?page=2"];
    const sent = ["Host: a.test", ...lines].flatMap((line) => ["-H", line]);
    const { out } = await weir([...words, ...sent], { env: { ...process.env, ...running().env } });
    const { outcome } = JSON.parse(out) as Explanation;
    if (outcome?.kind !== "proxy") throw new Error(out);
    const told = outcome.requestFields.map(([name, value]) => `${name.toLowerCase()}: ${value}`);
    const [title, ...got] = body.trimEnd().split("\n");
    expect(title).toContain(outcome.requestLine.replace(" HTTP/1.1", " arrived"));
    expect(got.map(withoutIds).sort()).toEqual(told.map(withoutIds).sort());
  });

  test("rewrites by pattern, and the Host with it", async () => {
    const { body } = await running().get("/users/7/photo");
    expect(body).toContain("GET /photos/7 arrived");
    expect(body).toContain("host: images.internal\n");
    expect((await running().get("/users/x/photo")).status).toBe(404);
  });

  test("redirects with the rest of the path and the query", async () => {
    const moved = await running().get("/old/users?page=2");
    expect([moved.status, moved.field("location")]).toEqual([308, "/v1/users?page=2"]);
  });

  test("answers by itself", async () => {
    expect(await running().get("/ping")).toMatchObject({ status: 200, body: "pong\n" });
  });
});

example("websocket-and-sse", (running) => {
  test("events arrive one by one, as they are sent", async () => {
    const client = await running().connect();
    await client.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const first = await client.until("data: 1 from origin A");
    expect(first).not.toContain("data: 2 from origin A");
    await client.until("data: 3 from origin A");
    client.close();
  });

  test("a WebSocket echoes both kinds of message", async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${running().port}/ws`);
    const replies: readonly (string | Uint8Array<ArrayBuffer>)[] = ["hello", Uint8Array.of(1, 2, 3)];
    const heard: string[] = [];
    await new Promise<void>((resolve, reject) => {
      socket.onerror = () => reject(new Error("the WebSocket failed"));
      socket.onmessage = ({ data }) => {
        const reply = replies[heard.length];
        heard.push(typeof data === "string" ? data : `bytes ${Array.from(data as Buffer).join()}`);
        if (reply === undefined) resolve();
        else socket.send(reply);
      };
    });
    socket.close();
    expect(heard).toEqual(["origin A echoes what you send", "hello", "bytes 1,2,3"]);
  });
});

example("many-hosts", (running) => {
  test.each([
    ["shop.example.com", "/", 200, "origin A"],
    ["SHOP.example.com:8080", "/", 200, "origin A"],
    ["anna.example.com", "/", 200, "origin B"],
    ["a.b.example.com", "/", 200, "origin B"],
    ["other.test", "/", 421, "no such site here"],
    ["shop.example.com", "/admin/x", 403, "not from here"],
  ])("%s%s is answered with %d, %s", async (host, path, status, text) => {
    const answer = await running().get(path, { host });
    expect(answer.status).toBe(status);
    expect(answer.body).toContain(text);
  });

  test("weir explain says why", async () => {
    const words = ["explain", "-c", fileOf("many-hosts"), "GET", "http://shop.example.com/admin/x"];
    const run = await weir([...words, "--from", "10.1.2.3"]);
    expect(run.code).toBe(0);
    expect(run.out).toContain("→ shop-admin");
    expect(run.out).toContain("/admin/x → /x");
  });
});

example("trusted-proxy", (running) => {
  test("the client's address comes by PROXY protocol", async () => {
    const { proxyPort } = running();
    const before = "PROXY TCP4 203.0.113.7 192.0.2.1 40000 80\r\n";
    expect(await running().get("/office", { target: proxyPort, before })).toMatchObject({
      status: 200,
      body: "hello, office\n",
    });
    expect((await running().get("/", { target: proxyPort, before })).body).toContain(
      "x-forwarded-for: 203.0.113.7\n",
    );
  });

  test("or by X-Forwarded-For of a trusted peer", async () => {
    const lines = ["X-Forwarded-For: 203.0.113.7"];
    expect(await running().get("/office", { lines })).toMatchObject({ status: 200, body: "hello, office\n" });
  });

  test("and is that of the connection otherwise", async () => {
    expect((await running().get("/office")).body).toContain("origin A");
  });
});

example("error-pages", (running) => {
  test("an endpoint's own error passes unchanged", async () => {
    const answer = await running().get("/status/503");
    expect(answer.status).toBe(503);
    expect(answer.body).toContain("origin A");
  });

  test("files that are missing or refused get the pages of their status and class", async () => {
    const missing = await running().get("/files/x");
    expect(missing.status).toBe(404);
    expect(missing.body).toContain("There is no such file");
    const refused = await running().get("/files/away.html", { method: "POST", lines: ["Content-Length: 0"] });
    expect(refused.status).toBe(405);
    expect(refused.body).toContain("This cannot be done");
  });

  test("a dead endpoint is answered with the page for 5xx", async () => {
    await running().stopOrigin("A");
    const answer = await running().get("/");
    expect(answer.status).toBe(502);
    expect(answer.field("content-type")).toContain("text/html");
    expect(answer.body).toContain("We are away for a moment");
  });
});

example("typescript-config", (running) => {
  test("computed routes work like written ones", async () => {
    const { body } = await running().get("/billing/invoices");
    expect(body).toContain("GET /invoices arrived");
    expect(body).toContain("x-team: billing\n");
    const rest = await running().get("/other");
    expect(rest).toMatchObject({ status: 404, body: "Teams here: billing, search, accounts\n" });
  });
});

example("resilience", (running) => {
  test("a session stays where it began, and falls over when that origin is gone, with no failure to be seen", async () => {
    const first = await running().get("/");
    const cookie = first.field("set-cookie")?.split(";", 1)[0] ?? "";
    expect(cookie).toStartWith("app=");
    const home = first.body.includes("origin A") ? "A" : "B";
    const other = home === "A" ? "B" : "A";
    const ask = () => running().get("/", { lines: [`Cookie: ${cookie}`] });
    for (let count = 0; count < 10; count++) expect((await ask()).body).toContain(`origin ${home}`);
    await running().stopOrigin(home);
    for (let count = 0; count < 10; count++) {
      const answer = await ask();
      expect(answer.status).toBe(200);
      expect(answer.body).toContain(`origin ${other}`);
    }
  });
});

example("maintenance", (running) => {
  test("everybody gets 503 with Retry-After", async () => {
    const answer = await running().get("/");
    expect(answer).toMatchObject({ status: 503, body: "Closed for maintenance until 06:00.\n" });
    expect(answer.field("retry-after")).toBe("600");
  });

  test("the staff reaches the application", async () => {
    expect((await running().get("/", { lines: ["Cookie: a=b; staff=1"] })).body).toContain("origin A");
  });
});

example("unix-sockets", (running) => {
  test("the same origin answers over both listeners", async () => {
    const unix = join(running().folder, "weir-example.sock");
    expect((await running().get("/", { target: { unix } })).body).toContain("origin unix");
    expect((await running().get("/")).body).toContain("origin unix");
  });
});

/** Over TLS, by the name that is asked for; `localhost` and all below are this machine. */
function secure(running: Example, url: string, tls: object = {}): Promise<Response> {
  return fetch(url, { redirect: "manual", tls: { ca: running.caPem, ...tls } });
}

/** The leaf that a client is shown for this server name. */
function shownFor(running: Example, servername: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port: running.httpsPort, servername, ca: running.caPem };
    const socket = tlsConnect(options, () => {
      resolve(socket.getPeerX509Certificate()?.subjectAltName ?? "");
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

example("tls", (running) => {
  test("plain http is sent to https, path and query included", async () => {
    const answer = await running().get("/x?y=1");
    const to = `https://localhost:${running().httpsPort}/x?y=1`;
    expect([answer.status, answer.field("location")]).toEqual([308, to]);
  });

  test("each name gets its certificate, and its routes", async () => {
    expect(await shownFor(running(), "shop.localhost")).toBe("DNS:shop.localhost");
    expect(await shownFor(running(), "localhost")).toBe("DNS:localhost");
    const answer = await secure(running(), `https://localhost:${running().httpsPort}/`);
    expect(await answer.text()).toContain("x-forwarded-proto: https\n");
    expect(answer.headers.get("strict-transport-security")).toBe("max-age=300");
  });

  test("weir explain says which certificate a name gets", async () => {
    const url = `https://shop.localhost:${running().httpsPort}/`;
    const env = { ...process.env, ...running().env };
    const { out } = await weir(["explain", "-c", fileOf("tls"), "GET", url, "--json"], { env });
    const { tls, route } = JSON.parse(out) as Explanation;
    expect(tls?.certificates.map(({ names }) => names)).toEqual([["shop.localhost"]]);
    expect(route).toBe("shop");
  });
});

/** Its authority is not there: tests/acme shows what happens when it is. */
example("acme", (running) => {
  test("until the certificate is there clients see a self-signed one, and challenges are not redirected away", async () => {
    const { httpsPort, port } = running();
    const shown = () =>
      new Promise<X509Certificate | undefined>((resolve, reject) => {
        const options = { host: "127.0.0.1", port: httpsPort, servername: "app.example.com" };
        const socket = tlsConnect({ ...options, rejectUnauthorized: false }, () => {
          resolve(socket.getPeerX509Certificate());
          socket.destroy();
        });
        socket.on("error", reject);
      });
    const certificate = await shown();
    expect(certificate?.checkIssued(certificate)).toBeTrue();
    expect(certificate?.checkHost("app.example.com")).toBe("app.example.com");
    const answer = await running().get("/x", { target: port });
    expect([answer.status, answer.field("location")]).toEqual([308, `https://localhost:${httpsPort}/x`]);
  });

  test("keys are kept where nobody else looks", () => {
    const store = join(running().folder, "store");
    expect(statSync(store).mode & 0o777).toBe(0o700);
  });
});

example("client-certificates", (running) => {
  const admin = () => `https://localhost:${running().port}/admin`;
  const alice = () => {
    const at = (name: string) => readFileSync(join(running().folder, "certs", name), "utf8");
    return { cert: at("alice.crt"), key: at("alice.key") };
  };

  test("without one, everything but /admin can be reached", async () => {
    expect((await secure(running(), `https://localhost:${running().port}/`)).status).toBe(200);
    expect((await secure(running(), `${admin()}/x`)).status).toBe(403);
  });

  test("with one, the application is told who comes", async () => {
    const answer = await secure(running(), `${admin()}/x`, alice());
    expect(await answer.text()).toContain("x-client-cert-subject: CN=alice,O=Example\n");
    expect(await (await secure(running(), `${admin()}/keys`, alice())).text()).toBe("hello, alice\n");
  });
});

example("http2", (running) => {
  test("clients speak HTTP/2, many requests at once on one connection", async () => {
    const session = h2Connect(`https://localhost:${running().port}`, { ca: running().caPem });
    try {
      const asked = Array.from({ length: 20 }, (_, at) => h2Get(session, `/${at}`));
      const bodies = await Promise.all(asked);
      for (const [at, body] of bodies.entries()) expect(body).toContain(`GET /${at} arrived`);
      expect(bodies[0]).toContain("via: 2.0 weir\n");
    } finally {
      session.destroy();
    }
  });

  test("and HTTP/1.1 when they like", async () => {
    const answer = await secure(running(), `https://localhost:${running().port}/`);
    expect(await answer.text()).toContain("via: 1.1 weir\n");
  });
});

function h2Get(session: ClientHttp2Session, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ":path": path });
    let body = "";
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => {
      body += text;
    });
    stream.on("end", () => resolve(body));
    stream.on("error", reject);
  });
}

example("caching", cachingPromises);

example("grpc", (running) => {
  test("calls and streams pass", async () => {
    expect(await askGreeter(`127.0.0.1:${running().port}`, "anna")).toEqual([
      "hello, anna",
      "1 for anna",
      "2 for anna",
      "3 for anna",
    ]);
  });

  test("an error of the service is the client's, with its details", async () => {
    const refused = askGreeter(`127.0.0.1:${running().port}`, "");
    await expect(refused).rejects.toMatchObject({ code: 3, details: "who?" });
  });
});

test("every example has a test of what it promises", () => {
  expect([...tested].sort()).toEqual(names.sort());
});
