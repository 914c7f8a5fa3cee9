/**
 * Certificates: from files to every worker, at a start, a change, a reload, and for a worker that comes later.
 */
import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Issued, testAuthority } from "../support/certificates.ts";
import { eventually } from "../support/eventually.ts";
import { Control, LOOPBACK, type TestPlan } from "./processes.ts";

const ca = await testAuthority();
const first = await ca.issue({ names: ["first.test"] });
const second = await ca.issue({ names: ["second.test"] });

/** Two looks and the patience with a pair that is half replaced, on a busy machine. */
const TOLD_MS = 15_000;
setDefaultTimeout(4 * TOLD_MS);

let folder = "";
let control: Control | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "weir-certificates-"));
});
afterEach(async () => {
  await control?.stop();
  control = undefined;
  rmSync(folder, { recursive: true });
});

function put(name: string, { cert, key }: Issued) {
  const pair = { cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
  writeFileSync(pair.cert, cert);
  writeFileSync(pair.key, key);
  return pair;
}

const planOf = (certificates: readonly { cert: string; key: string }[], workers = 2): TestPlan => ({
  workers,
  listeners: [{ name: "web", bind: [LOOPBACK], certificates }],
});

/** What the workers have, by process. */
async function seen(weir: Control): Promise<Map<number, readonly string[]>> {
  const found = new Map<number, readonly string[]>();
  for (let ask = 0; ask < 16; ask++) {
    const { pid, certificates } = await weir.get();
    found.set(pid, certificates);
  }
  return found;
}

async function allHave(weir: Control, names: readonly string[], workers = 2): Promise<void> {
  const check = async () => {
    const found = await seen(weir);
    return found.size === workers && [...found.values()].every((have) => `${have}` === `${names}`);
  };
  await eventually(check, TOLD_MS, `every worker to have ${names}`);
}

test("workers have them from the start, and status and metrics show them", async () => {
  control = await Control.start(planOf([put("a", first), put("b", second)]));
  await allHave(control, ["first.test", "second.test"]);
  const { certificates } = await control.status();
  expect(certificates).toMatchObject([
    { listener: "web", names: ["first.test"], source: "file", keyType: "EC P-256", isDefault: true },
    { listener: "web", names: ["second.test"], origin: join(folder, "b.pem"), isDefault: false },
  ]);
  const metrics = await control.metrics();
  const seconds = Date.parse(certificates[0]?.notAfter ?? "") / 1000;
  const labels = 'listener="web",name="first.test",source="file"';
  expect(metrics).toContain(`weir_certificate_not_after_seconds{${labels}} ${seconds}`);
});

test("a replaced pair reaches every worker without a reload, and those that start later", async () => {
  control = await Control.start(planOf([put("a", first)]));
  put("a", second);
  await allHave(control, ["second.test"]);
  const [victim = 0] = await control.workerPids();
  process.kill(victim, "SIGKILL");
  await eventually(
    async () =>
      (await control?.status())?.workers.every(({ pid, state }) => pid !== victim && state === "running") ===
      true,
    TOLD_MS,
    "the worker to be replaced",
  );
  await allHave(control, ["second.test"]);
  expect((await control.status()).configVersion).toBe(1);
  expect(control.stderr).toContain("a.pem was replaced and is in use: second.test");
});

test("a broken pair on the disk changes nothing and is told in log, status and metrics", async () => {
  const pair = put("a", first);
  control = await Control.start(planOf([pair]));
  writeFileSync(pair.key, second.key);
  const { certificates } = (await eventually(
    async () => {
      const status = await control?.status();
      return status?.certificates[0]?.lastError === undefined ? undefined : status;
    },
    TOLD_MS,
    "the error to be told",
  )) as Awaited<ReturnType<Control["status"]>>;
  expect(certificates[0]?.lastError).toContain("the key does not belong to the certificate");
  expect(certificates[0]?.names).toEqual(["first.test"]);
  await allHave(control, ["first.test"]);
  expect(control.stderr).toContain("the key does not belong to the certificate; the one before goes on");
  expect(await control.metrics()).toContain("weir_certificate_reload_errors_total 1");
});

test("a reload with a broken pair is refused whole; one with a good pair brings it", async () => {
  const pair = put("a", first);
  control = await Control.start(planOf([pair]));
  const other = put("b", second);
  const refused = await control.reload(planOf([pair, { ...other, key: pair.key }]));
  expect(refused.applied).toBe(false);
  expect(refused.problems[0]).toMatchObject({
    path: "listeners.web.tls.certificates[1].key",
    severity: "error",
  });
  await allHave(control, ["first.test"]);
  expect((await control.reload(planOf([other, pair]))).applied).toBe(true);
  await allHave(control, ["second.test", "first.test"]);
});

test("a start with a broken pair fails and says where", async () => {
  const pair = put("a", first);
  control = Control.launch(planOf([{ ...pair, cert: join(folder, "none.pem") }]));
  expect(await control.exited()).toBe(1);
  expect(control.stderr).toContain("listeners.web.tls.certificates[0].cert");
  expect(control.stderr).toContain("there is no such file");
});

test("a listener that has no certificate yet shows a self-signed one, and the log says so", async () => {
  control = await Control.start(planOf([], 1));
  await allHave(control, ["localhost"], 1);
  expect((await control.status()).certificates).toMatchObject([{ source: "self-signed", isDefault: true }]);
  expect(control.stderr).toContain("listener web has no certificate yet");
});
