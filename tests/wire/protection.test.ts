import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { eventually } from "../support/eventually.ts";
import { startWeir, type Weir } from "../support/weir.ts";

/** Answers when it is told to, or with the status in the path at once; counts what it has at the same time. */
class SlowOrigin {
  readonly waiting: (() => void)[] = [];
  active = 0;
  mostActive = 0;
  readonly bodies: string[] = [];
  readonly #server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 0,
    fetch: (request) => this.#serve(request),
  });

  get address(): string {
    return `127.0.0.1:${this.#server.port}`;
  }

  async #serve(request: Request): Promise<Response> {
    const status = Number(new URL(request.url).pathname.slice(1));
    if (status > 0) return new Response("", { status });
    this.active++;
    this.mostActive = Math.max(this.mostActive, this.active);
    this.bodies.push(await request.text());
    await new Promise<void>((answer) => this.waiting.push(answer));
    this.active--;
    return new Response("done");
  }

  answer(count = 1): void {
    for (const answer of this.waiting.splice(0, count)) answer();
  }

  stop(): void {
    void this.#server.stop(true);
  }
}

const metric = async (weir: Weir, line: string) => {
  const found = (await weir.metrics()).split("\n").find((text) => text.startsWith(`${line} `));
  return Number(found?.slice(line.length + 1));
};

describe("limits and breaker at the real program", () => {
  let origin: SlowOrigin;
  let weir: Weir;
  const urlOf = (path = "/") => `http://127.0.0.1:${weir.port()}${path}`;
  const configOf = (connections: number) => `
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { name: bad, match: { path: /b/* }, to: bad, rewrite: { stripPrefix: /b } }, { name: app, to: app } ]
upstreams:
  app: { endpoints: ["${origin.address}"], limits: { connections: ${connections}, queue: 4, queueTimeout: 1500ms } }
  bad: { endpoints: ["${origin.address}"], breaker: { minRequests: 4, window: 10s, open: 30s } }
`;
  const waits = (count: number) =>
    eventually(async () => (await metric(weir, 'weir_upstream_queue_length{upstream="app"}')) === count);

  beforeAll(async () => {
    origin = new SlowOrigin();
    weir = await startWeir(configOf(2));
  });
  afterAll(async () => {
    await weir.stop();
    origin.stop();
  });

  test("what is beyond the limit waits with its body, then is served; a full queue answers 503 with Retry-After", async () => {
    const running = [1, 2].map(() => fetch(urlOf()));
    await eventually(() => origin.waiting.length === 2);
    const queued = [1, 2, 3, 4].map((number) =>
      fetch(urlOf(), { method: "POST", body: `body ${number}`.repeat(20_000) }),
    );
    await waits(4);
    const refused = await fetch(urlOf());
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
    for (let answered = 0; answered < 6; answered++) {
      await eventually(() => origin.waiting.length > 0);
      origin.answer();
    }
    const statuses = (await Promise.all([...running, ...queued])).map(({ status }) => status);
    expect(statuses).toEqual([200, 200, 200, 200, 200, 200]);
    expect(origin.mostActive).toBe(2);
    expect(origin.bodies.filter((body) => body !== "").map((body) => body.length)).toEqual(
      [1, 2, 3, 4].map(() => 6 * 20_000),
    );
    expect(await metric(weir, 'weir_upstream_places_used{upstream="app"}')).toBe(0);
    expect(await metric(weir, 'weir_upstream_refused_total{upstream="app",reason="queue_full"}')).toBe(1);
  });

  test("a client that leaves while it waits is forgotten; one that waits too long gets 503", async () => {
    const running = [1, 2].map(() => fetch(urlOf()));
    await eventually(() => origin.waiting.length === 2);
    const leaving = new AbortController();
    const gone = fetch(urlOf(), { signal: leaving.signal }).catch(() => "gone");
    await waits(1);
    leaving.abort();
    expect(await gone).toBe("gone");
    await waits(0);
    const late = await fetch(urlOf());
    expect(late.status).toBe(503);
    origin.answer(2);
    await Promise.all(running);
    expect(await metric(weir, 'weir_upstream_refused_total{upstream="app",reason="queue_timeout"}')).toBe(1);
  });

  test("a reload with a higher limit lets those who wait go on", async () => {
    const running = [1, 2, 3].map(() => fetch(urlOf()));
    await waits(1);
    expect(await weir.reload(configOf(3))).toBe(true);
    await eventually(() => origin.waiting.length === 3);
    origin.answer(3);
    expect((await Promise.all(running)).map(({ status }) => status)).toEqual([200, 200, 200]);
    await waits(0);
  });

  test("an upstream that only fails is not asked any more: 503, with the time until it is", async () => {
    for (let turn = 0; turn < 4; turn++) expect((await fetch(urlOf("/b/500"))).status).toBe(500);
    const refused = await fetch(urlOf("/b/200"));
    expect(refused.status).toBe(503);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(20);
    expect(await metric(weir, 'weir_upstream_breakers_open{upstream="bad"}')).toBe(1);
    expect(await weir.reload(configOf(3))).toBe(true);
    expect((await fetch(urlOf("/b/200"))).status).toBe(503);
  });
});

describe("endpoints that change while requests wait", () => {
  const slow = new SlowOrigin();
  const other = new SlowOrigin();
  afterAll(() => {
    slow.stop();
    other.stop();
  });
  const configOf = (endpoints: string, limits: string) => `
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { name: app, to: app } ]
upstreams: { app: { endpoints: [${endpoints}], limits: { ${limits}, queue: 4, queueTimeout: 8s } } }
`;

  test("when all are replaced, those who wait go to the new ones", async () => {
    const weir = await startWeir(configOf(`"${slow.address}"`, "connections: 1"));
    const url = `http://127.0.0.1:${weir.port()}/`;
    try {
      const running = fetch(url);
      await eventually(() => slow.waiting.length === 1);
      const waiting = fetch(url);
      await eventually(async () => (await metric(weir, 'weir_upstream_queue_length{upstream="app"}')) === 1);
      expect(await weir.reload(configOf(`"${other.address}"`, "connections: 1"))).toBe(true);
      slow.answer();
      await eventually(() => other.waiting.length === 1);
      other.answer();
      expect([(await running).status, (await waiting).status, slow.bodies.length]).toEqual([200, 200, 1]);
    } finally {
      await weir.stop();
    }
  });

  test("when one is put up again, those who wait go there at once", async () => {
    const weir = await startWeir(configOf(`"${slow.address}", "${other.address}"`, "perEndpoint: 1"));
    const url = `http://127.0.0.1:${weir.port()}/`;
    const set = (state: string) =>
      fetch(new URL(`/api/v1/upstreams/app/endpoints/${encodeURIComponent(other.address)}`, weir.admin), {
        method: "POST",
        body: JSON.stringify({ state }),
      });
    try {
      expect((await set("maintenance")).status).toBe(200);
      const running = fetch(url);
      await eventually(() => slow.waiting.length === 1);
      const waiting = fetch(url);
      await eventually(async () => (await metric(weir, 'weir_upstream_queue_length{upstream="app"}')) === 1);
      expect((await set("up")).status).toBe(200);
      await eventually(() => other.waiting.length === 1, 2000, "the one who waited to be sent");
      other.answer();
      slow.answer();
      expect([(await running).status, (await waiting).status]).toEqual([200, 200]);
    } finally {
      await weir.stop();
    }
  });
});
