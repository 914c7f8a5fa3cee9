/**
 * The public suite for HTTP caches against `cache: { enabled: true }` and nothing else.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { startWeir, type Weir } from "../support/weir.ts";
import { NOT_OURS } from "./cache-suite.table.ts";
import {
  type Kind,
  runSuite,
  SUITE_MS,
  type SuiteRow,
  type SuiteServer,
  startSuiteServer,
} from "./cache-suite.ts";

/** Fewer rows than this, and the suite has not run as it should. */
const MIN_ROWS = 360;
/** Room for the start of two programs. */
const START_MS = 20_000;

let server: SuiteServer | undefined;
let weir: Weir | undefined;
let rows: readonly SuiteRow[] = [];

beforeAll(async () => {
  server = await startSuiteServer();
  weir = await startWeir(`
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { to: "http://127.0.0.1:${server.port}", cache: { enabled: true } } ]
`);
  rows = await runSuite(`http://127.0.0.1:${weir.port()}`);
}, SUITE_MS + START_MS);

afterAll(async () => {
  await weir?.stop();
  await server?.stop();
});

const failures = (kind: Kind) =>
  rows
    .filter((row) => row.kind === kind && row.outcome === "fail" && NOT_OURS[row.id] === undefined)
    .map(({ group, id, detail }) => `${group}: ${id}: ${detail}`);

test("the suite has run", () => {
  expect(rows.length).toBeGreaterThanOrEqual(MIN_ROWS);
  expect(rows.filter((row) => row.outcome === "pass").length).toBeGreaterThan(MIN_ROWS / 2);
});

test("no required row fails but those that the table excuses", () => {
  expect(failures("required")).toEqual([]);
});

test("no optional row fails but those that the table excuses", () => {
  expect(failures("optimal")).toEqual([]);
});

test("the table excuses nothing that passes", () => {
  const passed = rows.filter(({ id, outcome }) => outcome === "pass" && NOT_OURS[id] !== undefined);
  expect(passed.map(({ id }) => id)).toEqual([]);
});
