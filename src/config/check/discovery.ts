/**
 * Discovery: the one source that an upstream finds endpoints in.
 *
 * rule   a source that is not there yet is a warning: it may appear later, and the last good list is kept then
 */

import { parseIp } from "../../core/address.ts";
import type { DiscoveryConfig } from "../config.ts";
import { isHostName, judgeEndpoint } from "../options/addresses.ts";
import { type Written, withDefaults } from "../options/types.ts";
import { DISCOVERY, DOCKER } from "../options/upstream.table.ts";
import { type Place, quote } from "../problem.ts";
import type { CheckFacts } from "./facts.ts";
import { absolutePath } from "./places.ts";

const SOURCES = ["dns", "srv", "file", "docker", "http"] as const;
type WrittenDiscovery = Written<typeof DISCOVERY>;
type Source = DiscoveryConfig extends infer D ? (D extends unknown ? Omit<D, "intervalMs"> : never) : never;

/** `upstream` is its name. */
export function checkDiscovery(
  written: WrittenDiscovery | undefined,
  place: Place,
  facts: CheckFacts,
  upstream: string,
): DiscoveryConfig | undefined {
  if (written === undefined) return undefined;
  const named = SOURCES.filter((source) => place.has(source));
  const [kind] = named;
  if (kind === undefined) {
    // a key that is none has been reported
    const isEmpty = place.names().every((key) => Object.hasOwn(DISCOVERY, key));
    if (isEmpty) place.error("no source is named", `Add one of ${SOURCES.join(", ")}.`);
    return undefined;
  }
  if (named.length > 1) {
    const hint = "Keep one of them, or make an upstream of each.";
    place.key(named[1] as string).keyError(`the source is given as ${named.join(" and ")}`, hint);
  }
  const source = READERS[kind](written, place.key(kind), { facts, upstream });
  return source && { ...source, intervalMs: withDefaults(DISCOVERY, written).interval };
}

interface SourceNeeds {
  readonly facts: CheckFacts;
  readonly upstream: string;
}

type Reader = (written: WrittenDiscovery, place: Place, needs: SourceNeeds) => Source | undefined;

const READERS: Readonly<Record<(typeof SOURCES)[number], Reader>> = {
  dns: ({ dns }, place) => (dns === undefined ? undefined : readDns(dns, place)),
  srv: ({ srv }, place) => (srv === undefined ? undefined : readSrv(srv, place)),
  file: ({ file }, place, { facts }) => (file === undefined ? undefined : readFile(file, place, facts)),
  docker: ({ docker }, place, needs) => (docker === undefined ? undefined : readDocker(docker, place, needs)),
  http: ({ http }, place) => (http === undefined ? undefined : readHttp(http, place)),
};

function readDns(written: string, place: Place): Source | undefined {
  const judged = judgeEndpoint(written);
  if (!("value" in judged)) place.error(judged.wrong, judged.hint);
  else if (judged.value.scheme !== undefined || judged.value.address.kind === "unix") {
    place.error(
      `${quote(written)} is no name with a port`,
      "Write app.internal:8080; for TLS add `tls: true`.",
    );
  } else if (parseIp(judged.value.address.host) !== undefined) {
    place.error(`${quote(written)} is an address already`, "List it in `endpoints`.");
  } else return { kind: "dns", host: judged.value.address.host, port: judged.value.address.port };
  return undefined;
}

function readSrv(written: string, place: Place): Source | undefined {
  const name = written.replace(/\.$/, "");
  const [, withoutPort] = /^(.+):\d+$/.exec(name) ?? [];
  if (withoutPort !== undefined) {
    place.error(`${quote(written)} has a port, which SRV records say`, `Write ${withoutPort}.`);
  } else if (!isHostName(name) || parseIp(name) !== undefined || !name.includes(".")) {
    place.error(`${quote(written)} is no name of SRV records`, "Write _http._tcp.app.example.com.");
  } else return { kind: "srv", name };
  return undefined;
}

function readFile(written: string, place: Place, facts: CheckFacts): Source {
  const path = absolutePath(written, facts.folder);
  const kind = facts.kindOf(path);
  if (kind === "missing") {
    place.warning(`there is no file ${quote(written)} yet`, `It is looked for at ${path}.`);
  } else if (kind !== "file") {
    place.error(`${quote(written)} is not a file`, `It was looked for at ${path}.`);
  }
  return { kind: "file", path };
}

const LABEL = /^[^\s=]+(?:=.*)?$/;

function readDocker(written: Written<typeof DOCKER>, place: Place, { facts, upstream }: SourceNeeds): Source {
  const { socket, label = `weir.upstream=${upstream}`, network } = withDefaults(DOCKER, written);
  const path = socket.replace(/^unix:(?:\/\/)?(?=\/)/, "");
  const at = place.key("socket");
  const remote = /^(?:tcp|https?|ssh):/.test(path);
  if (remote)
    at.error(
      `${quote(socket)} is not a socket of this machine`,
      "Name a path, such as /var/run/docker.sock.",
    );
  else if (!path.startsWith("/")) at.error(`${quote(socket)} is no absolute path`, "Begin it with a slash.");
  else if (facts.kindOf(path) === "missing")
    at.warning(`there is no socket ${quote(path)} yet`, "Is Docker running?");
  else if (facts.kindOf(path) !== "other") at.error(`${quote(path)} is not a socket`, "Name Docker's.");
  if (!LABEL.test(label)) place.key("label").error(`${quote(label)} is no label`, "Write key or key=value.");
  return { kind: "docker", socket: path, label, network: network ?? "" };
}

function readHttp(written: string, place: Place): Source | undefined {
  const url = URL.canParse(written) ? new URL(written) : undefined;
  if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:")) {
    place.error(`${quote(written)} is not a URL`, "Write http://registry.internal/endpoints/app.");
  } else if (url.username !== "" || url.password !== "") {
    place.error("the URL holds a user or password", "Remove it.");
  } else return { kind: "http", url: url.href };
  return undefined;
}
