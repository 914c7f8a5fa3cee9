import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseAddress } from "../core/address.ts";
import { type AdminTarget, callAdmin, reachable } from "./admin-client.ts";

const folder = mkdtempSync(join(tmpdir(), "weir-admin-client-"));
const socket = join(folder, "admin.sock");
const answers: Record<string, () => Response | Promise<Response>> = {
  "/json": () => Response.json({ fine: true }),
  "/html": () => new Response("<p>hello"),
  "/denied": () => new Response("no", { status: 401 }),
  "/refused": () => Response.json({ applied: false }, { status: 409 }),
  "/late": () => new Promise(() => {}),
};
let tcp: Bun.Server<undefined>;
let unix: Bun.Server<undefined>;
/** Header fields of the newest request. */
let seen: Record<string, string> = {};

beforeAll(() => {
  const fetch = (request: Request) => {
    seen = Object.fromEntries(request.headers);
    return answers[new URL(request.url).pathname]?.() ?? new Response("", { status: 404 });
  };
  tcp = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch });
  unix = Bun.serve({ unix: socket, fetch });
});
afterAll(async () => {
  await Promise.all([tcp.stop(true), unix.stop(true)]);
  rmSync(folder, { recursive: true });
});

const at = (text: string, token?: string): AdminTarget => {
  const address = parseAddress(text, "127.0.0.1");
  if (address === undefined) throw new Error(text);
  return { address, token };
};
const ask = (target: AdminTarget, path: string, timeoutMs = 5000) =>
  callAdmin(target, { method: "GET", path, timeoutMs });

describe("an answer comes back as status and JSON", () => {
  test("over TCP, with the token", async () => {
    expect(await ask(at(`127.0.0.1:${tcp.port}`, "secret"), "/json")).toEqual({
      kind: "answer",
      status: 200,
      json: { fine: true },
    });
    expect(seen).toMatchObject({ authorization: "Bearer secret" });
  });

  test("over a unix socket, as host localhost and without a token", async () => {
    expect(await ask(at(`unix:${socket}`), "/json")).toMatchObject({ status: 200 });
    expect(seen).toMatchObject({ host: "localhost" });
    expect(seen).not.toHaveProperty("authorization");
  });

  test("also when the status says no", async () => {
    expect(await ask(at(`127.0.0.1:${tcp.port}`), "/refused")).toMatchObject({ status: 409 });
  });
});

test("http_proxy is not obeyed: it would see the token", async () => {
  const { http_proxy: before } = process.env;
  Object.assign(process.env, { http_proxy: "http://127.0.0.1:1" });
  try {
    expect(await ask(at(`127.0.0.1:${tcp.port}`, "secret"), "/json")).toMatchObject({ status: 200 });
  } finally {
    if (before === undefined) Reflect.deleteProperty(process.env, "http_proxy");
    else Object.assign(process.env, { http_proxy: before });
  }
});

describe("what went wrong is said in words", () => {
  const message = async (target: AdminTarget, path: string, timeoutMs?: number) => {
    const answer = await ask(target, path, timeoutMs);
    return answer.kind === "admin_error" ? answer.message : "an answer";
  };

  test("nobody listens", async () => {
    expect(await message(at("127.0.0.1:1"), "/json")).toStartWith("nothing listens at http://127.0.0.1:1");
    expect(await message(at(`unix:${folder}/none`), "/json")).toStartWith(
      `nothing listens at unix:${folder}/none`,
    );
  });

  test("a token is wanted, or was wrong", async () => {
    expect(await message(at(`127.0.0.1:${tcp.port}`), "/denied")).toContain("wants an admin token");
    expect(await message(at(`127.0.0.1:${tcp.port}`, "x"), "/denied")).toContain("refused the admin token");
  });

  test("something else listens there", async () => {
    expect(await message(at(`127.0.0.1:${tcp.port}`), "/html")).toContain("is not a Weir admin listener");
  });

  test("no answer in time", async () => {
    expect(await message(at(`127.0.0.1:${tcp.port}`), "/late", 100)).toContain("did not answer within 0.1 s");
  });
});

test("an any-address that is listened on is reached through loopback", () => {
  const port = 9900;
  expect(reachable({ kind: "tcp", host: "::", port })).toEqual({ kind: "tcp", host: "127.0.0.1", port });
  expect(reachable({ kind: "tcp", host: "0.0.0.0", port })).toEqual({ kind: "tcp", host: "127.0.0.1", port });
  expect(reachable({ kind: "tcp", host: "10.0.0.1", port })).toEqual({ kind: "tcp", host: "10.0.0.1", port });
});
