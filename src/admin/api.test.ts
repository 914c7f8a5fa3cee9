import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../../tests/support/eventually.ts";
import { SAMPLE_STATUS } from "../../tests/support/sample-status.ts";
import type { Address } from "../core/address.ts";
import { type AdminServer, startAdmin } from "./api.ts";
import type { PurgeEvent, PurgeWish } from "./cache-status.ts";
import type { AdminHooks, EndpointWish, ReloadAnswer } from "./status.ts";

const LOCAL: Address = { kind: "tcp", host: "127.0.0.1", port: 0 };
const TOKEN = "correct horse";
const BEARER = { Authorization: `Bearer ${TOKEN.replace(" ", "-")}` };

const state = {
  isReady: true,
  isApplied: true,
  reloads: 0,
  metrics: "# HELP a b\n",
  defects: [] as unknown[],
  purges: [] as [wish: PurgeWish, from: string][],
  wishes: [] as [upstream: string, endpoint: string, wish: EndpointWish][],
};
const [SAMPLE_UPSTREAM] = SAMPLE_STATUS.upstreams;
const SAMPLE_ENDPOINT = SAMPLE_UPSTREAM?.endpoints[0] as NonNullable<
  (typeof SAMPLE_STATUS.upstreams)[number]["endpoints"][number]
>;
const EVENT = {
  at: "2026-02-01T00:00:00.000Z",
  upstream: "app",
  endpoint: "app.internal:3000",
  from: "up",
  to: "down",
  reason: "check_status",
  why: "checks get an unexpected status: HTTP 503",
} as const;
const PURGE: PurgeEvent = {
  at: "2026-02-01T00:00:00.000Z",
  kind: "url",
  names: ["a.test/"],
  soft: false,
  via: "admin",
  from: "127.0.0.1",
  by: "eve",
};
const reloadAnswer = (): ReloadAnswer => ({
  applied: state.isApplied,
  configVersion: 4,
  at: "now",
  problems: [],
});
const hooks: AdminHooks = {
  isReady: () => state.isReady,
  status: () => SAMPLE_STATUS,
  metrics: () => state.metrics,
  reload: () => {
    state.reloads++;
    return Promise.resolve(reloadAnswer());
  },
  live: () => ({ ...SAMPLE_STATUS, configVersion: 99 }),
  events: () => [EVENT],
  changeEndpoint: (upstream, endpoint, wish) => {
    state.wishes.push([upstream, endpoint, wish]);
    return SAMPLE_ENDPOINT;
  },
  purge: (wish, from) => {
    state.purges.push([wish, from]);
    return Promise.resolve({ ...PURGE, purged: ["a.test/"] });
  },
  purges: () => [PURGE],
  showCached: (question) => {
    return Promise.resolve({ url: question.url, vary: [], routes: ["web"], objects: [] });
  },
  topCached: (limit) => Promise.resolve({ looked: limit, objects: 9, rows: [] }),
};

const start = (token?: string, address: Address = LOCAL, more: Partial<AdminHooks> = {}) =>
  startAdmin({
    address,
    token,
    hooks: { ...hooks, ...more },
    reusePort: true,
    onDefect: (error) => state.defects.push(error),
  });

let open: AdminServer;
let closed: AdminServer;
let folder = "";
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "weir-admin-"));
  open = await start();
  closed = await start(TOKEN.replace(" ", "-"));
});
afterAll(async () => {
  await open.stop();
  await closed.stop();
  rmSync(folder, { recursive: true, force: true });
});

const ask = (path: string, init: RequestInit = {}, server = open) =>
  fetch(`http://127.0.0.1:${server.port}${path}`, { redirect: "manual", ...init });

describe("what is answered", () => {
  test("/healthz is alive", async () => {
    const answer = await ask("/healthz");
    expect([answer.status, await answer.text()]).toEqual([200, "ok\n"]);
  });

  test("/readyz follows the process", async () => {
    expect((await ask("/readyz")).status).toBe(200);
    state.isReady = false;
    const answer = await ask("/readyz");
    expect([answer.status, await answer.text()]).toEqual([503, "not ready\n"]);
    state.isReady = true;
  });

  test("/metrics is Prometheus text 0.0.4", async () => {
    const answer = await ask("/metrics");
    expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(await answer.text()).toBe(state.metrics);
  });

  test("/metrics says so when metrics are off", async () => {
    const server = await start(undefined, LOCAL, { metrics: () => "" });
    const answer = await ask("/metrics", {}, server);
    expect(answer.status).toBe(404);
    expect(await answer.text()).toContain("observe.metrics");
    await server.stop();
  });

  test("/api/v1/status is the status as JSON, whatever query follows", async () => {
    for (const path of ["/api/v1/status", "/api/v1/status?x=/y"]) {
      const answer = await ask(path);
      expect(answer.headers.get("content-type")).toBe("application/json");
      expect(await answer.json()).toEqual(SAMPLE_STATUS);
    }
  });

  test("/api/v1/reload applies, and says 409 when the running configuration goes on", async () => {
    const before = state.reloads;
    const applied = await ask("/api/v1/reload", { method: "POST" });
    expect([applied.status, await applied.json()]).toEqual([200, reloadAnswer()]);
    state.isApplied = false;
    const refused = await ask("/api/v1/reload", { method: "POST" });
    expect([refused.status, await refused.json()]).toEqual([409, reloadAnswer()]);
    state.isApplied = true;
    expect(state.reloads).toBe(before + 2);
  });

  test("HEAD is GET without a body", async () => {
    const answer = await ask("/api/v1/status", { method: "HEAD" });
    expect([answer.status, await answer.text()]).toEqual([200, ""]);
  });

  test("the page comes with a policy that lets nothing in", async () => {
    const answer = await ask("/");
    expect(answer.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(answer.headers.get("content-security-policy")).toMatch(
      /^default-src 'none'; script-src 'sha256-\S+'; style-src 'sha256-\S+';.*frame-ancestors 'none'$/,
    );
    for (const [name, value] of [
      ["x-content-type-options", "nosniff"],
      ["x-frame-options", "DENY"],
      ["cache-control", "no-store"],
      ["referrer-policy", "no-referrer"],
    ] as const) {
      expect(answer.headers.get(name)).toBe(value);
    }
    expect(await answer.text()).toStartWith("<!doctype html>");
  });
});

describe("endpoints", () => {
  const HOST = "app.internal:3000";
  const pathOf = (upstream: string, endpoint: string) =>
    `/api/v1/upstreams/${encodeURIComponent(upstream)}/endpoints/${encodeURIComponent(endpoint)}`;
  const set = (path: string, body: string, server = open) => ask(path, { method: "POST", body }, server);

  test("/api/v1/upstreams, /events and /live show what is there", async () => {
    expect(await (await ask("/api/v1/upstreams")).json()).toEqual({ upstreams: SAMPLE_STATUS.upstreams });
    expect(await (await ask("/api/v1/events")).json()).toEqual({ events: [EVENT], purges: [PURGE] });
    expect(await (await ask("/api/v1/live")).json()).toMatchObject({ configVersion: 99 });
  });

  test("a wish is handed on, and the endpoint as it is then is the answer", async () => {
    const wish = { state: "drain", weight: 3, note: "new disk" } as const;
    const answer = await set(pathOf("app", HOST), JSON.stringify(wish));
    expect([answer.status, await answer.json()]).toEqual([200, { upstream: "app", ...SAMPLE_ENDPOINT }]);
    expect(state.wishes.at(-1)).toEqual(["app", HOST, wish]);
    expect((await set(pathOf("app", HOST), '{"weight":"configured"}')).status).toBe(200);
  });

  const endpoint = pathOf("app", HOST);
  const rows: [what: string, path: string, body: string, status: number, error: string][] = [
    ["an unknown upstream", pathOf("ap", HOST), '{"state":"up"}', 404, 'did you mean "app"?'],
    [
      "an unknown endpoint",
      pathOf("app", "app.internal:3001"),
      '{"state":"up"}',
      404,
      `did you mean "${HOST}"?`,
    ],
    ["a name far from all", pathOf("app", "192.0.2.1:1"), '{"state":"up"}', 404, `there is ${HOST}`],
    [
      "a name that is not percent-encoded",
      "/api/v1/upstreams/app/endpoints/%zz",
      '{"state":"up"}',
      400,
      "percent",
    ],
    ["no body", endpoint, "", 400, "not JSON"],
    ["a list", endpoint, "[]", 400, "not a JSON object"],
    ["nothing to set", endpoint, '{"note":"x"}', 400, "say what to set"],
    ["an unknown key", endpoint, '{"sate":"up"}', 400, 'did you mean "state"?'],
    ["an unknown state", endpoint, '{"state":"drian"}', 400, 'did you mean "drain"?'],
    ["a state of the wrong type", endpoint, '{"state":["up"]}', 400, "state is one of"],
    ["a negative weight", endpoint, '{"weight":-1}', 400, "from 0 to 1000"],
    ["a weight as text", endpoint, '{"weight":"5"}', 400, "from 0 to 1000"],
    ["a long note", endpoint, `{"state":"up","note":"${"x".repeat(201)}"}`, 400, "at most 200"],
    [
      "a note that makes a line of the log",
      endpoint,
      '{"state":"up","note":"a\\nb"}',
      400,
      "one line of text",
    ],
    [
      "a note that writes to terminals",
      endpoint,
      '{"state":"up","note":"\\u001b[2J"}',
      400,
      "one line of text",
    ],
  ];
  for (const [what, path, body, status, error] of rows) {
    test(`${what} is refused and said`, async () => {
      const before = state.wishes.length;
      const answer = await set(path, body);
      expect(answer.status).toBe(status);
      expect(await answer.json()).toMatchObject({ status, error: expect.stringContaining(error) });
      expect(state.wishes.length).toBe(before);
    });
  }

  test("an endpoint where nothing can be set gives 409", async () => {
    const server = await start(undefined, LOCAL, { changeEndpoint: () => undefined });
    expect((await set(endpoint, '{"state":"up"}', server)).status).toBe(409);
    await server.stop();
  });

  test("a wish is a change: GET, a page of another site and a missing token are refused", async () => {
    const before = state.wishes.length;
    expect((await ask(endpoint)).status).toBe(405);
    const foreign = { method: "POST", body: '{"state":"drain"}', headers: { Origin: "http://evil.example" } };
    expect((await ask(endpoint, foreign)).status).toBe(403);
    expect((await set(endpoint, '{"state":"drain"}', closed)).status).toBe(401);
    expect(state.wishes.length).toBe(before);
  });
});

describe("what is refused", () => {
  const rows: [what: string, path: string, init: RequestInit, status: number, allow: string | null][] = [
    ["an unknown path", "/nope", {}, 404, null],
    ["a name of Object.prototype", "/constructor", {}, 404, null],
    ["a path that only begins like one", "/healthz/x", {}, 404, null],
    ["a change by GET", "/api/v1/reload", {}, 405, "POST"],
    ["POST to what is read", "/api/v1/status", { method: "POST" }, 405, "GET, HEAD"],
    ["DELETE", "/", { method: "DELETE" }, 405, "GET, HEAD"],
    [
      "OPTIONS, so that no other site gets a preflight through",
      "/api/v1/reload",
      { method: "OPTIONS" },
      405,
      "POST",
    ],
    ["a huge body", "/api/v1/reload", { method: "POST", body: "x".repeat(100_000) }, 413, null],
  ];
  for (const [what, path, init, status, allow] of rows) {
    test(what, async () => {
      const answer = await ask(path, init);
      expect([answer.status, answer.headers.get("allow")]).toEqual([status, allow]);
    });
  }

  test("a defect in a hook is reported inside and not told outside", async () => {
    const server = await start(undefined, LOCAL, {
      status: () => {
        throw new Error("secret detail");
      },
      reload: () => Promise.reject(new Error("secret detail")),
    });
    for (const [path, method] of [
      ["/api/v1/status", "GET"],
      ["/", "GET"],
      ["/api/v1/reload", "POST"],
    ] as const) {
      const answer = await ask(path, { method }, server);
      expect(answer.status).toBe(500);
      expect(await answer.text()).not.toContain("secret");
    }
    expect(state.defects.length).toBe(3);
    await server.stop();
  });
});

describe("without a token only this machine's names are answered (DNS rebinding)", () => {
  const rows: [host: string, status: number][] = [
    ["localhost", 200],
    ["LOCALHOST:9900", 200],
    ["weir.localhost:1", 200],
    ["127.0.0.1", 200],
    ["127.1.2.3:80", 200],
    ["[::1]:9900", 200],
    ["[::1]", 200],
    ["evil.example", 403],
    ["evil.example:9900", 403],
    ["127.0.0.1.evil.example", 403],
    ["localhost.evil.example", 403],
    ["evillocalhost", 403],
    ["10.0.0.1", 403],
    ["user@localhost", 403],
  ];
  for (const [host, status] of rows) {
    test(`Host: ${host} gives ${status}`, async () => {
      for (const path of ["/api/v1/status", "/healthz"]) {
        expect((await ask(path, { headers: { Host: host } })).status).toBe(status);
      }
    });
  }

  test("with a token any name will do", async () => {
    const answer = await ask("/api/v1/status", { headers: { ...BEARER, Host: "weir.example" } }, closed);
    expect(answer.status).toBe(200);
  });
});

describe("a change asked for by a page", () => {
  const rows: [what: string, headers: Record<string, string>, status: number][] = [
    ["of no browser is accepted", {}, 200],
    ["of this very page is accepted", { "Sec-Fetch-Site": "same-origin" }, 200],
    ["typed by the user is accepted", { "Sec-Fetch-Site": "none" }, 200],
    ["of another site is refused", { "Sec-Fetch-Site": "cross-site" }, 403],
    ["of a sister site is refused", { "Sec-Fetch-Site": "same-site" }, 403],
    ["with a foreign Origin is refused", { Origin: "http://evil.example" }, 403],
    ["with another port's Origin is refused", { Origin: "http://127.0.0.1:1" }, 403],
    ["with an opaque Origin is refused", { Origin: "null" }, 403],
  ];
  for (const [what, headers, status] of rows) {
    test(what, async () => {
      expect((await ask("/api/v1/reload", { method: "POST", headers })).status).toBe(status);
      const withToken = await ask(
        "/api/v1/reload",
        { method: "POST", headers: { ...headers, ...BEARER } },
        closed,
      );
      expect(withToken.status).toBe(status);
    });
  }

  test("with its own Origin is accepted", async () => {
    const headers = { Origin: `http://127.0.0.1:${open.port}` };
    expect((await ask("/api/v1/reload", { method: "POST", headers })).status).toBe(200);
  });
});

describe("with a token", () => {
  const basic = (pair: string) => `Basic ${Buffer.from(pair).toString("base64")}`;
  const rows: [authorization: string | undefined, status: number][] = [
    [undefined, 401],
    ["Bearer", 401],
    ["Bearer wrong", 401],
    ["Bearer correct-hors", 401],
    ["Bearer correct-horse2", 401],
    ["correct-horse", 401],
    ["Digest correct-horse", 401],
    [basic("correct-horse"), 200],
    [basic("admin:wrong"), 401],
    [basic("admin:correct-horse"), 200],
    ["Bearer correct-horse", 200],
    ["bearer  correct-horse", 200],
  ];
  for (const [authorization, status] of rows) {
    test(`Authorization: ${authorization} gives ${status}`, async () => {
      const headers: Record<string, string> =
        authorization === undefined ? {} : { Authorization: authorization };
      for (const path of ["/", "/metrics", "/api/v1/status", "/nope"]) {
        const answer = await ask(path, { headers }, closed);
        expect(answer.status).toBe(path === "/nope" && status === 200 ? 404 : status);
        if (status === 401) expect(answer.headers.get("www-authenticate")).toStartWith('Bearer realm="weir"');
      }
    });
  }

  test("probes need none", async () => {
    for (const path of ["/healthz", "/readyz"]) expect((await ask(path, {}, closed)).status).toBe(200);
  });
});

describe("addresses", () => {
  test("an address that other machines reach is refused without a token", async () => {
    for (const host of ["0.0.0.0", "::", "192.0.2.1", "weir.example"]) {
      await expect(start(undefined, { kind: "tcp", host, port: 0 })).rejects.toThrow("needs a token");
    }
  });

  test("one that is in use is refused with the reason", async () => {
    const other = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
    const address: Address = { kind: "tcp", host: "127.0.0.1", port: other.port as number };
    await expect(start(undefined, address)).rejects.toThrow(
      /cannot listen on 127\.0\.0\.1:\d+: the address is in use/,
    );
    await other.stop(true);
  });

  test("a unix socket works, for its owner only, replaces the one before, and is taken away", async () => {
    const path = join(folder, "admin.sock");
    const first = await start(undefined, { kind: "unix", path });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const second = await start(undefined, { kind: "unix", path });
    await first.stop();
    expect(existsSync(path)).toBe(true);
    const answer = await fetch("http://any.example/healthz", { unix: path });
    expect([answer.status, second.port]).toEqual([200, undefined]);
    await second.stop();
    expect(existsSync(path)).toBe(false);
  });

  test("a reload that stops this very listener is still answered, and then nobody listens", async () => {
    const own: { server?: AdminServer } = {};
    own.server = await start(undefined, LOCAL, {
      reload: async () => {
        await own.server?.stop();
        return reloadAnswer();
      },
    });
    const { server } = own;
    expect((await ask("/api/v1/reload", { method: "POST" }, server)).status).toBe(200);
    await eventually(() =>
      ask("/healthz", {}, server).then(
        () => false,
        () => true,
      ),
    );
  });
});

describe("the cache", () => {
  const purge = (body: unknown, server = open) =>
    ask("/api/v1/cache/purge", { method: "POST", body: JSON.stringify(body) }, server);

  test("a purge is handed on with who asked, and answered once it is done", async () => {
    const answer = await purge({ tag: ["a", "b"], soft: true, by: "eve" });
    expect([answer.status, await answer.json()]).toEqual([200, { ...PURGE, purged: ["a.test/"] }]);
    const wish = { kind: "tag", names: ["a", "b"], isSoft: true, by: "eve" };
    expect(state.purges.at(-1)).toEqual([wish as PurgeWish, "127.0.0.1"]);
    await purge({ all: true });
    expect(state.purges.at(-1)?.[0]).toEqual({ kind: "all", names: [], isSoft: false, by: "" });
  });

  test("a purge needs the token, and is no GET", async () => {
    expect((await purge({ all: true }, closed)).status).toBe(401);
    expect((await ask("/api/v1/cache/purge")).status).toBe(405);
  });
});
