/**
 * Containers: which endpoints does Docker's list of containers hold?
 *
 * in     the answer of `GET /containers/json` (Docker Engine API 1.24 and later; Podman answers alike)
 * rule   a container whose own health check says that it is not fit, or has not said yet, is left out
 * rule   a container that cannot be used is left out with a note: one wrong label takes nothing from the others
 */
import type { EndpointConfig } from "../config/config.ts";
import { formatAddress, parseIp } from "../core/address.ts";
import { plainEndpoint } from "./source.ts";

/** The part that is read here; every key may be missing. */
interface Container {
  readonly Id?: string;
  readonly Names?: readonly string[];
  readonly State?: string;
  readonly Status?: string;
  readonly Labels?: Readonly<Record<string, string>> | null;
  readonly Ports?: readonly { readonly PrivatePort?: number; readonly Type?: string }[] | null;
  readonly HostConfig?: { readonly NetworkMode?: string };
  readonly NetworkSettings?: { readonly Networks?: Readonly<Record<string, Network | null>> | null };
}
interface Network {
  readonly IPAddress?: string;
  readonly GlobalIPv6Address?: string;
}

export interface ContainerList {
  readonly endpoints: readonly EndpointConfig[];
  readonly notes: readonly string[];
}

const MAX_PORT = 65_535;
const MAX_WEIGHT = 1000;
const UNFIT = /\((?:unhealthy|health: starting)\)/;

/** `network` "" is the container's only one. Throws when the answer is no list of containers. */
export function endpointsOfContainers(answer: unknown, network: string): ContainerList {
  if (!Array.isArray(answer)) throw new Error("the answer is no list of containers");
  const endpoints = new Map<string, EndpointConfig>();
  const notes: string[] = [];
  for (const container of answer as readonly (Container | null)[]) {
    if (container === null || typeof container !== "object")
      throw new Error("the answer is no list of containers");
    if ((container.State ?? "running") !== "running" || UNFIT.test(container.Status ?? "")) continue;
    const read = readContainer(container, network);
    if (typeof read === "string") notes.push(`container ${nameOf(container)} is left out: ${read}`);
    else endpoints.set(read.name, read);
  }
  return { endpoints: [...endpoints.values()], notes };
}

/** out  an endpoint, or why it is none */
function readContainer(container: Container, network: string): EndpointConfig | string {
  const port = portOf(container);
  if (typeof port === "string") return port;
  const ip = addressOf(container, network);
  if ("reason" in ip) return ip.reason;
  const weight = numberOf(container.Labels?.["weir.weight"] ?? "1", 0, MAX_WEIGHT);
  if (weight === undefined) return `the label weir.weight is no whole number up to ${MAX_WEIGHT}`;
  const name = formatAddress({ kind: "tcp", host: ip.host, port });
  return { ...plainEndpoint(name, ip.host, port), weight, zone: container.Labels?.["weir.zone"] ?? "" };
}

function portOf({ Labels, Ports }: Container): number | string {
  const written = Labels?.["weir.port"];
  if (written !== undefined) {
    return (
      numberOf(written, 1, MAX_PORT) ??
      `the label weir.port is no port: ${JSON.stringify(written.slice(0, 20))}`
    );
  }
  // one port that is published on IPv4 and IPv6 is listed twice
  const ports = new Set((Ports ?? []).filter(isTcp).map(({ PrivatePort }) => PrivatePort ?? 0));
  const [only] = ports;
  if (only !== undefined && ports.size === 1) return only;
  const have = ports.size === 0 ? "it exposes no port" : `it exposes ${ports.size} ports`;
  return `${have}: name one by the label weir.port`;
}

const isTcp = ({ Type, PrivatePort }: { Type?: string; PrivatePort?: number }) =>
  (Type ?? "tcp") === "tcp" && typeof PrivatePort === "number";

function addressOf(
  container: Container,
  wanted: string,
): { readonly host: string } | { readonly reason: string } {
  const networks = container.NetworkSettings?.Networks ?? {};
  const names = Object.keys(networks);
  const name = wanted === "" && names.length === 1 ? (names[0] as string) : wanted;
  if (name === "") {
    const have = names.length === 0 ? "it has no network" : `it is on ${names.slice(0, 5).join(" and ")}`;
    return { reason: names.length === 0 ? have : `${have}: name one by \`network\`` };
  }
  if (!names.includes(name)) return { reason: `it is not on the network ${name}` };
  // no network of its own: it is where we are
  if (name === "host" || container.HostConfig?.NetworkMode === "host") return { host: "127.0.0.1" };
  const { IPAddress = "", GlobalIPv6Address = "" } = networks[name] ?? {};
  const host = IPAddress === "" ? GlobalIPv6Address : IPAddress;
  return parseIp(host) === undefined ? { reason: `it has no address on ${name}` } : { host };
}

function numberOf(text: string, min: number, max: number): number | undefined {
  const value = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  return value >= min && value <= max ? value : undefined;
}

const nameOf = ({ Names, Id }: Container) => (Names?.[0] ?? Id?.slice(0, 12) ?? "?").replace(/^\//, "");
