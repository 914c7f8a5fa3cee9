/**
 * Cached: what tests of the cache stand on: an origin that counts what it is asked, and the configuration around it.
 */
import { expect } from "bun:test";
import {
  Origin,
  type OriginConnection,
  type OriginRequest,
  perRequest,
  response,
} from "../support/origin.ts";
import { ask, get } from "./ask.ts";

export const FRESH = "Cache-Control: max-age=60";

export type Script = (request: OriginRequest, connection: OriginConnection) => string | undefined;

/** Path and query as the origin got them. */
export const targetOf = ({ requestLine }: OriginRequest) => requestLine.split(" ")[1] ?? "";

export class CountingOrigin {
  readonly #origin: Origin;
  /** All requests, in order. */
  readonly requests: readonly OriginRequest[];

  private constructor(origin: Origin, requests: readonly OriginRequest[]) {
    this.#origin = origin;
    this.requests = requests;
  }

  static async start(script: Script): Promise<CountingOrigin> {
    const requests: OriginRequest[] = [];
    const origin = await Origin.start(
      perRequest((request, connection) => {
        requests.push(request);
        return script(request, connection);
      }),
    );
    return new CountingOrigin(origin, requests);
  }

  get address(): string {
    return this.#origin.address;
  }

  /** How often it was asked for targets that begin like this. */
  count(target: string): number {
    return this.requests.filter((request) => targetOf(request).startsWith(target)).length;
  }

  stop(): Promise<void> {
    return this.#origin.stop();
  }
}

/** Answers with the request as it came, to be kept for a minute. */
export const mirror: Script = (request) => response(request.raw, [FRESH, "Content-Type: text/plain"]);

/** One listener `web`, one route to `address` with these cache settings. */
export function cachedTo(address: string, cache = "enabled: true", rest = ""): string {
  return `
listeners: { web: { bind: "127.0.0.1:0" } }
routes: [ { to: "http://${address}", cache: { ${cache} } } ]
${rest}`;
}

/** Asks twice. fails  when the second answer does not come from the cache */
export async function expectHit(origin: CountingOrigin, port: number, target: string, ...lines: string[]) {
  const first = await ask(port, get(target, ...lines));
  const before = origin.count(target);
  const second = await ask(port, get(target, ...lines));
  expect([target, origin.count(target) - before]).toEqual([target, 0]);
  return { first, second };
}
