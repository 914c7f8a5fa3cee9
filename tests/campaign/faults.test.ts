/**
 * Faults, in short: the full campaign with its peers is `npm run faults`.
 */
import { expect, test } from "bun:test";
import { type FaultTimes, runFault } from "../../bench/faults/fault-run.ts";
import { FAULTS } from "../../bench/faults/faults.table.ts";

const TIMES: FaultTimes = { ratePerSec: 250, beforeMs: 300, faultMs: 1500, afterMs: 2500 };
const SHORT = ["kill", "500"];

test.skipIf(process.platform !== "linux")(
  "an endpoint of four that is killed or answers 500 costs no client a request, and comes back",
  async () => {
    const faults = FAULTS.filter(({ name }) => SHORT.includes(name));
    expect(faults).toHaveLength(SHORT.length);
    for (const [victim, fault] of faults.entries()) {
      const report = await runFault({ kind: "weir", fault, victim, times: TIMES });
      const { troubles, sent, retries, back, states } = report;
      const name = fault.name;
      expect({ name, troubles, states: troubles.length > 0 ? states : "" }).toEqual({
        name,
        troubles: [],
        states: "",
      });
      expect(sent).toBeGreaterThan(0);
      expect(retries).toBeLessThan(sent * 0.2);
      // how its share grows is measured by the full campaign
      expect({ name, isBack: back.afterMs !== undefined }).toEqual({ name, isBack: true });
    }
  },
  30_000,
);
