/**
 * Cache peers: nginx, HAProxy and Varnish set up to answer from a cache in memory, each as fast as it can be made.
 *
 * why    a bar is worth something only against a rival at its best
 * rule   all keep what the origin allows and nothing else; nothing is written to a disk: nginx keeps its files on
 *        /dev/shm, holds them open (open_file_cache) and sends them with sendfile
 */
import { mkdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";

const SHARED_MEMORY = "/dev/shm";

/**
 * Where a peer keeps its files in memory: below a folder that the run removes (`run.ts` names it as it names the
 * folder of its configuration files).
 */
export const memoryFolder = (folder: string) => join(SHARED_MEMORY, basename(folder));

/** Lines of nginx's `http` block. */
export function nginxCache(path: string): string {
  const files = join(memoryFolder(dirname(path)), basename(path));
  mkdirSync(memoryFolder(dirname(path)), { recursive: true });
  return `
  proxy_cache_path ${files} levels=1:2 keys_zone=hits:64m max_size=1g inactive=1d use_temp_path=off;
  proxy_cache hits;
  proxy_cache_key $scheme$host$request_uri;
  proxy_cache_lock on;
  proxy_cache_revalidate on;
  sendfile on;
  tcp_nopush on;
  open_file_cache max=10000 inactive=1h;
  open_file_cache_valid 1h;
  open_file_cache_errors off;`;
}

/** HAProxy's cache cannot answer a range. */
export const haproxyCache = {
  rules: "  http-request cache-use hits\n  http-response cache-store hits\n",
  section: "cache hits\n  total-max-size 256\n  max-object-size 4194304\n  max-age 86400\n",
};

/** Threads wait for clients that keep their connections; so many serve 64 of them without making new ones. */
const VARNISH_THREADS = 100;

export function varnishConfig({ originPort }: { readonly originPort: number }): string {
  return `vcl 4.1;
backend origin { .host = "127.0.0.1"; .port = "${originPort}"; }
`;
}

/** Its working folder, which holds the log that it writes for every request, is in memory too. */
export function startsVarnish(file: string, folder: string, port: number): string[] {
  const parameters = [
    "thread_pools=1",
    `thread_pool_min=${VARNISH_THREADS}`,
    `thread_pool_max=${10 * VARNISH_THREADS}`,
    "default_keep=86400",
  ];
  mkdirSync(memoryFolder(folder), { recursive: true });
  const place = ["-n", join(memoryFolder(folder), basename(file, ".conf"))];
  // -j none: the unprivileged user that it would become cannot read the folder of the benchmark
  const options = ["-F", "-j", "none", "-a", `127.0.0.1:${port}`, "-f", file, "-s", "malloc,256m", ...place];
  return ["varnishd", ...options, ...parameters.flatMap((parameter) => ["-p", parameter])];
}
