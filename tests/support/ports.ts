/**
 * Ports: numbers that are free on the loopback address, for programs that cannot be given port 0.
 *
 * why    the kernel hands out its ephemeral range (from 32768) to outgoing connections at any moment, so a
 *        port found there may be gone when the program binds it; these lie below
 */
import { createServer } from "node:net";

const LOWEST = 20_000;
const HIGHEST = 32_000;
const MAX_TRIES = 200;

function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host }, () => server.close(() => resolve(true)));
  });
}

/** A port that nobody listens on now. */
export async function freePort(host = "127.0.0.1"): Promise<number> {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    if (await isFree(port, host)) return port;
  }
  throw new Error(`no free port on ${host} in ${MAX_TRIES} tries between ${LOWEST} and ${HIGHEST}`);
}

/** Several different free ports. */
export async function freePorts(count: number, host = "127.0.0.1"): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePort(host));
  return [...ports];
}
