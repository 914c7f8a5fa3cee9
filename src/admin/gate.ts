/**
 * Gate: may this request ask the admin API anything?
 *
 * why    the admin listener sits on loopback, where every browser tab and every page it shows can reach it:
 *        a name that suddenly resolves to 127.0.0.1 (DNS rebinding), a form posted from another site
 * rule   with a token every request but a probe must carry it; without one only loopback names are answered;
 *        a change asked for by a page of another site is refused either way
 * spec   RFC 6750 §2.1 (Bearer), RFC 7617 (Basic: how a browser sends the token), Fetch Metadata
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { type Address, CidrSet, parseAddress } from "../core/address.ts";

export interface Refusal {
  readonly status: 400 | 401 | 403;
  readonly message: string;
}

export interface Gate {
  readonly address: Address;
  readonly token: string | undefined;
}

const LOOPBACK = new CidrSet(["127.0.0.0/8", "::1"]);
const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);
/** Probes carry no secrets, and what they are told is none. */
const PROBES: ReadonlySet<string> = new Set(["/healthz", "/readyz"]);

/** Whether only this machine can reach the address. */
export function isLocal(address: Address): boolean {
  return address.kind === "unix" || isLoopbackHost(address.host);
}

/** out  why the request is refused, or undefined */
export function refusalOf(request: Request, path: string, gate: Gate): Refusal | undefined {
  const { headers } = request;
  if (!SAFE_METHODS.has(request.method) && isCrossSite(headers)) {
    return { status: 403, message: "a change asked for by another site is refused" };
  }
  if (gate.token === undefined) return isForeignHost(headers, gate.address) ? FOREIGN_HOST : undefined;
  if (PROBES.has(path) || isAuthorized(headers.get("authorization"), gate.token)) return undefined;
  return { status: 401, message: "an admin token is required: Authorization: Bearer <token>" };
}

const FOREIGN_HOST: Refusal = {
  status: 403,
  message: "without a token only Host names of this machine are answered: use localhost or 127.0.0.1",
};

/** A browser page cannot reach a unix socket, so its clients may name any host. */
function isForeignHost(headers: Headers, address: Address): boolean {
  if (address.kind === "unix") return false;
  const host = headers.get("host") ?? "";
  const name = (parseAddress(host, "") ?? parseAddress(`${host}:0`, "")) as
    | { readonly host?: string }
    | undefined;
  return name?.host === undefined || !isLoopbackHost(name.host);
}

function isLoopbackHost(host: string): boolean {
  const name = host.toLowerCase();
  return name === "localhost" || name.endsWith(".localhost") || LOOPBACK.has(name);
}

/** Browsers say with each change where it comes from; programs say nothing and have no session to abuse. */
function isCrossSite(headers: Headers): boolean {
  const site = headers.get("sec-fetch-site");
  if (site !== null && site !== "same-origin" && site !== "none") return true;
  const origin = headers.get("origin");
  return origin !== null && origin.replace(/^https?:\/\//, "") !== headers.get("host");
}

function isAuthorized(authorization: string | null, token: string): boolean {
  const [, scheme = "", credentials = ""] = /^([A-Za-z]+) +(\S+)\s*$/.exec(authorization ?? "") ?? [];
  if (scheme.toLowerCase() === "bearer") return isSame(credentials, token);
  if (scheme.toLowerCase() !== "basic") return false;
  const pair = Buffer.from(credentials, "base64").toString();
  return isSame(pair.slice(pair.indexOf(":") + 1), token);
}

/** Compares digests, so that time tells neither where two texts part nor how long the right one is. */
function isSame(given: string, expected: string): boolean {
  return timingSafeEqual(digest(given), digest(expected));
}

const digest = (text: string) => createHash("sha256").update(text).digest();
