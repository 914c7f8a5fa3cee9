/**
 * Option types for addresses: where we listen, where we connect, which clients a block covers, hosts.
 */
import { type Address, parseAddress, parseCidr, parseIp } from "../../core/address.ts";
import { describe, quote } from "../problem.ts";
import { text } from "./scalars.ts";
import type { Type } from "./types.ts";

/** Linux refuses longer paths for a socket (sockaddr_un.sun_path, with its closing NUL). */
const MAX_UNIX_PATH = 107;
const MAX_HOST = 253;
const MAX_PORT = 65535;
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/i;

export type Judged<T> = { readonly value: T } | { readonly wrong: string; readonly hint: string };

/** True for a DNS name or an IP literal; `10.0.0.999` is neither. */
export function isHostName(host: string): boolean {
  if (parseIp(host) !== undefined) return true;
  if (host.length > MAX_HOST || /^[\d.]+$/.test(host)) return false;
  return host
    .replace(/\.$/, "")
    .split(".")
    .every((label) => LABEL.test(label));
}

const ADDRESS_HINT = "Write host:port, :port, [v6]:port or unix:/path.";

function judgeAddress(written: string, defaultHost: string): Judged<Address> {
  const address = parseAddress(written, defaultHost);
  if (address === undefined) return { wrong: `${quote(written)} is not an address`, hint: hintFor(written) };
  if (address.kind === "unix") {
    if (address.path.length <= MAX_UNIX_PATH && !address.path.includes("\0")) return { value: address };
    return { wrong: `${quote(written)} is no path for a socket`, hint: `Keep to ${MAX_UNIX_PATH} bytes.` };
  }
  if (isHostName(address.host)) return { value: address };
  return { wrong: `${quote(address.host)} is neither a host name nor an IP address`, hint: ADDRESS_HINT };
}

function hintFor(written: string): string {
  if (written.includes(",")) return "Write several as a list: [ first, second ].";
  const [, authority] = /^https?:\/\/([^/]+)/.exec(written) ?? [];
  if (authority !== undefined) return `Write "${authority}".`;
  const [, port] = /:(\d+)$/.exec(written) ?? [];
  if (Number(port) > MAX_PORT) return `Ports go up to ${MAX_PORT}.`;
  if (/^\d{1,5}$/.test(written)) return `Write ":${written}" for port ${written}.`;
  if (parseIp(written)?.length === 16) return `Write "[${written}]:8080": the port is missing.`;
  if (isHostName(written)) return `Write "${written}:8080": the port is missing.`;
  return ADDRESS_HINT;
}

/** Where to listen: an IP address, every address (`:port`), `localhost`, or a socket. */
export const bindAddress: Type<Address> = {
  name: "address to listen on",
  schema: { type: "string" },
  read(value, place) {
    const judged = judgeBind(typeof value === "number" ? String(value) : value);
    if ("value" in judged) return judged.value;
    place.error(judged.wrong, judged.hint);
    return undefined;
  },
};

function judgeBind(value: unknown): Judged<Address> {
  if (typeof value !== "string") return { wrong: `${describe(value)} is not an address`, hint: ADDRESS_HINT };
  const judged = judgeAddress(value.replace(/^\*:/, ":"), "::");
  if (!("value" in judged) || judged.value.kind === "unix") return judged;
  const { host, port } = judged.value;
  if (host === "localhost") return { value: { kind: "tcp", host: "127.0.0.1", port } };
  if (parseIp(host) !== undefined) return judged;
  return {
    wrong: `${quote(host)} is a name, not an address of this machine`,
    hint: "Bind to an IP address or to :port.",
  };
}

/** For a port alone: an endpoint on this machine is what is mostly meant. */
export const localHint = (port: string) => `Write "127.0.0.1:${port}" for that port of this machine.`;

export interface EndpointAddress {
  readonly address: Address;
  /** undefined = none was written. */
  readonly scheme: "http" | "https" | undefined;
}

const SCHEME_PORTS: Readonly<Record<"http" | "https", number>> = { http: 80, https: 443 };

/** One endpoint: `host:port`, `http://host:port`, `https://host:port` or `unix:/path`. */
export function judgeEndpoint(written: string): Judged<EndpointAddress> {
  if (/^\d{1,5}$/.test(written))
    return { wrong: `${quote(written)} is not an address`, hint: localHint(written) };
  const url = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)(.*)$/i.exec(written);
  if (url === null) return judgePort(written, judgeAddress(written, "127.0.0.1"), undefined);
  const [, writtenScheme = "", authority = "", rest = ""] = url;
  const scheme = writtenScheme.toLowerCase();
  if (scheme !== "http" && scheme !== "https") {
    return {
      wrong: `${quote(`${writtenScheme}://`)} is not supported`,
      hint: "Use http://host:port or https://host:port.",
    };
  }
  if (authority.includes("@"))
    return { wrong: "an endpoint's URL holds no user or password", hint: "Remove it." };
  if (rest !== "" && rest !== "/") {
    return {
      wrong: `${quote(written)} has a path`,
      hint: "Give the endpoint only; change paths with `rewrite`.",
    };
  }
  const hasPort = /:\d+$/.test(authority);
  const full = hasPort ? authority : `${authority}:${SCHEME_PORTS[scheme]}`;
  return judgePort(written, judgeAddress(full, "127.0.0.1"), scheme);
}

/** As `judgeEndpoint`, as an option type. */
export const endpointAddress: Type<EndpointAddress> = {
  name: "address to connect to",
  schema: { type: "string" },
  read(value, place) {
    const judged: Judged<EndpointAddress> =
      typeof value === "string" || typeof value === "number"
        ? judgeEndpoint(String(value))
        : { wrong: `${describe(value)} is not an address`, hint: ADDRESS_HINT };
    if ("value" in judged) return judged.value;
    place.error(judged.wrong, judged.hint);
    return undefined;
  },
};

function judgePort(
  written: string,
  judged: Judged<Address>,
  scheme: EndpointAddress["scheme"],
): Judged<EndpointAddress> {
  if (!("value" in judged)) return judged;
  const { value: address } = judged;
  if (address.kind === "unix" || address.port !== 0) return { value: { address, scheme } };
  return { wrong: `${quote(written)} has port 0`, hint: "Name the port that the endpoint listens on." };
}

/** An address or a block, such as `10.0.0.0/8`. */
export const cidr: Type<string> = text(
  "an address block",
  (value, place) => {
    if (parseCidr(value) !== undefined) return true;
    place.error(`${quote(value)} is no address block`, "Write 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32.");
    return false;
  },
  { type: "string" },
);

/** A host to match: exact, or `*.` in front for every name below; lower case, without port. */
export const hostPattern: Type<string> = {
  name: "host",
  schema: { type: "string" },
  read(value, place) {
    if (typeof value !== "string") {
      place.error(`${describe(value)} is not a host`, "Write app.example.com or *.example.com.");
      return undefined;
    }
    const host = value.toLowerCase().replace(/(?<=.)\.$/, "");
    const wrong = wrongHost(host);
    if (wrong === undefined) return host;
    place.error(`${quote(value)} ${wrong[0]}`, wrong[1]);
    return undefined;
  },
};

function wrongHost(host: string): readonly [wrong: string, hint: string] | undefined {
  if (host === "*") return ["matches every host", "Leave `host` out for that."];
  const name = host.startsWith("*.") ? host.slice(2) : host;
  if (name.includes("*"))
    return ["has a `*` in the wrong place", "Only *.example.com, as the first label, is known."];
  if (/[^ -~]/.test(name)) return ["is not ASCII", "Write the name in its xn-- form."];
  const literal = /^\[([0-9a-f:.]+)\]$/.exec(name);
  if (literal !== null && host === name && parseIp(literal[1] ?? "") !== undefined) return undefined;
  const [, inUrl] = /^https?:\/\/([^/:]+)/.exec(name) ?? [];
  if (inUrl !== undefined) return ["is a URL", `Write the host alone: ${inUrl}.`];
  if (/:\d*$/.test(name)) return ["has a port", "Hosts are matched without it: remove the port."];
  if (isHostName(name)) return undefined;
  return ["is not a host", "Write app.example.com or *.example.com."];
}
