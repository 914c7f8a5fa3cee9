/**
 * Running: starts the control process and stays until it ends.
 *
 * why    `run`, `proxy` and the demo differ only in where their configuration comes from
 */
import type { Loaded } from "../app/load-config.ts";

export interface RunPlan {
  /** Reads the configuration: at the start and on each reload. */
  readonly load: () => Promise<Loaded>;
  /** File whose change means a reload. */
  readonly watchFile: string | undefined;
}

export async function runWeir(plan: RunPlan): Promise<number> {
  const { runControl } = await import("../app/control.ts");
  return runControl({ ...plan });
}
