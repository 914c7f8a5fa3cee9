/**
 * Origin: what stands behind the proxies. nginx for what is fetched, a small sink for what is uploaded.
 *
 * why    a server that answers an upload before it has read it would let a proxy stop reading too; the sink
 *        reads every byte first, and then says how many there were
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePorts } from "../tests/support/ports.ts";
import { clientFile, ORIGIN_CORE, start } from "./processes.ts";

export const MIB = 1 << 20;
export const SMALL_BODY = "A small answer of sixty-five bytes".padEnd(65, ".");

const CACHED_FILES: readonly (readonly [name: string, bytes: Uint8Array | string])[] = [
  ["small", SMALL_BODY],
  ["1k", Buffer.alloc(1 << 10, "weir")],
  ["64k", Buffer.alloc(64 << 10, "weir")],
  ["1m", Buffer.alloc(MIB, "weir")],
];

export interface Origins {
  /**
   * `/small`, `/10k`, `/1m`, `/100m`, and as text that compresses like text `/text-10k`, `/text-1m`; any other path answers as `/small`. Under `/cached/` files that may be stored for a
   * day: `small`, `1k`, `64k`, `1m`; `/origin-status` counts requests (ngx_http_stub_status_module).
   */
  readonly files: number;
  /** The same over cleartext HTTP/2. */
  readonly filesH2c: number;
  /** Reads a body, then answers. */
  readonly sink: number;
  stop(): Promise<void>;
}

/** So many bytes of what people write: this project's own sources and pages, which are not the same twice. */
function textOf(bytes: number): Buffer {
  const folder = join(import.meta.dir, "..");
  const pieces: Buffer[] = [];
  let length = 0;
  for (const name of new Bun.Glob("{docs,src}/**/*.{md,ts}").scanSync(folder)) {
    const piece = readFileSync(join(folder, name));
    pieces.push(piece);
    length += piece.length;
    if (length >= bytes) break;
  }
  return Buffer.concat(pieces).subarray(0, bytes);
}

export async function startOrigins(folder: string): Promise<Origins> {
  const [files = 0, filesH2c = 0, sink = 0] = await freePorts(3);
  const root = join(folder, "files");
  mkdirSync(root, { recursive: true });
  writeFileSync(join(root, "10k"), Buffer.alloc(10 << 10, "weir"));
  const text = textOf(MIB);
  writeFileSync(join(root, "text-10k"), text.subarray(0, 10 << 10));
  writeFileSync(join(root, "text-1m"), text);
  writeFileSync(join(root, "1m"), Buffer.alloc(MIB, "weir"));
  writeFileSync(join(root, "100m"), Buffer.alloc(100 * MIB, "weir"));
  mkdirSync(join(root, "cached"), { recursive: true });
  for (const [name, bytes] of CACHED_FILES) writeFileSync(join(root, "cached", name), bytes);
  const file = join(folder, "origin.conf");
  writeFileSync(file, config(folder, root, [`${files}`, `${filesH2c} http2`]));
  const logFile = join(folder, "origin.stderr");
  const nginx = await start({
    name: "the origin",
    cores: ORIGIN_CORE,
    command: ["nginx", "-p", folder, "-c", file, "-e", logFile],
    logFile,
    port: files,
  });
  const reader = await start({
    name: "the upload sink",
    cores: ORIGIN_CORE,
    command: [process.execPath, clientFile("sink"), String(sink)],
    logFile: join(folder, "sink.stderr"),
    port: sink,
  });
  return {
    files,
    filesH2c,
    sink,
    stop: async () => {
      await Promise.all([nginx.stop(), reader.stop()]);
    },
  };
}

function config(folder: string, root: string, listen: readonly string[]): string {
  const temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `
user root;
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${join(folder, "origin.pid")};
error_log ${join(folder, "origin.stderr")} crit;
events { worker_connections 16384; }
http {
  access_log off;
  default_type text/plain;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000000;
  keepalive_timeout 600s;
${temp.map((name) => `  ${name}_temp_path ${join(folder, `origin-${name}`)};`).join("\n")}
  server {
${listen.map((what) => `    listen 127.0.0.1:${what} backlog=4096 reuseport;`).join("\n")}
    root ${root};
    location / { return 200 "${SMALL_BODY}"; }
    location = /10k { }
    location = /1m { }
    location = /text-10k { }
    location = /text-1m { }
    location /cached/ { expires 1d; }
    location = /origin-status { stub_status; }
    location = /100m { }
  }
}
`;
}
