/**
 * The sections about the process itself: server, admin, observe.
 */
import { formatAddress, parseIp } from "../../core/address.ts";
import { checkLogFormat } from "../../observe/access-log.ts";
import type { AdminConfig, ListenerConfig, ObserveConfig, ServerConfig } from "../config.ts";
import { ACCESS_LOG, ADMIN, OBSERVE, SERVER } from "../options/options.table.ts";
import { MAX_CONFIGURED_WORKERS } from "../options/scalars.ts";
import { type Written, withDefaults } from "../options/types.ts";
import { type Place, quote } from "../problem.ts";
import { nearest } from "../suggest.ts";
import type { CheckFacts } from "./facts.ts";
import { absoluteAddress, absolutePath, isOverlap } from "./places.ts";
import { BEARER_TOKEN, readSecret } from "./secrets.ts";

export function checkServer(written: Written<typeof SERVER> | undefined, facts: CheckFacts): ServerConfig {
  const { workers, drainTimeout, user, memory, zone } = withDefaults(SERVER, written);
  return {
    workers: workers === "auto" ? Math.min(Math.max(1, facts.cores), MAX_CONFIGURED_WORKERS) : workers,
    drainTimeoutMs: drainTimeout,
    user,
    memoryBytes: memory,
    zone: zone ?? "",
  };
}

interface AdminNeeds {
  readonly facts: CheckFacts;
  readonly listeners: readonly ListenerConfig[];
}

export function checkAdmin(
  written: Written<typeof ADMIN> | "off" | undefined,
  place: Place,
  { facts, listeners }: AdminNeeds,
): AdminConfig | undefined {
  if (written === "off") return undefined;
  const { bind, token } = withDefaults(ADMIN, written);
  const address = absoluteAddress(bind, facts.folder);
  const secret = token === undefined ? undefined : readSecret(token, place.key("token"), facts, BEARER_TOKEN);
  const isLocal = address.kind === "unix" || isLoopback(address.host);
  if (!isLocal && token === undefined) {
    place.error(
      `the admin listener on ${formatAddress(address)} can be reached from elsewhere and has no token`,
      "Add `token: { env: WEIR_ADMIN_TOKEN }`, or bind it to 127.0.0.1.",
    );
  }
  const taken = listeners.find((listener) => listener.bind.some((other) => isOverlap(other, address)));
  if (taken !== undefined) {
    const hint = "Give `admin` another address in `bind`.";
    place.error(
      `the admin listener has the address of the listener \`${taken.name}\`: ${formatAddress(address)}`,
      hint,
    );
  }
  return { address, isExplicit: written?.bind !== undefined, token: secret };
}

function isLoopback(host: string): boolean {
  const bytes = parseIp(host);
  if (bytes === undefined) return false;
  return bytes.length === 4 ? bytes[0] === 127 : bytes.every((byte, at) => byte === (at === 15 ? 1 : 0));
}

export function checkObserve(
  written: Written<typeof OBSERVE> | undefined,
  place: Place,
  facts: CheckFacts,
): ObserveConfig {
  const { accessLog, metrics } = withDefaults(OBSERVE, written);
  if (accessLog === "off") return { accessLog: undefined, metrics };
  const { format, to } = withDefaults(ACCESS_LOG, accessLog);
  const log = place.key("accessLog");
  const wrong = checkLogFormat(format);
  if (wrong !== undefined) log.key("format").error(wrong);
  if (to === "stdout" || to === "stderr") return { accessLog: { format, to }, metrics };
  const meant = /^\w+$/.test(to) ? nearest(to, ["stdout", "stderr"]) : undefined;
  if (meant !== undefined) {
    log
      .key("to")
      .error(`${quote(to)} is not known here`, `Did you mean \`${meant}\`? For a file, write ./${to}.`);
  }
  const path = absolutePath(to, facts.folder);
  if (to === "" || facts.kindOf(path) === "folder") {
    log.key("to").error(`${quote(to)} is not a file`, "Name a file, stdout or stderr.");
  }
  return { accessLog: { format, to: path }, metrics };
}
