/**
 * HTTP/2 abuse, in short: every attack for a second. At length: `npm run campaign -- abuse`.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { startWeir, type Weir } from "../support/weir.ts";
import { type EchoOrigin, startEchoOrigin } from "./echo-origin.ts";
import { abuseConfig, MAX_GROWTH_BYTES } from "./h2-abuse.ts";
import { attack } from "./h2-attacker.ts";
import { ATTACKS } from "./h2-attacks.table.ts";
import { privateBytes } from "./kernel.ts";
import { type PlainOrigin, startPlainOrigin } from "./plain-origin.ts";

const SECONDS = 0.5;
const CALM = 11;
let weir: Weir;
let echo: EchoOrigin;
let plain: PlainOrigin;
let pid = 0;

beforeAll(async () => {
  [echo, plain] = [startEchoOrigin(), startPlainOrigin()];
  weir = await startWeir(abuseConfig(echo.port, plain.port));
  pid = (await weir.status()).workers[0]?.pid ?? 0;
});

afterAll(async () => {
  await weir?.stop();
  await echo?.stop();
  plain?.stop();
});

async function isServed(): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${weir.port("web")}/bytes/1/10`);
  return answer.ok && (await weir.status()).workers[0]?.pid === pid;
}

for (const what of ATTACKS) {
  const { name, expects, connections, codes = [CALM] } = what;
  const rule = expects === "ends" ? "is ended by the server" : "is borne";
  test.skipIf(process.platform !== "linux")(
    `${name} ${rule}, and others are served`,
    async () => {
      const before = privateBytes(pid);
      // one connection shows how it ends; all of them what they cost
      const report = await attack(
        { ...what, connections: expects === "ends" ? 1 : connections },
        weir.port("h2c"),
        SECONDS,
      );
      expect(await isServed()).toBe(true);
      expect(privateBytes(pid) - before).toBeLessThan(MAX_GROWTH_BYTES);
      if (expects === "held") return;
      const endings = Object.keys(report.ended).filter((code) => code !== "none");
      expect(report.ended).not.toEqual({});
      for (const code of endings) expect(codes).toContain(Number(code));
    },
    15_000,
  );
}
