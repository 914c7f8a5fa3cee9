/**
 * Demo: two small origins and a configuration in front of them, so that `weir` shows something at once.
 *
 * why    the origins live in the control process, on ephemeral loopback ports: nothing to install, nothing
 *        left behind. They are for looking at, not for measuring.
 * out    YAML text that `weir run` would take as it is, and the origins to stop at the end
 */
import { startOrigin } from "./demo-origin.ts";

export interface Demo {
  readonly port: number;
  /** True when the first port was in use. */
  readonly isMoved: boolean;
  readonly adminPort: number;
  readonly yaml: string;
  stop(): Promise<void>;
}

const FIRST_PORT = 8080;
const LAST_PORT = 8090;
const FIRST_ADMIN_PORT = 9900;
const LAST_ADMIN_PORT = 9910;

/** Starts the origins. Throws when every port of the range is in use. */
export function startDemo(): Demo {
  const port = firstFreePort(FIRST_PORT, LAST_PORT, "::");
  const adminPort = firstFreePort(FIRST_ADMIN_PORT, LAST_ADMIN_PORT, "127.0.0.1");
  const origins = ["A", "B"].map((name) => startOrigin({ name, where: { port: 0 } }));
  const ports = origins.map((origin) => origin.port as number);
  return {
    port,
    isMoved: port !== FIRST_PORT,
    adminPort,
    yaml: demoYaml(port, adminPort, ports),
    async stop() {
      await Promise.all(origins.map((origin) => origin.stop(true)));
    },
  };
}

function demoYaml(port: number, adminPort: number, origins: readonly number[]): string {
  const endpoints = origins.map((origin) => `"127.0.0.1:${origin}"`).join(", ");
  return `listeners: { web: { bind: ":${port}", limits: { connections: 1000 } } }

routes:
  - { name: app, to: app }
  - { name: ping, match: { path: /ping }, respond: { status: 200, body: "pong\\n" } }
  - { name: old, match: { path: /old/* }, redirect: { to: "/hello/{rest}", status: 308 } }
  - { name: hello, match: { path: /hello/* }, to: app, rewrite: { path: "/greet/{rest}" } }
  - { name: kept, match: { path: /kept/* }, to: app, cache: { ttl: 10s }, compress: { minSize: 256 } }
  - { name: events, match: { path: /events }, to: app }
  - { name: websocket, match: { path: /ws }, to: app }

upstreams: { app: [ ${endpoints} ] }

cache: { memory: 16MiB }
admin: { bind: "127.0.0.1:${adminPort}" }
observe: { accessLog: { format: combined, to: stdout } }
`;
}

/** `host` "::" stands for every address, as `:8080` does in a configuration. */
function firstFreePort(first: number, last: number, host: string): number {
  for (let port = first; port <= last; port++) if (isFree(port, host)) return port;
  throw new Error(`every port from ${first} to ${last} is in use`);
}

function isFree(port: number, host: string): boolean {
  const socket = { data() {} };
  try {
    Bun.listen({ hostname: host, port, socket }).stop(true);
    return true;
  } catch (error) {
    const isV6Missing = host === "::" && (error as NodeJS.ErrnoException).code !== "EADDRINUSE";
    return isV6Missing && isFree(port, "0.0.0.0");
  }
}
