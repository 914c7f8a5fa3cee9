/**
 * Configs: nginx, HAProxy and Weir, each set up as well as it allows against endpoints that fail.
 *
 * rule   the same promises for all: 300 ms to connect, 500 ms for an answer, three tries on any failure that can
 *        still be hidden, three failures to be put aside, checks every 500 ms with 150 ms to answer, and 5 s of slow start where there is
 *        such a thing (not in nginx, which has no checks either)
 */
import { join } from "node:path";

export const SLOW_START_MS = 5000;
/** Retries for each live request that Weir may make; the others know no budget. */
export const BUDGET = 0.2;

/** Less than a slow answer takes, far more than a usual one. */
const CHECK_TIMEOUT = "150ms";

export interface Target {
  readonly name: string;
  readonly address: string;
}

export interface ConfigOptions {
  readonly folder: string;
  readonly port: number;
  readonly adminPort: number;
  readonly targets: readonly Target[];
  /** The last target's address is looked up; else it is fixed as the others' are. */
  readonly isNamed: boolean;
  /** In place of retries and health: what one endpoint may have in flight, and how long a request may wait. */
  readonly overload?: Overload;
}

export interface Overload {
  readonly perEndpoint: number;
  readonly queue: number;
  readonly queueMs: number;
}

export const nginxLog = (folder: string) => join(folder, "nginx.attempts");
export const haproxySocket = (folder: string) => join(folder, "haproxy.sock");
export const weirList = (folder: string) => join(folder, "endpoints.yaml");

export function nginxConfig({ folder, port, targets, overload }: ConfigOptions): string {
  const temps = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const server =
    overload === undefined ? "max_fails=3 fail_timeout=2s" : `max_fails=0 max_conns=${overload.perEndpoint}`;
  return `
user root;
daemon off;
worker_processes ${overload === undefined ? 2 : 1};
worker_rlimit_nofile 20000;
pid ${join(folder, "nginx.pid")};
error_log ${join(folder, "nginx.stderr")} crit;
events { worker_connections 16384; }
http {
  log_format attempts "$upstream_addr";
  access_log ${nginxLog(folder)} attempts buffer=4k flush=200ms;
${temps.map((name) => `  ${name}_temp_path ${join(folder, `nginx-${name}`)};`).join("\n")}
  keepalive_requests 1000000;
  upstream app {
    zone app 512k;
    least_conn;
${targets.map(({ address }) => `    server ${address} ${server};`).join("\n")}
    keepalive 128;
    keepalive_requests 10000;
  }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_connect_timeout 300ms;
      proxy_read_timeout ${overload === undefined ? "500ms" : "5s"};
      proxy_next_upstream error timeout invalid_header http_500 http_502 http_503 http_504;
      proxy_next_upstream_tries 3;
    }
  }
}
`;
}

export function haproxyConfig({ folder, port, targets, overload }: ConfigOptions): string {
  const servers = targets.map(({ name, address }) => `  server ${name} ${address}`).join("\n");
  return `
global
  nbthread ${overload === undefined ? 2 : 1}
  maxconn 12000
  no strict-limits
  stats socket ${haproxySocket(folder)} level admin
defaults
  mode http
  no log
  timeout connect 300ms
  timeout client 75s
  timeout server ${overload === undefined ? "500ms" : "5s"}
  timeout check ${CHECK_TIMEOUT}
  timeout http-keep-alive 75s
  timeout queue ${overload === undefined ? "1s" : `${overload.queueMs}ms`}
  http-reuse always
frontend web
  bind 127.0.0.1:${port} backlog 4096
  default_backend app
backend app
  balance leastconn
${overload === undefined ? HAPROXY_HEALTH : `  default-server maxconn ${overload.perEndpoint} maxqueue ${overload.queue}`}
${servers}
`;
}

const HAPROXY_HEALTH = `
  retries 3
  option redispatch 1
  retry-on all-retryable-errors
  option httpchk GET /healthz
  http-check expect status 200
  default-server check inter 500ms fastinter 250ms downinter 500ms fall 2 rise 2 pool-max-conn 128
  default-server observe layer7 error-limit 3 on-error mark-down slowstart ${SLOW_START_MS}ms`;

export function weirConfig({ folder, port, adminPort, targets, isNamed, overload }: ConfigOptions): string {
  const fixed = isNamed ? targets.slice(0, -1) : targets;
  return `
server: { workers: ${overload === undefined ? 2 : 1} }
listeners: { web: { bind: "127.0.0.1:${port}", limits: { requestsPerConnection: 1000000 } } }
routes:
  - to: app
    timeouts: { connect: 300ms, request: 5s }
${overload === undefined ? WEIR_RETRY : ""}
upstreams:
  app:
    endpoints: [${fixed.map(({ address }) => `"${address}"`).join(", ")}]
${isNamed ? `    discovery: { file: "${weirList(folder)}", interval: 100ms }` : ""}
${overload === undefined ? WEIR_HEALTH : weirLimits(overload, targets.length)}
admin: { bind: "127.0.0.1:${adminPort}" }
observe: { accessLog: off, metrics: true }
`;
}

const WEIR_RETRY = `    retry: { attempts: 3, on: [connect, reset, timeout, 500, 502, 503, 504], perTry: 500ms, budget: ${BUDGET * 100}%, backoff: 5ms }`;

const WEIR_HEALTH = `    balance: round-robin
    health:
      active: { path: /healthz, interval: 500ms, fastInterval: 250ms, timeout: ${CHECK_TIMEOUT}, rise: 2, fall: 2, expect: { status: 200 } }
      passive: { failures: 3, window: 5s, eject: 4s, maxEject: 30s, errorRate: 50%, latency: 1500% }
      slowStart: ${SLOW_START_MS}ms`;

const weirLimits = ({ perEndpoint, queue, queueMs }: Overload, endpoints: number) =>
  `    limits: { connections: ${perEndpoint * endpoints}, perEndpoint: ${perEndpoint}, queue: ${queue * endpoints}, queueTimeout: ${queueMs}ms }
    health: { passive: off }`;

/** The list that Weir follows in place of a name. */
export const weirListOf = (target: Target | undefined) =>
  JSON.stringify(target === undefined ? [] : [target.address]);
