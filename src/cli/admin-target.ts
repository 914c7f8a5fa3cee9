/**
 * Admin target: where is the running Weir to be asked, and with which token?
 *
 * rule   `--admin ADDR` decides; without it the configuration file does (`-c`, or the default one); without
 *        a file it is the default address. A file with problems elsewhere still says where to ask.
 *        WEIR_ADMIN_TOKEN goes before the token of the file
 */
import { existsSync } from "node:fs";
import { DEFAULT_FILES } from "../app/default-files.ts";
import type { Loaded } from "../app/load-config.ts";
import { type Address, formatAddress, parseAddress } from "../core/address.ts";
import type { AdminTarget } from "./admin-client.ts";
import { type Arguments, type OptionRow, type UsageError, usageError } from "./arguments.ts";
import { loadNamed } from "./loading.ts";
import type { Terminal } from "./terminal.ts";

const DEFAULT_ADDRESS: Address = { kind: "tcp", host: "127.0.0.1", port: 9900 };
const DEFAULT_ADMIN = formatAddress(DEFAULT_ADDRESS);

export const ADMIN_OPTION: OptionRow = {
  name: "admin",
  value: "ADDR",
  help: `admin listener to ask (default: as in the file, else ${DEFAULT_ADMIN})`,
};

export interface FoundTarget {
  readonly kind: "target";
  readonly target: AdminTarget;
  /** The file that was read for it, when one was. */
  readonly loaded: Loaded | undefined;
}

export async function findAdmin(args: Arguments, terminal: Terminal): Promise<FoundTarget | UsageError> {
  const { WEIR_ADMIN_TOKEN = "" } = terminal.env;
  const envToken = WEIR_ADMIN_TOKEN === "" ? undefined : WEIR_ADMIN_TOKEN;
  const written = args.text("admin");
  if (written !== undefined) return namedTarget(written, envToken);
  const loaded = hasFile(args) ? await loadNamed(args, terminal) : undefined;
  if (loaded?.config !== undefined && loaded.config.admin === undefined) {
    return usageError(
      `${loaded.file} says "admin: off", so there is nothing to ask. Name a listener with --admin ADDR`,
    );
  }
  const admin = loaded?.admin;
  return {
    kind: "target",
    target: { address: admin?.address ?? DEFAULT_ADDRESS, token: envToken ?? admin?.token },
    loaded,
  };
}

function namedTarget(written: string, token: string | undefined): FoundTarget | UsageError {
  const address = parseAddress(written.replace(/^http:\/\//, "").replace(/\/$/, ""), "127.0.0.1");
  if (address === undefined)
    return usageError(`--admin ${written} is not an address like ${DEFAULT_ADMIN} or unix:/path`);
  return { kind: "target", target: { address, token }, loaded: undefined };
}

function hasFile(args: Arguments): boolean {
  return args.has("config") || DEFAULT_FILES.some((file) => existsSync(file));
}
