/**
 * Explain, first half: from what was typed to a request as the proxy would have read it.
 *
 * why    the request is written out as bytes and read by the same reader, path and host rules as traffic, so
 *        that an explanation cannot be kinder than the proxy
 * in     METHOD URL and `-H` lines; URL is `http://host/path` or only `/path`
 * out    Asked, or a UsageError when the question is wrong; a request that the proxy would refuse is an answer
 */
import type { Config, ListenerConfig } from "../config/config.ts";
import { type Address, formatAddress, parseIp } from "../core/address.ts";
import type { Planned } from "../pipeline/plan.ts";
import { normaliseHost } from "../route/host.ts";
import { splitTarget } from "../route/path.ts";
import { type UsageError, usageError } from "./arguments.ts";
import { dryExchange } from "./dry-exchange.ts";
import { dryTls, type TlsExplanation } from "./explain-tls.ts";
import { suggest } from "./suggest.ts";

export interface Question {
  readonly method: string;
  readonly url: string;
  /** `Name: value` lines. */
  readonly headers: readonly string[];
  /** Address of the connecting peer. */
  readonly from: string;
  readonly listener: string | undefined;
}

export interface Asked {
  readonly kind: "asked";
  readonly question: Question;
  /** Request target as it would be sent. */
  readonly target: string;
  /** After phase `receive`; its `failure` is what the proxy would refuse before looking for a route. */
  readonly exchange: Planned;
  readonly listener: ListenerConfig;
  readonly listenerReason: string;
  /** undefined on a listener without TLS. */
  readonly tls: TlsExplanation | undefined;
  readonly notes: readonly string[];
}

const DEFAULT_PORTS = { http: 80, https: 443 } as const;

export function readQuestion(question: Question, config: Config): Asked | UsageError {
  const { headers, from } = question;
  if (/[\r\n]/.test(question.method + question.url))
    return usageError("METHOD and URL cannot hold a line break");
  const url = splitUrl(question.url);
  if (url === undefined)
    return usageError(`"${question.url}" is not a URL like http://host/path, or a path like /path`);
  if (parseIp(from) === undefined) return usageError(`--from ${from} is not an IP address`);
  const broken = headers.find((line) => !/^[^:\r\n]+:[^\r\n]*$/.test(line));
  if (broken !== undefined) return usageError(`-H "${broken}" is not of the form "Name: value"`);
  const choice = chooseListener(question.listener, url, config);
  if (choice.kind === "usage_error") return choice;

  const hasHost = headers.some((line) => /^host\s*:/i.test(line));
  const lines = hasHost ? headers : [`Host: ${url.authority || "localhost"}`, ...headers];
  const { listener } = choice;
  const tls = dryTls(listener, serverNameOf(lines, url));
  const exchange = dryExchange({
    listener,
    head: [`${question.method} ${url.target} HTTP/1.1`, ...lines].join("\r\n"),
    clientIp: from,
    localPort: choice.port,
    tls: tls?.session,
  });
  return {
    kind: "asked",
    question,
    target: url.target,
    exchange,
    listener,
    listenerReason: choice.reason,
    tls: tls?.explanation,
    notes: [
      ...choice.notes,
      ...schemeNotes(listener, url),
      ...(tls?.notes ?? []),
      ...methodNotes(question.method),
    ],
  };
}

/** What a client would put into its hello: the host of the URL, but never an IP address (RFC 6066 §3). */
function serverNameOf(lines: readonly string[], url: Url): string {
  const [, written = ""] = lines.map((line) => /^host\s*:(.*)$/i.exec(line)).find((found) => found) ?? [];
  const host = normaliseHost(url.authority === "" ? written.trim() : url.authority) ?? "";
  return parseIp(host.replace(/^\[(.+)\]$/, "$1")) === undefined ? host : "";
}

function schemeNotes(listener: ListenerConfig, { scheme, port }: Url): readonly string[] {
  const isTls = listener.tls !== undefined;
  if (port === undefined || isTls === (scheme === "https")) return [];
  return isTls
    ? ["this listener speaks TLS and closes on plain http: explained as https"]
    : ["this listener has no TLS and closes on a handshake: explained as plain http"];
}

/** Methods are case-sensitive (RFC 9110 §9.1): `get` is another one than `GET`, and mostly a slip. */
function methodNotes(method: string): readonly string[] {
  const upper = method.toUpperCase();
  return method === upper ? [] : [`methods are written in upper case: ${upper}`];
}

interface Url {
  readonly scheme: "http" | "https";
  readonly authority: string;
  /** Port in the URL, or the scheme's; undefined for a bare path. */
  readonly port: number | undefined;
  /** Origin form, as a client would send it. */
  readonly target: string;
}

/** Takes a URL apart without repairing it, as `new URL` would. */
function splitUrl(text: string): Url | undefined {
  const noFragment = text.split("#", 1)[0] as string;
  const target = splitTarget(noFragment);
  if (target === undefined) return undefined;
  const { path, query } = target;
  const origin = query === "" && !noFragment.endsWith("?") ? path : `${path}?${query}`;
  const scheme = target.scheme ?? "http";
  const written = /:(\d{1,5})$/.exec(target.authority)?.[1];
  const port = written === undefined ? DEFAULT_PORTS[scheme] : Number(written);
  const isAbsolute = target.form === "absolute";
  return {
    scheme,
    authority: target.authority,
    port: isAbsolute ? port : undefined,
    target: origin,
  };
}

interface Choice {
  readonly kind: "choice";
  readonly listener: ListenerConfig;
  readonly port: number;
  readonly reason: string;
  readonly notes: readonly string[];
}

function chooseListener(name: string | undefined, url: Url, config: Config): Choice | UsageError {
  const notes: string[] = [];
  const first = config.listeners[0];
  if (first === undefined) return usageError("the configuration has no listener");
  const choice = (listener: ListenerConfig, reason: string): Choice => {
    const port = url.port !== undefined && isBoundTo(listener, url.port) ? url.port : firstPort(listener);
    return { kind: "choice", listener, port, reason, notes };
  };
  if (name !== undefined) {
    const named = config.listeners.find((listener) => listener.name === name);
    if (named !== undefined) return choice(named, "named by --listener");
    return unknownListener(name, config);
  }
  const { port } = url;
  const bound =
    port === undefined ? undefined : config.listeners.find((listener) => isBoundTo(listener, port));
  if (bound !== undefined) return choice(bound, `listens on port ${port}`);
  if (config.listeners.length === 1) return choice(first, "the only one");
  const isTls = url.scheme === "https";
  const alike = config.listeners.filter(({ tls }) => (tls !== undefined) === isTls);
  const [only] = alike;
  if (
    port !== undefined &&
    only !== undefined &&
    alike.length === 1 &&
    alike.length < config.listeners.length
  )
    return choice(only, isTls ? "the only one with TLS" : "the only one without TLS");
  if (port !== undefined) notes.push(`no listener has port ${port}; name one with --listener`);
  return choice(first, "the first one");
}

function unknownListener(name: string, config: Config): UsageError {
  const names = config.listeners.map((listener) => listener.name);
  const near = suggest(name, names);
  return usageError(
    `no listener is called "${name}"${near === undefined ? `; there is ${names.join(", ")}` : `; did you mean "${near}"?`}`,
  );
}

const portOf = (address: Address) => (address.kind === "tcp" ? address.port : 0);
const isBoundTo = (listener: ListenerConfig, port: number) =>
  listener.bind.some((address) => address.kind === "tcp" && address.port === port);
const firstPort = (listener: ListenerConfig) => Math.max(0, ...listener.bind.slice(0, 1).map(portOf));

export const addressesOf = (listener: ListenerConfig): string[] => listener.bind.map(formatAddress);
