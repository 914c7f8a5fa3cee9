/**
 * Renewal, retries and renewal information, with a clock of the test's own.
 */
import { afterEach, expect, test } from "bun:test";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import type { Timing } from "../../src/acme/timing.ts";
import type { AcmeConfig } from "../../src/config/config.ts";
import { eventually } from "../support/eventually.ts";
import { type Pebble, startPebble } from "../support/pebble.ts";
import { freePort } from "../support/ports.ts";
import { hasProc } from "../support/proc.ts";
import { needs } from "../support/tools.ts";
import { ScriptedAuthority, type ScriptedOptions } from "./scripted-authority.ts";
import { ISSUE_MS, Stage } from "./stage.ts";

const NAME = "app.example.com";
const CASE_MS = ISSUE_MS * 2;
const DAY_MS = 86_400_000;
const HOUR_MS = 3600_000;
const TICK_MS = 10;
const opened: { stop(): Promise<void> }[] = [];

afterEach(async () => {
  for (const part of opened.splice(0)) await part.stop();
});

/** A clock that jumps: whoever waits looks again within milliseconds, whatever the wait. */
class Leaping implements Timing {
  leapMs = 0;
  nowMs = () => Date.now() + this.leapMs;
  random = () => 0.5;
  after(delayMs: number, run: () => void): () => void {
    const timer = setTimeout(run, Math.min(delayMs, TICK_MS));
    return () => clearTimeout(timer);
  }
}

async function open(options: ScriptedOptions = {}) {
  const stage = await Stage.open();
  opened.push({ stop: () => stage.close() });
  const authority = await ScriptedAuthority.start(options);
  opened.push(authority);
  const timing = new Leaping();
  return { stage, authority, timing, acme: { authorities: [authority.config] } };
}

/** Long enough for many looks. */
const looks = () => Bun.sleep(TICK_MS * 20);

test("a certificate is renewed at two thirds of its life, with a new key, and not before", async () => {
  const { stage, authority, timing, acme } = await open();
  stage.start(stage.config(acme), timing);
  const first = await stage.issued(NAME);
  timing.leapMs = 55 * DAY_MS;
  await looks();
  expect(authority.orders.length).toBe(1);
  timing.leapMs = 62 * DAY_MS;
  const second = await stage.issued(NAME, first.id);
  expect(second.certificate?.pair.key).not.toBe(first.certificate?.pair.key);
  // the authority's clock is the real one: by ours even the new certificate is past two thirds of its life
  await looks();
  expect(authority.orders.length).toBe(2);
});

test(
  "while renewal fails the certificate stays, on the board and on disk, and tries are put off longer and longer",
  async () => {
    const { stage, authority, timing, acme } = await open();
    stage.start(stage.config(acme), timing);
    const { id } = await stage.issued(NAME);
    const path = join(stage.storage, "certificates", `${NAME}.pem`);
    const stored = readFileSync(path, "utf8");
    authority.refusal = { status: 403, type: "unauthorized" };
    timing.leapMs = 70 * DAY_MS;
    await stage.logged("next try");
    expect(await stage.logged("next try")).toContain("the certificate that is there stays in use");
    const triesAt: number[] = [];
    for (let count = authority.orders.length; triesAt.length < 7; timing.leapMs += 30_000) {
      await Bun.sleep(TICK_MS * 2);
      if (authority.orders.length === count) continue;
      count = authority.orders.length;
      triesAt.push(timing.leapMs);
    }
    const gapsMs = triesAt.slice(1).map((at, index) => at - (triesAt[index] ?? 0));
    expect(gapsMs.at(-1)).toBeGreaterThan(HOUR_MS / 4);
    expect(Math.min(...gapsMs)).toBeGreaterThanOrEqual(30_000);
    expect([stage.offer(NAME)?.certificate?.pair.id, readFileSync(path, "utf8")]).toEqual([id, stored]);
    expect(stage.offer(NAME)?.lastError).toContain("unauthorized");
    authority.refusal = undefined;
    timing.leapMs += DAY_MS;
    await stage.issued(NAME, id);
    expect(stage.offer(NAME)?.lastError).toBeUndefined();
  },
  CASE_MS,
);

const WAITS: readonly [what: string, refusal: { status: number; type: string; retryAfter: string }][] = [
  ["in seconds", { status: 429, type: "rateLimited", retryAfter: "36000" }],
  [
    "as a date",
    { status: 503, type: "serverInternal", retryAfter: new Date(Date.now() + 10 * HOUR_MS).toUTCString() },
  ],
];
for (const [what, refusal] of WAITS) {
  test(`Retry-After ${what} is honoured (RFC 8555 §6.6)`, async () => {
    const { stage, authority, timing, acme } = await open();
    authority.refusal = refusal;
    stage.start(stage.config(acme), timing);
    await stage.logged("next try");
    authority.refusal = undefined;
    timing.leapMs = 9 * HOUR_MS;
    await looks();
    expect(authority.orders.length).toBe(1);
    timing.leapMs = 11 * HOUR_MS;
    await stage.issued(NAME);
  });
}

test("a reload tries a name that failed again, once a minute at the most", async () => {
  const { stage, authority, timing, acme } = await open();
  authority.refusal = { status: 429, type: "rateLimited", retryAfter: "86400" };
  const keeper = stage.start(stage.config(acme), timing);
  await stage.logged("next try");
  authority.refusal = undefined;
  keeper.keep(stage.config(acme));
  await looks();
  expect(authority.orders.length).toBe(1);
  timing.leapMs = 61_000;
  await stage.issued(NAME);
});

test("a clock that was set back makes no wait longer than it was meant to be", async () => {
  const { stage, authority, timing, acme } = await open();
  authority.refusal = { status: 429, type: "rateLimited", retryAfter: "3600" };
  timing.leapMs = 300 * DAY_MS;
  stage.start(stage.config(acme), timing);
  await stage.logged("next try");
  authority.refusal = undefined;
  timing.leapMs = 0;
  await looks();
  expect(authority.orders.length).toBe(1);
  timing.leapMs = 2 * HOUR_MS;
  await stage.issued(NAME);
});

test("renewal follows the window that the authority suggests, and says which certificate it replaces (RFC 9773)", async () => {
  const { stage, authority, timing, acme } = await open({ hasRenewalInfo: true });
  const startMs = Date.now() + 10 * DAY_MS;
  authority.window = { startMs, endMs: startMs + DAY_MS };
  stage.start(stage.config(acme), timing);
  const { id } = await stage.issued(NAME);
  timing.leapMs = 7 * HOUR_MS;
  await eventually(() => authority.advised.length === 1, ISSUE_MS, "renewal information to be asked for");
  await stage.logged("as its authority asks");
  const renewsAtMs = stage.offer(NAME)?.renewsAtMs ?? 0;
  expect(renewsAtMs).toBeGreaterThanOrEqual(startMs);
  expect(renewsAtMs).toBeLessThanOrEqual(startMs + DAY_MS);
  timing.leapMs = 12 * DAY_MS;
  await stage.issued(NAME, id);
  expect(authority.orders[1]?.["replaces"]).toBe(authority.advised[0]);
  expect(authority.advised[0]).toMatch(/^[\w-]{27}\.[\w-]+$/);
});

test("a window in the past means now", async () => {
  const { stage, authority, timing, acme } = await open({ hasRenewalInfo: true });
  authority.window = { startMs: Date.now() - 2 * DAY_MS, endMs: Date.now() - DAY_MS };
  stage.start(stage.config(acme), timing);
  const { id } = await stage.issued(NAME);
  timing.leapMs = 2 * DAY_MS; // the new certificate has had its rest
  await stage.issued(NAME, id);
});

const WRONG: readonly [what: string, set: (authority: ScriptedAuthority) => void, said: string][] = [
  [
    "for another name",
    (authority) => (authority.issuedName = "other.example.com"),
    "it is for other.example.com",
  ],
  [
    "with another key",
    (authority) => (authority.isKeyKept = false),
    "the key does not belong to the certificate",
  ],
];
for (const [what, set, said] of WRONG) {
  test(`a certificate ${what} is not used and not stored`, async () => {
    const { stage, authority, timing, acme } = await open();
    set(authority);
    stage.start(stage.config(acme), timing);
    expect(await stage.logged("next try")).toContain(said);
    expect(stage.offer(NAME)?.certificate).toBeUndefined();
    expect(() => readFileSync(join(stage.storage, "certificates", `${NAME}.pem`))).toThrow("ENOENT");
  });
}

test(
  "no more than four orders are under way at once",
  async () => {
    const { stage, authority, timing, acme } = await open();
    const names = Array.from({ length: 20 }, (_, index) => `n${index}.example.com`);
    let most = 0;
    const publish = stage.setOffers.bind(stage);
    stage.setOffers = (listener, offers) => {
      const ordering = stage.lines.filter((line) => line.includes("ordering")).length;
      most = Math.max(
        most,
        ordering - stage.lines.filter((line) => line.includes("certificate from")).length,
      );
      return publish(listener, offers);
    };
    stage.start(stage.config({ ...acme, names }), timing);
    for (const name of names) await stage.issued(name);
    expect(most).toBeLessThanOrEqual(4);
    expect(authority.orders.length).toBe(20);
  },
  CASE_MS,
);

test("a certificate of an authority that is no longer wanted is replaced at once, and serves until then", async () => {
  const { stage, timing, acme } = await open({ name: "staging" });
  const keeper = stage.start(stage.config(acme), timing);
  const { id } = await stage.issued(NAME);
  const real = await ScriptedAuthority.start({ name: "real" });
  opened.push(real);
  real.refusal = { status: 503 };
  keeper.keep(stage.config({ authorities: [real.config] }));
  await stage.logged("the certificate that is there stays in use");
  expect(stage.offer(NAME)?.certificate?.pair.id).toBe(id);
  real.refusal = undefined;
  timing.leapMs = HOUR_MS;
  expect((await stage.issued(NAME, id)).origin).toBe("real");
});

test("names that a reload adds are ordered, those that it removes are no longer offered", async () => {
  const { stage, timing, acme } = await open();
  const keeper = stage.start(stage.config({ ...acme, names: ["a.example.com", "b.example.com"] }), timing);
  await stage.issued("a.example.com");
  await stage.issued("b.example.com");
  keeper.keep(stage.config({ ...acme, names: ["b.example.com", "c.example.com"] }));
  await stage.issued("c.example.com");
  expect(stage.offers.get("web")?.flatMap(({ names }) => names)).toEqual(["b.example.com", "c.example.com"]);
  keeper.keep({ listeners: [] } as unknown as Parameters<typeof keeper.keep>[0]);
  expect(stage.offers.size).toBe(0);
});

test("one name on two listeners is one order", async () => {
  const { stage, authority, timing, acme } = await open();
  const [one, two] = [stage.config(acme, "one"), stage.config(acme, "two")];
  stage.start({ ...one, listeners: [...one.listeners, ...two.listeners] }, timing);
  await eventually(
    () => stage.offer(NAME, "two")?.certificate,
    ISSUE_MS,
    "the certificate on the second listener",
  );
  expect(stage.offer(NAME, "one")?.certificate?.pair.id).toBe(
    stage.offer(NAME, "two")?.certificate?.pair.id as string,
  );
  expect(authority.orders.length).toBe(1);
});

test("a restart lets go of the folder, and what is stored is used without asking", async () => {
  const { stage, authority, timing, acme } = await open();
  const config = stage.config(acme);
  const lock = join(stage.storage, "lock");
  const keeper = stage.start(config, timing);
  const { id } = await stage.issued(NAME);
  expect(JSON.parse(readFileSync(lock, "utf8")).pid).toBe(process.pid);
  keeper.stop();
  expect(() => readFileSync(lock)).toThrow("ENOENT");
  stage.offers.clear();
  stage.start(config, timing);
  expect((await stage.issued(NAME)).id).toBe(id);
  await looks();
  expect(authority.orders.length).toBe(1);
});

test.skipIf(!hasProc)(
  "while another process keeps the folder nothing is ordered, and its end is noticed",
  async () => {
    const { stage, authority, timing, acme } = await open();
    const config = stage.config(acme);
    const keeper = stage.start(config, timing);
    const { id } = await stage.issued(NAME);
    keeper.stop();
    const path = join(stage.storage, "certificates", `${NAME}.pem`);
    const written = readFileSync(path, "utf8");
    rmSync(path);
    stage.offers.clear();
    const owner = Bun.spawn(["sleep", "60"]);
    try {
      const stat = readFileSync(`/proc/${owner.pid}/stat`, "utf8");
      const beganAt = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
      writeFileSync(
        join(stage.storage, "lock"),
        JSON.stringify({ host: hostname(), pid: owner.pid, beganAt }),
      );
      stage.start(config, timing);
      expect(await stage.logged("keeps the certificates")).toContain(`process ${owner.pid}`);
      await looks();
      expect(authority.orders.length).toBe(1);
      writeFileSync(path, written); // the one that keeps it has renewed
      expect((await stage.issued(NAME)).id).toBe(id);
    } finally {
      owner.kill();
      await owner.exited;
    }
    await stage.logged("are kept by this process now");
    timing.leapMs = 62 * DAY_MS;
    await stage.issued(NAME, id);
  },
);

test("a reload with another storageKey seals everything anew, and nothing is ordered for it", async () => {
  const { stage, authority, timing, acme } = await open();
  const keyed = (storageKey: string) => stage.config({ ...acme, storageKey });
  const keeper = stage.start(keyed("the old passphrase"), timing);
  const { id } = await stage.issued(NAME);
  keeper.read(keyed("the new passphrase"));
  keeper.keep(keyed("the new passphrase"));
  keeper.stop();
  stage.offers.clear();
  stage.start(keyed("the new passphrase"), timing);
  expect((await stage.issued(NAME)).id).toBe(id);
  timing.leapMs = 62 * DAY_MS; // with the same account
  await stage.issued(NAME, id);
  expect(authority.accounts).toBe(1);
  expect(stage.lines.filter((line) => line.startsWith("error"))).toEqual([]);
});

test(
  "on demand: ten new names an hour for a listener, and a name that failed is not asked for again at once",
  async () => {
    const { stage, authority, timing, acme } = await open();
    const onDemand: Partial<AcmeConfig> = { ...acme, names: [], onDemand: ["*.example.com"] };
    stage.start(stage.config(onDemand), timing);
    for (let index = 0; index < 15; index++) stage.want(`n${index}.example.com`);
    await stage.logged("too many names");
    await stage.issued("n9.example.com");
    expect(stage.offers.get("web")?.length).toBe(10);
    timing.leapMs = HOUR_MS + 60_000;
    authority.refusal = { status: 403, type: "unauthorized" };
    stage.want("n12.example.com");
    await stage.logged("n12.example.com: ");
    await eventually(() => stage.offer("n12.example.com")?.lastError, ISSUE_MS, "the refusal");
    const before = authority.orders.length;
    for (let count = 0; count < 5; count++) stage.want("n12.example.com");
    await looks();
    expect(authority.orders.length).toBe(before);
  },
  CASE_MS,
);

test("on demand: a certificate that expired without renewal is forgotten", async () => {
  const { stage, authority, timing, acme } = await open();
  stage.start(stage.config({ ...acme, names: [], onDemand: [NAME] }), timing);
  stage.want(NAME);
  await stage.issued(NAME);
  authority.refusal = { status: 403, type: "unauthorized" };
  timing.leapMs = 91 * DAY_MS;
  await eventually(() => stage.offer(NAME) === undefined, ISSUE_MS, "the name to be forgotten");
  expect(() => readFileSync(join(stage.storage, "certificates", `${NAME}.pem`))).toThrow("ENOENT");
});

test.skipIf(!needs("pebble"))(
  "an authority that is down at start is asked again until it is there",
  async () => {
    const { stage, timing } = await open();
    const port = await freePort();
    const authorities = [
      { name: "pebble", directory: `https://127.0.0.1:${port}/dir`, externalAccount: undefined },
    ];
    const away = stage.start(stage.config({ authorities }), timing);
    expect(await stage.logged("next try")).toContain("cannot be reached");
    const pebble: Pebble = await startPebble({ port, httpPort: stage.httpPort });
    opened.push(pebble);
    away.keep(stage.config({ authorities, directoryCa: pebble.caFile }));
    timing.leapMs = 2 * HOUR_MS;
    await stage.issued(NAME);
  },
  CASE_MS,
);
