/**
 * Deployment: what all workers are to run, and the steps that bring one worker there.
 *
 * rule   accept on new sockets before letting go of old ones: an address never has a moment without a worker
 * out    undefined when done; GONE when the worker ended meanwhile, which its exit handles; else a sentence
 */
import type { Config } from "../config/config.ts";
import type { ListenSpec } from "../control/listener-sockets.ts";
import type { MaterialsSource } from "../control/materials.ts";
import type { SlotMap } from "../observe/series.ts";
import type { Addresses, CachePlace } from "./messages.ts";
import type { WorkerProcess } from "./worker-process.ts";

export interface Deployment {
  readonly version: number;
  readonly config: Config;
  readonly slots: SlotMap;
  readonly materials: MaterialsSource;
  readonly listens: readonly ListenSpec[];
  readonly workers: number;
  readonly cache: CachePlace | undefined;
}

export const GONE = Symbol("the worker ended");
export type Outcome = string | typeof GONE | undefined;

/** Has the worker compile a version beside the one that it runs. */
export async function prepareOn(
  worker: WorkerProcess,
  { version, config, slots, materials: source, cache }: Deployment,
  addresses: Addresses,
): Promise<Outcome> {
  const materials = source.all();
  worker.preparedMaterials = source.number;
  const got = await worker.prepare({
    kind: "prepare",
    version,
    config,
    slots,
    addresses,
    materials,
    cache,
  });
  if (got === "gone") return GONE;
  if (got === "late") return `worker ${worker.slot} did not prepare version ${version} in time`;
  return got.error;
}

/** Puts the version that the worker has prepared in force there. */
export async function commitOn(worker: WorkerProcess, version: number): Promise<Outcome> {
  // what changed since went to the version before, whose listeners may be others
  worker.materialsNumber = worker.preparedMaterials;
  const got = await worker.commit(version);
  if (got === "gone") return GONE;
  return got === "late" ? `worker ${worker.slot} did not confirm version ${version} in time` : undefined;
}

/** Gives the worker the materials that it lacks; it must run the version that they are for. */
export async function refreshOn(worker: WorkerProcess, source: MaterialsSource): Promise<Outcome> {
  const { number } = source;
  if (worker.materialsNumber === number) return undefined;
  const materials = source.since(worker.materialsNumber);
  worker.materialsNumber = number;
  const got = await worker.setMaterials({ kind: "materials", number, materials });
  if (got === "gone") return GONE;
  if (got === "late") return `worker ${worker.slot} did not confirm new certificates in time`;
  return got.error === undefined
    ? undefined
    : `worker ${worker.slot} goes on with its old certificates: ${got.error}`;
}

/** Makes the worker accept on what the deployment gives its slot, and on nothing else. */
export async function listenOn(worker: WorkerProcess, deployment: Deployment): Promise<Outcome> {
  const wanted = deployment.listens.filter(({ share }) => isShareOf(share, worker.slot, deployment.workers));
  for (const spec of wanted) {
    if (worker.listening.has(spec.id)) continue;
    const got = await worker.listen(spec);
    if (got === "gone") return GONE;
    if (got === "late") return `worker ${worker.slot} did not accept on ${spec.id} in time`;
    if (got.error !== undefined) return `worker ${worker.slot} cannot accept on ${spec.id}: ${got.error}`;
  }
  const ids = new Set(wanted.map((spec) => spec.id));
  for (const id of [...worker.listening]) if (!ids.has(id)) await worker.unlisten(id);
  return undefined;
}

function isShareOf(share: number | undefined, slot: number, workers: number): boolean {
  return share === undefined || share % workers === slot;
}
