/**
 * Facts: what the check needs to know of the machine, handed in, because this folder does no I/O.
 */
import type { Environment } from "../environment.ts";

/** What the check asks of the machine. */
export interface CheckFacts {
  readonly env: Environment;
  /** What `workers: auto` becomes. */
  readonly cores: number;
  /** Folder of the configuration file: relative paths begin here. */
  readonly folder: string;
  /** What stands at a path. */
  readonly kindOf: (path: string) => "file" | "folder" | "other" | "missing";
  /** A small text file, or why it cannot be read. */
  readonly readText: (path: string) => { readonly text: string } | { readonly error: string };
}
