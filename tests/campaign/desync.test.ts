/**
 * Desync: random pipelined conversations, whole, broken, cut and half-closed, against an origin that answers in every
 * way it can.
 *
 * use    WEIR_LAWS_SEED=7 repeats a run; WEIR_LAWS_SECONDS=600 looks longer
 */
import { afterEach, expect, test } from "bun:test";
import { Chance } from "../laws/chance.ts";
import { Stage } from "../support/stage.ts";
import { converse, Ledger } from "./desync.ts";
import { desyncOrigin } from "./desync-origin.ts";

const stage = new Stage();
const CLEAR_MS = 20_000;
afterEach(() => stage.clear(), CLEAR_MS);

const { WEIR_LAWS_SECONDS, WEIR_LAWS_SEED } = process.env;
const SECONDS = Number(WEIR_LAWS_SECONDS ?? 5);
const FIRST_SEED = WEIR_LAWS_SEED === undefined ? Date.now() & 0xffffff : Number(WEIR_LAWS_SEED);
const LANES = 8;
/** Below this the machine was too busy for the run to mean much, or something hangs. */
const MIN_ANSWERS = 200;

const config = (address: string) => `
listeners: { web: { bind: "127.0.0.1:0", limits: { body: 1MiB } } }
routes:
  - { to: app }
  - { match: { path: /local/* }, respond: { status: 200, body: "local" } }
upstreams: { app: [ "${address}" ] }
`;

test(
  "every answer belongs to its request, what was not sent whole reaches nobody, a refusal is the last word",
  async () => {
    const ledger = new Ledger();
    const origin = await stage.origin(desyncOrigin(ledger));
    const weir = await stage.weir(config(origin.address));
    const deadlineMs = performance.now() + SECONDS * 1000;
    let seed = FIRST_SEED;
    const lane = async () => {
      while (performance.now() < deadlineMs && ledger.problems.length === 0) {
        const chance = new Chance(seed++);
        await converse(weir.port(), ledger, chance).catch((error: unknown) => {
          ledger.problems.push(`seed ${chance.seed}: ${String(error)}`);
        });
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    expect(ledger.problems, `WEIR_LAWS_SEED=${FIRST_SEED}`).toEqual([]);
    expect(weir.stderr()).not.toMatch(/TypeError|internal/);
    expect(ledger.answers).toBeGreaterThan(MIN_ANSWERS);
    expect(ledger.refusals).toBeGreaterThan(MIN_ANSWERS / 20);
  },
  SECONDS * 1000 + 30_000,
);
