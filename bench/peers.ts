/**
 * Peers: nginx, HAProxy, Varnish and Weir, each set up to do the same work for one client-facing port.
 *
 * rule   every one sets X-Forwarded-For, -Proto, -Host, -Port, Via and X-Request-Id, keeps up to 128 idle
 *        connections to the origin, closes a client's connection after 10,000 requests (Weir's default), and
 *        streams bodies without touching the disk: nginx would otherwise spool them, which costs it more
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../tests/support/ports.ts";
import { haproxyCache, nginxCache, startsVarnish, varnishConfig } from "./cache-peers.ts";
import type { CertificateFiles } from "./certificates.ts";
import { PROXY_CORE, type Running, start } from "./processes.ts";

const ROOT = join(import.meta.dir, "..");
const REQUESTS_PER_CONNECTION = 10_000;
/** For h2load, which does not connect again. */
const MANY_REQUESTS = 1_000_000_000;

export interface PeerOptions {
  /** Folder for configuration and logs. */
  readonly folder: string;
  readonly originPort: number;
  readonly workers?: number;
  readonly cores?: string;
  /** `each` = one write a line, as nginx does by default; `batched` = nginx with a buffer; default off. */
  readonly log?: "each" | "batched";
  /** How many routes, of which the last is asked for; default one. */
  readonly routes?: number;
  /** TLS with these certificates, the first one for clients that ask for no name; default cleartext. */
  readonly certificates?: readonly CertificateFiles[];
  /** HTTP/2 for clients: over TLS by ALPN beside HTTP/1.1, in cleartext with prior knowledge and alone. */
  readonly http2?: boolean;
  /** What is spoken with the origin; default h1. nginx cannot speak h2c there. */
  readonly originProtocol?: "h1" | "h2c";
  /** Answers come from a cache in memory, as far as the origin allows. Varnish knows nothing else. */
  readonly cache?: boolean;
  /** Answers of type text/plain are compressed; nginx and HAProxy know gzip alone, Weir's level 0 is its own choice. */
  readonly compress?: { readonly codings: readonly string[]; readonly level: number };
}

export interface Peer extends Running {
  readonly name: string;
  readonly port: number;
}

/** What carries traffic without a cache too. */
export type ProxyKind = "nginx" | "haproxy" | "weir";
export type PeerKind = ProxyKind | "varnish";

/** Starts one peer under a name of its own. */
export async function startPeer(kind: PeerKind, name: string, options: PeerOptions): Promise<Peer> {
  const port = await freePort();
  const file = join(options.folder, `${name}.conf`);
  const command = COMMANDS[kind](file, options.folder, port);
  writeFileSync(file, await CONFIGS[kind]({ ...options, name, port }));
  const logFile = join(options.folder, `${name}.stderr`);
  const outFile = join(options.folder, `${name}.access`);
  const running = await start({ name, cores: options.cores ?? PROXY_CORE, command, logFile, outFile, port });
  return { ...running, name, port };
}

/** Starts any other program as a subject; it reads PORT and ORIGIN from its environment. */
export async function startOther(name: string, command: string, options: PeerOptions): Promise<Peer> {
  const port = await freePort();
  const env = { PORT: String(port), ORIGIN: String(options.originPort) };
  const logFile = join(options.folder, `${name}.stderr`);
  const shell = ["sh", "-c", `exec ${command}`];
  const running = await start({ name, cores: PROXY_CORE, command: shell, logFile, port, env });
  return { ...running, name, port };
}

type ConfigOf = (options: PeerOptions & { name: string; port: number }) => string | Promise<string>;

const COMMANDS: Record<PeerKind, (file: string, folder: string, port: number) => string[]> = {
  nginx: (file, folder) => ["nginx", "-p", folder, "-c", file, "-e", join(folder, "nginx.stderr")],
  haproxy: (file) => ["haproxy", "-db", "-f", file],
  varnish: startsVarnish,
  weir: (file) => [join(ROOT, "bin", "weir"), "run", "-c", file],
};

const CONFIGS: Record<PeerKind, ConfigOf> = {
  nginx: nginxConfig,
  haproxy: haproxyConfig,
  varnish: varnishConfig,
  weir: weirConfig,
};

/** Path of the route that a load with `count` routes asks for. */
export const routePath = (index: number) => `/team-${index % 100}/service-${index}/`;

const indexes = (count: number) => Array.from({ length: count }, (_, index) => index);

function nginxConfig({
  folder,
  name,
  port,
  originPort,
  workers = 1,
  log,
  routes,
  certificates = [],
  http2 = false,
  cache = false,
  compress,
}: Parameters<ConfigOf>[0]): string {
  const listen = `listen 127.0.0.1:${port}${certificates.length > 0 ? " ssl" : ""}${http2 ? " http2" : ""}`;
  const access = `access_log ${join(folder, `${name}.access`)} combined${log === "batched" ? " buffer=64k flush=1s" : ""};`;
  const paths = routes === undefined ? ["/"] : indexes(routes).map(routePath);
  return `
user root;
daemon off;
worker_processes ${workers};
worker_rlimit_nofile 20000;
pid ${join(folder, `${name}.pid`)};
error_log ${join(folder, `${name}.stderr`)} crit;
events { worker_connections 16384; }
http {
  ${log === undefined ? "access_log off;" : access}
  client_body_temp_path ${join(folder, "nginx-body")};
  proxy_temp_path ${join(folder, "nginx-proxy")};
  fastcgi_temp_path ${join(folder, "nginx-fcgi")};
  uwsgi_temp_path ${join(folder, "nginx-uwsgi")};
  scgi_temp_path ${join(folder, "nginx-scgi")};
  keepalive_requests ${http2 ? MANY_REQUESTS : REQUESTS_PER_CONNECTION};
  client_max_body_size 0;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache shared:SSL:10m;
  upstream origin {
    server 127.0.0.1:${originPort};
    keepalive 128;
    keepalive_requests ${REQUESTS_PER_CONNECTION};
  }
  proxy_http_version 1.1;
  proxy_request_buffering off;
  proxy_max_temp_file_size 0;
  proxy_set_header Connection "";
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Host $http_host;
  proxy_set_header X-Forwarded-Port $server_port;
  proxy_set_header Via "1.1 nginx";
  proxy_set_header X-Request-Id $request_id;
${cache ? nginxCache(join(folder, `${name}-cache`)) : ""}
${compress === undefined ? "" : `  gzip on; gzip_comp_level ${compress.level}; gzip_types text/plain; gzip_proxied any; gzip_vary on; gzip_min_length 1024;`}
${(certificates.length > 0 ? certificates : [undefined])
  .map((files, index) =>
    nginxServer(
      index === 0 ? `${listen} backlog=4096${workers > 1 ? " reuseport" : ""}` : listen,
      paths,
      files,
    ),
  )
  .join("\n")}
}
`;
}

function nginxServer(listen: string, paths: readonly string[], files: CertificateFiles | undefined): string {
  const certificate =
    files === undefined
      ? ""
      : `server_name ${files.name}; ssl_certificate ${files.cert}; ssl_certificate_key ${files.key};`;
  return `
  server {
    ${listen};
    ${certificate}
${paths.map((path) => `    location ${path} { proxy_pass http://origin; }`).join("\n")}
  }`;
}

/** What follows the address of `bind`. */
function haproxyBind(certificates: readonly CertificateFiles[], http2: boolean): string {
  if (certificates.length === 0) return http2 ? " proto h2" : "";
  const files = certificates.map(({ both }) => ` crt ${both}`).join("");
  return ` ssl${files} ssl-min-ver TLSv1.2 alpn ${http2 ? "h2,http/1.1" : "http/1.1"}`;
}

function haproxyConfig(options: Parameters<ConfigOf>[0]): string {
  const { port, originPort, workers = 1, log, certificates = [], http2 = false, originProtocol } = options;
  return `
global
  nbthread ${workers}
  maxconn 12000
  no strict-limits
${options.compress === undefined ? "" : `  tune.comp.maxlevel ${options.compress.level}`}
defaults
  mode http
  timeout connect 5s
  timeout client 75s
  timeout server 60s
  timeout http-keep-alive 75s
  http-reuse always
  ${log === undefined ? "no log" : "log stdout format raw local0\n  option httplog"}
frontend web
  bind 127.0.0.1:${port} backlog 4096${haproxyBind(certificates, http2)}
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto ${certificates.length > 0 ? "https" : "http"}
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request set-header Via "1.1 haproxy"
  http-request set-header X-Request-Id %[uuid]
  default_backend origin
backend origin
${options.compress === undefined ? "" : "  compression algo gzip\n  compression type text/plain"}
${options.cache === true ? haproxyCache.rules : ""}  server o1 127.0.0.1:${originPort} pool-max-conn 128${originProtocol === "h2c" ? " proto h2" : ""}
${options.cache === true ? haproxyCache.section : ""}
`;
}

async function weirConfig(options: Parameters<ConfigOf>[0]): Promise<string> {
  const { folder, name, port, originPort, workers = 1, log, routes, originProtocol = "h1" } = options;
  const cache = options.cache === true;
  const access = `{ format: combined, to: "${join(folder, `${name}.access.log`)}" }`;
  const list =
    routes === undefined
      ? `  - { to: origin${cache ? ", cache: { enabled: true }" : ""}${weirCompress(options)} }`
      : indexes(routes)
          .map((index) => `  - { match: { path: "${routePath(index)}*" }, to: origin }`)
          .join("\n");
  return `
server: { workers: ${workers} }
listeners:
  web:
    bind: "127.0.0.1:${port}"
    limits: { body: 1GiB${options.http2 === true ? `, requestsPerConnection: ${MANY_REQUESTS}` : ""} }
${weirFront(options)}
routes:
${list}
upstreams:
  origin: { endpoints: ["127.0.0.1:${originPort}"], pool: { idle: 128 }, protocol: ${originProtocol} }
admin: { bind: "127.0.0.1:${await freePort()}" }
observe: { accessLog: ${log === undefined ? "off" : access}, metrics: true }
${cache ? "cache: { memory: 256MiB }" : ""}
`;
}

function weirCompress({ compress }: Partial<PeerOptions>): string {
  if (compress === undefined) return "";
  const { codings, level } = compress;
  return `, compress: { codings: [${codings.join(", ")}], level: ${level === 0 ? "auto" : level} }`;
}

function weirFront({ certificates = [], http2 = false }: Partial<PeerOptions>): string {
  if (certificates.length === 0) return http2 ? "    protocols: [h2]" : "";
  const files = certificates.map(({ cert, key }) => `        - { cert: "${cert}", key: "${key}" }`);
  return `    protocols: [h1${http2 ? ", h2" : ""}]\n    tls:\n      certificates:\n${files.join("\n")}`;
}
