/**
 * Explain, first half: from what was typed to a request as the proxy would have read it.
 *
 * why    the request is written out as bytes and read by the same reader, path and host rules as traffic, so
 *        that an explanation cannot be kinder than the proxy
 * in     METHOD URL and `-H` lines; URL is `http://host/path` or only `/path`
 * out    Asked, or a UsageError when it is no request at all; what the proxy would refuse is `refused`
 */

import type { Config, ListenerConfig } from "../config/config.ts";
import { type Address, formatAddress, parseIp } from "../core/address.ts";
import { type Failure, fail } from "../core/failure.ts";
import type { Fields } from "../core/fields.ts";
import { EVENT_FAILED, Reader } from "../protocol/h1/reader.ts";
import { normaliseHost } from "../route/host.ts";
import { normalisePath, splitTarget } from "../route/path.ts";
import { type UsageError, usageError } from "./arguments.ts";
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
  readonly method: string;
  readonly target: string;
  readonly isHttp10: boolean;
  readonly scheme: "http" | "https";
  /** As `Host` said, with port. */
  readonly authority: string;
  readonly host: string;
  readonly path: string;
  readonly query: string;
  readonly fields: Fields;
  readonly from: string;
  readonly listener: ListenerConfig;
  /** Port the client would have connected to; 0 on a unix socket. */
  readonly localPort: number;
  readonly listenerReason: string;
  readonly notes: readonly string[];
  /** What the proxy would answer before it looks for a route. */
  readonly refused: Failure | undefined;
}

const DEFAULT_PORTS = { http: 80, https: 443 } as const;

export function readQuestion(question: Question, config: Config): Asked | UsageError {
  const { method, headers, from } = question;
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
  const reader = new Reader("request", {
    headBytes: choice.listener.limits.requestHeadBytes,
    headers: choice.listener.limits.headers,
  });
  reader.feed(Buffer.from(`${method} ${url.target} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`, "latin1"));
  const isBroken = reader.next() === EVENT_FAILED;
  const { fields } = reader;
  const authority = isBroken ? url.authority : (fields.find("host") ?? "");
  const host = normaliseHost(authority);
  const path = url.target === "*" ? "*" : normalisePath(url.path, choice.listener.encodedSlash);
  return {
    kind: "asked",
    method,
    target: url.target,
    isHttp10: false,
    scheme: url.scheme,
    authority,
    host: host ?? "",
    path: path ?? "",
    query: url.query,
    fields,
    from,
    listener: choice.listener,
    localPort: choice.port,
    listenerReason: choice.reason,
    notes: choice.notes,
    refused: isBroken ? reader.failure : refusalOf(method, host, path),
  };
}

function refusalOf(method: string, host: string | undefined, path: string | undefined): Failure | undefined {
  if (method === "CONNECT") return fail("method_refused");
  if (host === undefined) return fail("bad_host");
  return path === undefined ? fail("bad_path") : undefined;
}

interface Url {
  readonly scheme: "http" | "https";
  readonly authority: string;
  /** Port in the URL, or the scheme's; undefined for a bare path. */
  readonly port: number | undefined;
  /** Origin form, as a client would send it. */
  readonly target: string;
  readonly path: string;
  readonly query: string;
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
    path,
    query,
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
  if (url.scheme === "https")
    notes.push("https is not supported yet: explained as if it had arrived in plain text");
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
