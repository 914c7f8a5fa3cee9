import { describe, expect, test } from "bun:test";
import type { Config } from "../config/config.ts";
import type { MaterialsSource } from "../control/materials.ts";
import { type Materials, NO_MATERIALS } from "../tls/materials.ts";
import { commitOn, type Deployment, prepareOn, refreshOn } from "./deployment.ts";
import type { ToWorker } from "./messages.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** Materials whose parts change by number. */
class Source implements MaterialsSource {
  number = 1;
  #changedAt: Record<keyof Materials, number> = { certificates: 1, files: 1, challenges: 1 };

  change(part: keyof Materials): void {
    this.#changedAt[part] = ++this.number;
  }

  all(): Materials {
    return NO_MATERIALS;
  }

  since(number: number): Partial<Materials> {
    const parts = Object.entries(NO_MATERIALS) as [keyof Materials, never][];
    return Object.fromEntries(parts.filter(([part]) => this.#changedAt[part] > number));
  }
}

/** A worker that does as it is told, or answers materials with `error`. */
function workerThat(error?: string) {
  const sent: string[] = [];
  const note = (message: ToWorker) => {
    sent.push(message.kind === "materials" ? `materials: ${Object.keys(message.materials)}` : message.kind);
  };
  const worker = {
    slot: 0,
    materialsNumber: 0,
    preparedMaterials: 0,
    async prepare(message: Extract<ToWorker, { kind: "prepare" }>) {
      note(message);
      return { kind: "prepared", version: message.version, error: undefined };
    },
    async commit(version: number) {
      note({ kind: "commit", version });
      return { kind: "committed", version };
    },
    async setMaterials(message: Extract<ToWorker, { kind: "materials" }>) {
      note(message);
      return { kind: "materials_set", number: message.number, error };
    },
  };
  return { worker: worker as unknown as WorkerProcess, sent };
}

function deploymentOf(version: number, materials: MaterialsSource): Deployment {
  return { version, materials, config: {} as Config, slots: {}, listens: [], workers: 1, cache: undefined };
}

describe("materials of a worker", () => {
  test("a worker that has everything is sent nothing", async () => {
    const source = new Source();
    const { worker, sent } = workerThat();
    await prepareOn(worker, deploymentOf(1, source), {});
    await commitOn(worker, 1);
    await refreshOn(worker, source);
    expect(sent).toEqual(["prepare", "commit"]);
  });

  test("what changed is sent once, and only that", async () => {
    const source = new Source();
    const { worker, sent } = workerThat();
    await prepareOn(worker, deploymentOf(1, source), {});
    await commitOn(worker, 1);
    source.change("challenges");
    await refreshOn(worker, source);
    await refreshOn(worker, source);
    expect(sent.slice(2)).toEqual(["materials: challenges"]);
  });

  test("what went to the version before while the next was prepared is sent again to the next", async () => {
    const source = new Source();
    const { worker, sent } = workerThat();
    await prepareOn(worker, deploymentOf(1, source), {});
    await commitOn(worker, 1);
    await prepareOn(worker, deploymentOf(2, source), {});
    source.change("certificates");
    await refreshOn(worker, source);
    await commitOn(worker, 2);
    await refreshOn(worker, source);
    expect(sent.slice(2)).toEqual([
      "prepare",
      "materials: certificates",
      "commit",
      "materials: certificates",
    ]);
  });

  test("a worker that cannot use them is told of, and goes on", async () => {
    const source = new Source();
    const { worker } = workerThat("no such curve");
    source.change("certificates");
    const outcome = await refreshOn(worker, source);
    expect(outcome).toBe("worker 0 goes on with its old certificates: no such curve");
  });
});
