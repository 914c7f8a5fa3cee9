/**
 * Admin API: what runs here, is it well, and apply the configuration anew, over HTTP.
 *
 * where  the control process, next to the traffic and never in its way
 * rule   a request passes the gate first; then one row of ROUTES answers it. JSON is for programs and stays
 *        additive under /api/v1.
 * never  show a token, or say more of a defect than that there is one
 */
import { renameSync, statSync, unlinkSync } from "node:fs";
import { type Address, formatAddress } from "../core/address.ts";
import { EXPOSITION_CONTENT_TYPE } from "../observe/registry.ts";
import { purgeCache, showCached, topCached } from "./cache-answers.ts";
import { changeEndpoint, ENDPOINT_PATH, isEndpointPath } from "./endpoint-wish.ts";
import { isLocal, type Refusal, refusalOf } from "./gate.ts";
import { PAGE_POLICY, renderPage } from "./page.ts";
import type { AdminHooks } from "./status.ts";

export interface AdminOptions {
  readonly address: Address;
  /** Required on any address that other machines can reach. */
  readonly token: string | undefined;
  readonly hooks: AdminHooks;
  /** Lets an upgraded process open the port while this one still has it. */
  readonly reusePort: boolean;
  /** Told of an error that a hook threw; the client reads only that there was one. */
  readonly onDefect: (error: unknown) => void;
}

export interface AdminServer {
  /** The port really bound; undefined on a unix socket. */
  readonly port: number | undefined;
  /** Stops accepting; answers under way have a moment to end. */
  stop(): Promise<void>;
}

/** No request of this API has a body worth more. */
const MAX_BODY_BYTES = 64 * 1024;
const IDLE_SEC = 30;
/** A reload answers only when every worker did. */
const RELOAD_SEC = 120;
const STOP_GRACE_MS = 2000;

/** `peer`: address of who asks, "unix" over a unix socket. */
type Answer = (
  hooks: AdminHooks,
  request: Request,
  path: string,
  peer: string,
) => Response | Promise<Response>;

interface Route {
  readonly methods: readonly string[];
  readonly answer: Answer;
}

const READ: readonly string[] = ["GET", "HEAD"];
const ROUTES: Readonly<Record<string, Route>> = {
  "/": { methods: READ, answer: (hooks) => page(renderPage(hooks.status())) },
  "/healthz": { methods: READ, answer: () => text(200, "ok") },
  "/readyz": {
    methods: READ,
    answer: (hooks) => (hooks.isReady() ? text(200, "ready") : text(503, "not ready")),
  },
  "/metrics": { methods: READ, answer: metrics },
  "/api/v1/status": { methods: READ, answer: (hooks) => json(200, hooks.status()) },
  "/api/v1/live": { methods: READ, answer: (hooks) => json(200, hooks.live()) },
  "/api/v1/events": {
    methods: READ,
    answer: (hooks) => json(200, { events: hooks.events(), purges: hooks.purges() }),
  },
  "/api/v1/cache/purge": { methods: ["POST"], answer: purge },
  "/api/v1/cache/show": {
    methods: READ,
    answer: async (hooks, request) => told(await showCached(hooks, request.url)),
  },
  "/api/v1/cache/top": {
    methods: READ,
    answer: async (hooks, request) => told(await topCached(hooks, request.url)),
  },
  "/api/v1/upstreams": {
    methods: READ,
    answer: (hooks) => json(200, { upstreams: hooks.status().upstreams }),
  },
  "/api/v1/reload": { methods: ["POST"], answer: reload },
  [ENDPOINT_PATH]: { methods: ["POST"], answer: setEndpoint },
};

function routeOf(path: string): Route | undefined {
  const name = isEndpointPath(path) ? ENDPOINT_PATH : path;
  return Object.hasOwn(ROUTES, name) ? ROUTES[name] : undefined;
}

/** Opens the listener. Rejects with the reason when the address cannot be had. */
export async function startAdmin(options: AdminOptions): Promise<AdminServer> {
  const { address, token } = options;
  if (token === undefined && !isLocal(address)) {
    throw new Error("an admin listener that other machines can reach needs a token");
  }
  return Promise.resolve(
    address.kind === "unix" ? openUnix(address.path, options) : openTcp(address, options),
  );
}

function openTcp(address: Address & { readonly kind: "tcp" }, options: AdminOptions): AdminServer {
  try {
    const { host: hostname, port } = address;
    const server = Bun.serve({
      ...common(options),
      hostname,
      port,
      reusePort: options.reusePort,
      idleTimeout: IDLE_SEC,
    });
    return { port: server.port, stop: () => stopGently(server) };
  } catch (error) {
    throw explain(error, formatAddress(address));
  }
}

/**
 * A unix socket is bound under another name, closed to other users, and then moved to its place: a stale file
 * or the socket of the process before us is replaced in one step, and nobody finds it half made.
 */
function openUnix(path: string, options: AdminOptions): AdminServer {
  const bound = `${path}.${process.pid}`;
  const umask = process.umask(0o177);
  try {
    const server = Bun.serve({ ...common(options), unix: bound });
    renameSync(bound, path);
    const { ino } = statSync(path);
    return {
      port: undefined,
      stop: () => {
        removeOwn(path, ino);
        return stopGently(server);
      },
    };
  } catch (error) {
    throw explain(error, path);
  } finally {
    process.umask(umask);
  }
}

function removeOwn(path: string, ino: number): void {
  try {
    if (statSync(path).ino === ino) unlinkSync(path);
  } catch {
    // gone already, which is what was wanted
  }
}

const HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE: "the address is in use. Is another Weir running?",
  EADDRNOTAVAIL: "this machine has no such address",
  EACCES: "permission denied",
  ENOENT: "the folder does not exist",
};

function explain(error: unknown, place: string): Error {
  const { code = "", message } = error as NodeJS.ErrnoException;
  return new Error(`admin: cannot listen on ${place}: ${HINTS[code] ?? message}`, { cause: error });
}

function common(options: AdminOptions) {
  return {
    maxRequestBodySize: MAX_BODY_BYTES,
    fetch: (request: Request, server: Bun.Server<undefined>) => answer(request, server, options),
    error: (error: Error) => defect(error, options),
  };
}

function defect(error: unknown, options: AdminOptions): Response {
  options.onDefect(error);
  return problem(500, "a defect in the admin API; the log has more");
}

async function answer(
  request: Request,
  server: Bun.Server<undefined>,
  options: AdminOptions,
): Promise<Response> {
  const path = pathOf(request);
  const refusal = refusalOf(request, path, options);
  if (refusal !== undefined) return refuse(refusal);
  const route = routeOf(path);
  if (route === undefined) return problem(404, "no such path");
  if (!route.methods.includes(request.method)) {
    return problem(405, `use ${route.methods.join(" or ")}`, { Allow: route.methods.join(", ") });
  }
  if (route.answer === reload) server.timeout(request, RELOAD_SEC);
  try {
    const peer = server.requestIP(request)?.address ?? "unix";
    return await route.answer(options.hooks, request, path, peer);
  } catch (error) {
    return defect(error, options);
  }
}

/** Path of the target. The URL's host comes from the Host field and is none of our business here. */
function pathOf(request: Request): string {
  const start = request.url.indexOf("/", request.url.indexOf("://") + 3);
  return start === -1 ? "/" : (request.url.slice(start).split(/[?#]/)[0] as string);
}

async function reload(hooks: AdminHooks): Promise<Response> {
  const result = await hooks.reload();
  return json(result.applied ? 200 : 409, result);
}

async function setEndpoint(hooks: AdminHooks, request: Request, path: string): Promise<Response> {
  const body = await request.text().catch(() => "");
  const answered = changeEndpoint(hooks, path, body);
  return answered.kind === "changed"
    ? json(200, answered.endpoint)
    : problem(answered.status, answered.message);
}

async function purge(hooks: AdminHooks, request: Request, _path: string, peer: string): Promise<Response> {
  const body = await request.text().catch(() => "");
  return told(await purgeCache(hooks, body, peer));
}

function told(answered: object): Response {
  return "error" in answered && "status" in answered
    ? problem(answered.status as number, answered.error as string)
    : json(200, answered);
}

function metrics(hooks: AdminHooks): Response {
  const body = hooks.metrics();
  if (body === "") return problem(404, "metrics are off (observe.metrics)");
  return respond(200, body, { "Content-Type": EXPOSITION_CONTENT_TYPE });
}

function refuse({ status, message }: Refusal): Response {
  const challenge = 'Bearer realm="weir", Basic realm="weir", charset="UTF-8"';
  return problem(status, message, status === 401 ? { "WWW-Authenticate": challenge } : {});
}

const SECURITY: Readonly<Record<string, string>> = {
  "Cache-Control": "no-store",
  "X-Content-Type-Options": "nosniff",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
};

function respond(status: number, body: string, headers: Readonly<Record<string, string>>): Response {
  return new Response(body, { status, headers: { ...SECURITY, ...headers } });
}

const text = (status: number, body: string) =>
  respond(status, `${body}\n`, { "Content-Type": "text/plain; charset=utf-8" });

const json = (status: number, value: unknown, headers: Readonly<Record<string, string>> = {}) =>
  respond(status, `${JSON.stringify(value)}\n`, { "Content-Type": "application/json", ...headers });

const problem = (status: number, error: string, headers: Readonly<Record<string, string>> = {}) =>
  json(status, { status, error }, headers);

const page = (html: string) =>
  respond(200, html, {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": PAGE_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
  });

/**
 * Not awaited to the end: the answer under way may be that of the very reload that moves this listener, and
 * it is sent only after we return.
 */
function stopGently(server: Bun.Server<undefined>): Promise<void> {
  void server.stop(false);
  setTimeout(() => void server.stop(true), STOP_GRACE_MS).unref();
  return Promise.resolve();
}
