/**
 * Messages between the control process and its workers, over Bun's IPC (JSON).
 *
 * rule   control speaks first; every `prepare` is answered by `prepared`; descriptors travel beside, on
 *        the worker's descriptor socket (transport/descriptors.ts), announced by `listen`
 */
import type { PurgeScope } from "../cache/store.ts";
import type { Config } from "../config/config.ts";
import type { SlotMap } from "../observe/series.ts";
import type { Materials } from "../tls/materials.ts";
import type { Identity } from "../transport/privileges.ts";
import type { Level } from "./log.ts";

/** IP addresses known now, by host name. */
export type Addresses = Readonly<Record<string, readonly string[]>>;

/** Where the cache of a configuration is: the same place means the same cache. */
export interface CachePlace {
  /** Memory that all workers share: `zone/cache-zone.ts`. */
  readonly zonePath: string;
  /** Folder of large bodies, in memory; undefined = they lie on the disk. */
  readonly bodies: string | undefined;
  readonly disk: { readonly path: string; readonly bytes: number } | undefined;
}

export type ToWorker =
  | {
      readonly kind: "start";
      /** Row of the zone that this worker writes; nobody else does while it lives. */
      readonly worker: number;
      readonly zonePath: string;
      /** User to become before any traffic; absent = stay who we are. */
      readonly identity?: Identity | undefined;
    }
  /** Check and compile this version, but go on with the old one. */
  | {
      readonly kind: "prepare";
      readonly version: number;
      readonly config: Config;
      /** Where each series is in the worker's row. */
      readonly slots: SlotMap;
      readonly addresses: Addresses;
      readonly materials: Materials;
      /** Absent = nothing is cached. */
      readonly cache?: CachePlace | undefined;
    }
  | { readonly kind: "commit"; readonly version: number }
  | { readonly kind: "abandon"; readonly version: number }
  /**
   * The next descriptor on the descriptor socket listens for this listener. `id` is unique in the worker,
   * `number` is the number sent with the descriptor.
   */
  | {
      readonly kind: "listen";
      readonly id: string;
      readonly listener: string;
      readonly number: number;
    }
  /** Stop accepting there; connections already accepted go on, without keep-alive. */
  | { readonly kind: "unlisten"; readonly id: string }
  /** A name has new addresses: an empty list is never sent. */
  | { readonly kind: "addresses"; readonly host: string; readonly addresses: readonly string[] }
  /**
   * These parts of the materials of the version in force are new: each part given replaces the whole part. Answered by
   * `materials_set`.
   */
  | { readonly kind: "materials"; readonly number: number; readonly materials: Partial<Materials> }
  /** The answer to a worker's `purge`. */
  | { readonly kind: "purged"; readonly number: number; readonly error: string | undefined }
  | { readonly kind: "drain"; readonly timeoutMs: number }
  | { readonly kind: "reopen_logs" };

export type FromWorker =
  | { readonly kind: "hello" }
  | { readonly kind: "prepared"; readonly version: number; readonly error: string | undefined }
  | { readonly kind: "committed"; readonly version: number }
  | { readonly kind: "listening"; readonly id: string; readonly error: string | undefined }
  | { readonly kind: "unlistened"; readonly id: string }
  | { readonly kind: "drained" }
  | { readonly kind: "materials_set"; readonly number: number; readonly error: string | undefined }
  /** A client asked for a name that no certificate covers but `acme.onDemand` allows; at most once a minute a name. */
  | { readonly kind: "certificate_wanted"; readonly listener: string; readonly name: string }
  /** It fails again and again: the worker leaves it alone until `untilMs` (since the epoch), and control decides. */
  | {
      readonly kind: "endpoint_failing";
      readonly upstream: string;
      readonly endpoint: string;
      readonly untilMs: number;
      readonly detail: string;
    }
  /** A client that may has asked for it; answered by `purged` once it is in force everywhere. */
  | {
      readonly kind: "purge";
      readonly number: number;
      readonly scope: PurgeScope;
      readonly isSoft: boolean;
      readonly client: string;
    }
  | { readonly kind: "log"; readonly level: Level; readonly area: string; readonly text: string };
