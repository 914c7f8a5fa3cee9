/**
 * Docker: running containers with a label, asked from the engine's API on its socket.
 *
 * how    the list is asked for each interval; its stream of events says when to ask earlier
 * rule   events are hints only: what counts is the list, so a lost event costs an interval and nothing else
 * never  writes: two GET requests are all that is sent
 */
import { endpointsOfContainers } from "./containers.ts";
import { fetchText } from "./fetch-text.ts";
import { type Found, failure, type Source } from "./source.ts";

export interface DockerPlace {
  readonly socket: string;
  /** `key` or `key=value`. */
  readonly label: string;
  readonly network: string;
}

/** The host of the URL is not used on a unix socket; the API wants one all the same. */
const API = "http://docker";
/** Before the stream of events is opened again. */
const REOPEN_MS = 2000;

export class DockerSource implements Source {
  readonly name: string;
  readonly #place: DockerPlace;

  constructor(place: DockerPlace) {
    this.name = `Docker ${place.socket}, label ${place.label}`;
    this.#place = place;
  }

  async ask(): Promise<Found> {
    const { socket: unix, label, network } = this.#place;
    try {
      const url = `${API}/containers/json?filters=${filters({ label: [label], status: ["running"] })}`;
      const { status, text } = await fetchText({ url, unix });
      if (status !== 200) return failure(`the engine answers with status ${status}: ${messageIn(text)}`);
      return { kind: "list", ...endpointsOfContainers(JSON.parse(text), network) };
    } catch (error) {
      return failure((error as Error).message);
    }
  }

  watch(onHint: () => void): () => void {
    const stop = new AbortController();
    void this.#listen(onHint, stop.signal);
    return () => stop.abort();
  }

  async #listen(onHint: () => void, signal: AbortSignal): Promise<void> {
    const { socket: unix, label } = this.#place;
    const url = `${API}/events?filters=${filters({ type: ["container"], label: [label] })}`;
    while (!signal.aborted) {
      try {
        const response = await fetch(url, { unix, signal, keepalive: false, redirect: "manual" });
        if (response.ok) for await (const _ of response.body ?? []) onHint();
        else await response.body?.cancel();
      } catch {
        // the engine restarts, or is not there: `ask` says so
      }
      await pause(REOPEN_MS, signal);
    }
  }
}

const filters = (wanted: Readonly<Record<string, readonly string[]>>) =>
  encodeURIComponent(JSON.stringify(wanted));

const MAX_MESSAGE = 200;

function messageIn(text: string): string {
  return (/"message"\s*:\s*"([^"]*)"/.exec(text)?.[1] ?? text).slice(0, MAX_MESSAGE);
}

function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const end = () => {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
    resolve();
  };
  const timer = setTimeout(end, delayMs);
  if (signal.aborted) end();
  else signal.addEventListener("abort", end);
  return promise;
}
