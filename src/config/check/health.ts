/**
 * Health of endpoints: what active checks ask, and what is learned from traffic.
 *
 * rule   passive health is on without a word where another endpoint can take over (docs/decisions)
 */
import type { ActiveHealthConfig, PassiveHealthConfig, UpstreamConfig } from "../config.ts";
import { isHostName } from "../options/addresses.ts";
import { type Written, withDefaults } from "../options/types.ts";
import { ACTIVE, EXPECT, HEALTH, PASSIVE } from "../options/upstream.table.ts";
import { type Place, quote } from "../problem.ts";
import type { PlacedEndpoint } from "./upstream-tls.ts";

type WrittenActive = Written<typeof ACTIVE>;
type CheckType = ActiveHealthConfig["type"];

/** What the rest of the upstream says. */
export interface HealthNeeds {
  readonly endpoints: readonly PlacedEndpoint[];
  readonly isDiscovering: boolean;
  readonly protocol: UpstreamConfig["protocol"];
  readonly tls: UpstreamConfig["tls"];
}

export function checkHealth(
  written: Written<typeof HEALTH> | undefined,
  place: Place,
  needs: HealthNeeds,
): Pick<UpstreamConfig, "health" | "slowStartMs"> {
  const { slowStart } = withDefaults(HEALTH, written);
  return {
    health: {
      active: checkActive(written?.active, place.key("active"), needs),
      passive: checkPassive(written?.passive, place.key("passive"), needs),
    },
    slowStartMs: slowStart,
  };
}

// active

/** Keys that only some types know; those that all know are left out. */
const KEYS_BY_TYPE: Readonly<Record<CheckType, readonly (keyof typeof ACTIVE)[]>> = {
  http: ["path", "method", "headers", "host", "port", "expect"],
  https: ["path", "method", "headers", "host", "port", "expect"],
  tcp: ["port", "expect", "send"],
  tls: ["port"],
  grpc: ["host", "port", "service"],
  command: ["command"],
  agent: ["port", "send"],
};

function checkActive(
  written: WrittenActive | undefined,
  place: Place,
  needs: HealthNeeds,
): ActiveHealthConfig | undefined {
  if (written === undefined) return undefined;
  const active = withDefaults(ACTIVE, written);
  const { type, port, host, interval } = active;
  refuseForeignKeys(written, type, place);
  refuseMissing(written, type, place);
  refuseWrongExpect(written, type, place);
  warnOfSlips(written, place, needs);
  if (port !== undefined) refusePortOfSocket(place.key("port"), needs.endpoints);
  if (host !== undefined && !isHostName(host.replace(/:\d{1,5}$/, "").replace(/^\[(.+)\]$/, "$1"))) {
    place.key("host").error(`${quote(host)} is not a host`, "Write app.example.com.");
  }
  const { status, body } = withDefaults(EXPECT, active.expect);
  return {
    type: isOverTls(type, port, needs) ? "https" : type,
    path: active.path,
    method: active.method,
    headers: active.headers ?? [],
    host,
    port,
    statuses: status,
    body,
    send: active.send,
    service: active.service,
    command: active.command ?? [],
    intervalMs: interval,
    fastIntervalMs: Math.min(active.fastInterval, interval),
    jitter: active.jitter,
    timeoutMs: active.timeout,
    rise: active.rise,
    fall: active.fall,
    initial: active.initial,
  };
}

/** Another port is another service: only there may the answer be plain text where the upstream has TLS. */
function isOverTls(type: CheckType, port: number | undefined, { tls }: HealthNeeds): boolean {
  return type === "http" && tls !== undefined && port === undefined;
}

function refuseForeignKeys(written: WrittenActive, type: CheckType, place: Place): void {
  for (const key of Object.keys(written) as (keyof typeof ACTIVE)[]) {
    const types = (Object.keys(KEYS_BY_TYPE) as CheckType[]).filter((one) => KEYS_BY_TYPE[one].includes(key));
    if (types.length === 0 || types.includes(type)) continue;
    const others = types.map((one) => `\`${one}\``).join(", ");
    place.key(key).keyError(`it means nothing to a check of type \`${type}\``, `It is for ${others}.`);
  }
}

function refuseMissing(written: WrittenActive, type: CheckType, place: Place): void {
  if (type === "agent" && !place.has("port")) {
    place.error("an agent is asked on a port of its own", "Add `port: 8081`, where the agent listens.");
  }
  const isEmpty = written.command !== undefined && (written.command[0] ?? "") === "";
  if (type === "command" && (isEmpty || !place.has("command"))) {
    place.error("there is no command to run", "Add `command: [ /usr/local/bin/check-app, --quick ]`.");
  }
}

function refuseWrongExpect({ expect, method }: WrittenActive, type: CheckType, place: Place): void {
  const at = place.key("expect");
  if (type === "tcp" && expect?.status !== undefined) {
    at.key("status").keyError("a check of type `tcp` gets no status", 'Write `expect: { body: "+PONG" }`.');
  }
  if (method === "HEAD" && expect?.body !== undefined) {
    at.key("body").keyError("the answer to HEAD has no body", "Use GET, or remove it.");
  }
}

function warnOfSlips(written: WrittenActive, place: Place, { protocol }: HealthNeeds): void {
  const { type, interval, fastInterval, port } = withDefaults(ACTIVE, written);
  if (type === "http" && protocol === "h2c" && port === undefined) {
    const hint = "Write `type: grpc` or `type: tcp`, unless the endpoints speak both.";
    place.warning("checks of type `http` speak HTTP/1.1, and `protocol` is h2c", hint);
  }
  if (written.fastInterval !== undefined && fastInterval > interval) {
    place.key("fastInterval").warning("it is longer than `interval`, which is used instead", "Shorten it.");
  }
}

function refusePortOfSocket(place: Place, endpoints: readonly PlacedEndpoint[]): void {
  const socket = endpoints.find(({ endpoint }) => endpoint.address.kind === "unix");
  if (socket === undefined) return;
  place.error(
    `${socket.endpoint.name} has no other port`,
    "Remove `port`, or put sockets into an upstream of their own.",
  );
}

// passive

function checkPassive(
  written: Written<typeof PASSIVE> | "off" | undefined,
  place: Place,
  { endpoints, isDiscovering }: HealthNeeds,
): PassiveHealthConfig | undefined {
  const isAlone = endpoints.length < 2 && !isDiscovering;
  if (written === "off" || (written === undefined && isAlone)) return undefined;
  const passive = withDefaults(PASSIVE, written);
  if (isAlone && endpoints.length === 1) {
    const hint = "Add an endpoint, or remove `passive`.";
    place.warning("there is one endpoint: none could take over for one that is ejected", hint);
  }
  if (passive.failures === 0 && passive.errorRate === 0 && passive.latency === 0) {
    const hint = "Write `passive: off`, or turn on `errorRate` or `latency`.";
    place.warning("nothing ejects an endpoint: `failures`, `errorRate` and `latency` are 0", hint);
  }
  if (passive.eject > passive.maxEject) {
    const at = place.key(written?.eject === undefined ? "maxEject" : "eject");
    at.error("`eject` is longer than `maxEject`", "Make `maxEject` the longer of the two.");
  }
  return {
    failures: passive.failures,
    windowMs: passive.window,
    ejectMs: passive.eject,
    maxEjectMs: passive.maxEject,
    maxEjected: passive.maxEjected,
    errorRate: passive.errorRate,
    latencyFactor: passive.latency,
    panic: passive.panic,
  };
}
