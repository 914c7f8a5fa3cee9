/**
 * Admin client: asks a running Weir something through its admin listener.
 *
 * why    node:http and not fetch: fetch obeys http_proxy, which would show the admin token to a proxy
 * in     where the listener is, a method and a path
 * out    status and JSON, or an AdminError in words for the person who typed the command
 * never  waits longer than told, or reads an answer without end
 */
import { type IncomingMessage, request } from "node:http";
import { type Address, formatAddress } from "../core/address.ts";

export interface AdminTarget {
  readonly address: Address;
  readonly token: string | undefined;
}

export interface AdminCall {
  readonly method: "GET" | "POST";
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly timeoutMs: number;
}

export interface AdminAnswer {
  readonly kind: "answer";
  readonly status: number;
  readonly json: unknown;
}

export interface AdminError {
  readonly kind: "admin_error";
  readonly message: string;
}

/** The status of 15,000 routes is about 3 MiB; ten times that is no status of ours. */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;

const adminError = (message: string): AdminError => ({ kind: "admin_error", message });

/** Address to connect to: an any-address that is listened on is reached through loopback. */
export function reachable(address: Address): Address {
  if (address.kind === "unix") return address;
  if (address.host === "0.0.0.0" || address.host === "::") return { ...address, host: "127.0.0.1" };
  return address;
}

export async function callAdmin(target: AdminTarget, call: AdminCall): Promise<AdminAnswer | AdminError> {
  const address = reachable(target.address);
  const place = address.kind === "unix" ? formatAddress(address) : `http://${formatAddress(address)}`;
  try {
    const response = await send(address, target.token, call);
    const text = await readAll(response);
    return judge(place, response.statusCode ?? 0, text, target.token !== undefined);
  } catch (error) {
    return adminError(explainError(place, error as NodeJS.ErrnoException, call.timeoutMs));
  }
}

function send(address: Address, token: string | undefined, call: AdminCall): Promise<IncomingMessage> {
  const body = call.body === undefined ? undefined : JSON.stringify(call.body);
  const headers = {
    accept: "application/json",
    ...(body === undefined ? {} : { "content-type": "application/json" }),
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(address.kind === "unix" ? { host: "localhost" } : {}),
  };
  const where =
    address.kind === "unix" ? { socketPath: address.path } : { host: address.host, port: address.port };
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(call.timeoutMs);
    const sent = request({ ...where, method: call.method, path: call.path, headers, signal, agent: false });
    sent.on("response", resolve);
    sent.on("error", reject);
    sent.end(body);
  });
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) throw new Error("the answer is too long");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function judge(place: string, status: number, text: string, hasToken: boolean): AdminAnswer | AdminError {
  if (status === 401 || status === 403) {
    return adminError(
      hasToken
        ? `${place} refused the admin token. Check admin.token in the configuration, or WEIR_ADMIN_TOKEN`
        : `${place} wants an admin token. Set WEIR_ADMIN_TOKEN, or name the configuration with -c`,
    );
  }
  try {
    return { kind: "answer", status, json: JSON.parse(text) };
  } catch {
    return adminError(`what answers at ${place} is not a Weir admin listener (status ${status}, no JSON)`);
  }
}

function explainError(place: string, error: NodeJS.ErrnoException, timeoutMs: number): string {
  if (error.code === "ECONNREFUSED" || error.code === "ENOENT") {
    return `nothing listens at ${place}. Is Weir running, and is its admin listener there? Name another with --admin ADDR`;
  }
  if (error.code === "EACCES" || error.code === "EPERM") {
    return `no permission to connect to ${place}. Run as the user that Weir runs as`;
  }
  if (error.name === "AbortError" || error.name === "TimeoutError" || error.code === "ABORT_ERR") {
    return `${place} did not answer within ${timeoutMs / 1000} s`;
  }
  return `cannot talk to ${place}: ${error.message}`;
}
