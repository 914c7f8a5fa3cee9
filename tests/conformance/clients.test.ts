/**
 * Clients that are not ours, over TLS: what they make of our HTTP/2 decides.
 */
import { afterEach, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { WebSocketServer } from "ws";
import { parseSummary } from "../../bench/h2load.ts";
import { isInstalled } from "../packages.mjs";
import { testAuthority } from "../support/certificates.ts";
import { within } from "../support/eventually.ts";
import { perRequest, response } from "../support/origin.ts";
import { Stage } from "../support/stage.ts";
import { needs } from "../support/tools.ts";
import type { Weir } from "../support/weir.ts";
import { metric } from "../support/weir-metrics.ts";

const stage = new Stage();
afterEach(() => stage.clear());

const RUN_MS = 20_000;
const PAGE_MS = 25_000;
const UPLOAD_BYTES = 5 << 20;

interface Place {
  readonly weir: Weir;
  readonly port: number;
  readonly caFile: string;
}

/** Weir with a certificate for a.test in front of `address`; without one, of an origin that tells what it was asked. */
async function place(address?: string): Promise<Place> {
  const authority = await testAuthority();
  const { cert, key } = await authority.issue({ names: ["a.test"] });
  const text = `
listeners:
  web:
    bind: "127.0.0.1:0"
    tls: { certificates: [ { cert: a.crt, key: a.key } ] }
    http2: { extendedConnect: true }
routes: [ { to: app } ]
upstreams: { app: [ "${address ?? (await tellingOrigin())}" ] }
`;
  const files = { "a.crt": cert, "a.key": key, "ca.pem": authority.caPem };
  const weir = await stage.weir(text, { files });
  return { weir, port: weir.port(), caFile: join(weir.folder, "ca.pem") };
}

async function tellingOrigin(): Promise<string> {
  const origin = await stage.origin(
    perRequest(({ requestLine, body }) => {
      if (requestLine.includes(" /length ")) return response(String(body.length));
      if (requestLine.includes(" /early "))
        return `HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n${response("late")}`;
      if (requestLine.startsWith("HEAD")) return "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n";
      if (requestLine.includes(" /chunks "))
        return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n";
      return response(requestLine);
    }),
  );
  return origin.address;
}

async function run(...command: readonly string[]): Promise<{ code: number; text: string; errors: string }> {
  const child = Bun.spawn([...command], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const late = setTimeout(() => child.kill("SIGKILL"), RUN_MS);
  const [text, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  const code = await child.exited;
  clearTimeout(late);
  return { code, text, errors };
}

async function curl({ port, caFile }: Place, path: string, ...args: readonly string[]): Promise<string> {
  const target = ["--resolve", `a.test:${port}:127.0.0.1`, `https://a.test:${port}${path}`];
  const out = ["-w", "|%{http_version} %{http_code}"];
  const { code, text, errors } = await run(
    "curl",
    "-sS",
    "--max-time",
    "10",
    "--cacert",
    caFile,
    ...out,
    ...args,
    ...target,
  );
  if (code !== 0) throw new Error(`curl ended with ${code}: ${errors}`);
  return text;
}

test.skipIf(!needs("curl"))("curl speaks HTTP/2 by ALPN, and HTTP/1.1 when it wants to", async () => {
  const at = await place();
  expect(await curl(at, "/x", "--http2")).toBe("GET /x HTTP/1.1|2 200");
  expect(await curl(at, "/x", "--http1.1")).toBe("GET /x HTTP/1.1|1.1 200");
  expect(await curl(at, "/x", "--http2", "--tlsv1.2", "--tls-max", "1.2")).toBe("GET /x HTTP/1.1|2 200");
});

test.skipIf(!needs("curl"))("curl uploads, reads trailers and early hints over HTTP/2", async () => {
  const at = await place();
  const file = join(at.weir.folder, "upload");
  writeFileSync(file, Buffer.alloc(UPLOAD_BYTES, "x"));
  expect(await curl(at, "/length", "--http2", "--data-binary", `@${file}`)).toBe(`${UPLOAD_BYTES}|2 200`);
  expect(await curl(at, "/chunks", "--http2", "-i")).toMatch(/\r\n\r\nabcx-sum: 3\r\n\|2 200$/);
  expect(await curl(at, "/early", "--http2", "-i")).toMatch(
    /^HTTP\/2 103 \r\nlink: <\/a\.css>[\s\S]*\r\n\r\nHTTP\/2 200/,
  );
  expect(await curl(at, "/x", "--http2", "--head")).toMatch(/content-length: 7\r\n[\s\S]*\|2 200$/);
});

test.skipIf(!needs("nghttp"))("nghttp fetches many at once, with trailers to the server", async () => {
  const { port } = await place();
  const urls = Array.from({ length: 20 }, (_, index) => `https://127.0.0.1:${port}/n/${index}`);
  const { code, text, errors } = await run(
    "nghttp",
    "--no-verify-peer",
    "-v",
    "-H:authority: a.test",
    ...urls,
  );
  expect({ code, errors }).toEqual({ code: 0, errors: "" });
  expect(text.match(/:status: 200/g)).toHaveLength(20);
  expect(text).not.toContain(
    "GOAWAY frame <length=8, flags=0x00, stream_id=0>\n          (last_stream_id=0, error_code=PROTOCOL",
  );
  const sent = await run(
    "nghttp",
    "--no-verify-peer",
    "-v",
    "-d",
    "/etc/hostname",
    "--trailer",
    "x-sum: 1",
    `${urls[0]}`,
  );
  expect(sent.text).toContain(":status: 200");
});

test.skipIf(!needs("h2load"))("h2load's thousand requests on four connections are all answered", async () => {
  const { port } = await place();
  const url = `https://127.0.0.1:${port}/x`;
  const { text } = await run("h2load", "-n1000", "-c4", "-m32", url);
  expect(parseSummary(text, url).requests).toBe(1000);
});

test("undici asks for sixty things at once and uploads", async () => {
  const { port, caFile } = await place();
  const { code, text, errors } = await run(
    "node",
    join(import.meta.dir, "undici-client.mjs"),
    `https://a.test:${port}`,
    caFile,
  );
  expect({ code, errors }).toEqual({ code: 0, errors: "" });
  expect(JSON.parse(text)).toEqual({ answers: 60, echoed: 3 << 20, alpn: "h2" });
});

const SCRIPT = `
const told = [];
const tell = () => fetch("/told", { method: "POST", body: told.join("; ") });
const all = Array.from({ length: 20 }, (_, i) => fetch("/n/" + i).then((r) => r.text()));
Promise.all(all).then((texts) => {
  told.push("fetched " + texts.filter((t, i) => t === "GET /n/" + i + " HTTP/1.1").length);
  const seen = performance.getEntriesByType("resource").filter((e) => e.name.includes("/n/"));
  told.push("by " + [...new Set(seen.map((e) => e.nextHopProtocol))].join(","));
  return fetch("/length", { method: "POST", body: "x".repeat(300000) }).then((r) => r.text());
}).then((length) => {
  told.push("uploaded " + length);
  const socket = new WebSocket("wss://" + location.host + "/socket");
  socket.onopen = () => socket.send("hello");
  socket.onmessage = ({ data }) => { told.push("echoed " + data); tell(); };
  socket.onerror = () => { told.push("no socket"); tell(); };
}).catch((e) => { told.push("failed: " + e); tell(); });
`;

interface PageServer {
  readonly address: string;
  /** What the page has found. */
  readonly told: Promise<string>;
}

/** A server for pages and sockets on one port. */
async function pageServer(): Promise<PageServer> {
  let tell: (text: string) => void = () => undefined;
  const told = new Promise<string>((resolve) => {
    tell = resolve;
  });
  const server = createServer((request, answer) => {
    let body = "";
    request.on("data", (chunk: Buffer) => {
      body += chunk.toString("latin1");
    });
    request.on("end", () => {
      if (request.url === "/told") tell(body);
      const page = `<!doctype html><body>waiting<script>${SCRIPT}</script>`;
      answer.setHeader("content-type", request.url === "/" ? "text/html" : "text/plain");
      if (request.url === "/") answer.end(page);
      else answer.end(request.url === "/length" ? String(body.length) : `GET ${request.url} HTTP/1.1`);
    });
  });
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket) => socket.on("message", (data) => socket.send(String(data))));
  const listening = new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  await within(listening, 5000, "the page server");
  stage.after(() => {
    for (const socket of sockets.clients) socket.terminate();
    server.closeAllConnections();
    server.close();
  });
  return { address: `127.0.0.1:${(server.address() as { port: number }).port}`, told };
}

/** Connections that the listener has accepted. */
const connectionsOf = async (weir: Weir) =>
  metric(await weir.metrics(), "weir_listener_connections_total", { listener: "web" });

/** A browser is too large to be installed for one test: where there is none, nobody misses it. */
test.skipIf(!isInstalled("chromium"))(
  "a browser fetches, uploads and opens a WebSocket over one HTTP/2 connection",
  async () => {
    const { address, told } = await pageServer();
    const { weir, port } = await place(address);
    const flags = [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--ignore-certificate-errors",
      "--no-first-run",
    ];
    const profile = `--user-data-dir=${join(weir.folder, "chromium")}`;
    const rules = "--host-resolver-rules=MAP a.test 127.0.0.1";
    const open = ["--remote-debugging-port=0", `https://a.test:${port}/`];
    const browser = Bun.spawn(["chromium", ...flags, profile, rules, ...open], {
      stdio: ["ignore", "ignore", "ignore"],
    });
    stage.after(async () => {
      browser.kill("SIGTERM");
      await browser.exited;
    });
    expect(await within(told, RUN_MS, "the page")).toBe("fetched 20; by h2; uploaded 300000; echoed hello");
    // one connection carried all of it, the socket too; browsers open a few more in advance
    expect(await connectionsOf(weir)).toBeLessThan(6);
  },
  PAGE_MS,
);
