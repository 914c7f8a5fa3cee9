/**
 * Connection: signed requests to one authority, and its answers as JSON or as trouble.
 *
 * bound  30 s a request, 1 MiB an answer, 15 tries for bad nonces, 16 nonces kept
 * rule   what the authority asks us to wait is handed on and never waited for here: an authority must not be able
 *        to stop us
 * spec   RFC 8555 §6
 */

import { lateness, retryAfterMs, type Timing } from "../timing.ts";
import { Trouble, type TroubleKind } from "../trouble.ts";
import type { AccountKey } from "./account-key.ts";

export interface ConnectionOptions {
  /** URL of the directory. */
  readonly directory: string;
  /** PEM of the CA that vouches for the authority's own server; undefined = the system's. */
  readonly ca: string | undefined;
  readonly timing: Timing;
}

export interface Directory {
  readonly newNonce: string;
  readonly newAccount: string;
  readonly newOrder: string;
  /** RFC 9773; undefined when the authority has no renewal information. */
  readonly renewalInfo: string | undefined;
  readonly needsExternalAccount: boolean;
  readonly termsOfService: string | undefined;
}

export interface Signer {
  readonly key: AccountKey;
  /** URL of the account; undefined before there is one. */
  readonly kid: string | undefined;
}

export interface AcmeAnswer {
  /** Value of Location, "" when there is none. */
  readonly location: string;
  readonly retryAfterMs: number;
  readonly text: string;
  /** The body as an object; empty when it is none. */
  readonly body: Readonly<Record<string, unknown>>;
}

const REQUEST_MS = 30_000;
const MAX_ANSWER_BYTES = 1024 * 1024;
/** A refused nonce costs a round trip and brings the next one; a server may refuse many in a row. */
const NONCE_TRIES = 15;
const MAX_NONCES = 16;
/** A directory may move, but hardly ever does (RFC 8555 §7.1.1). */
const DIRECTORY_MS = 24 * 3600_000;
const DAY_MS = 24 * 3600_000;
const ERROR_PREFIX = "urn:ietf:params:acme:error:";

// biome-ignore format: a table is read by columns
const KINDS: Readonly<Record<string, TroubleKind>> = {
  rateLimited:             "rate_limited",
  serverInternal:          "server",
  badNonce:                "server",
  accountDoesNotExist:     "account",
  externalAccountRequired: "account",
  userActionRequired:      "account",
  unsupportedContact:      "account",
  invalidContact:          "account",
};

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #nonces: string[] = [];
  #directory: { readonly value: Directory; readonly readAtMs: number } | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  async directory(signal: AbortSignal): Promise<Directory> {
    const nowMs = this.#options.timing.nowMs();
    const known = this.#directory;
    if (known !== undefined && nowMs - known.readAtMs < DIRECTORY_MS) return known.value;
    const { body } = await this.get(this.#options.directory, signal);
    const meta = objectOf(body["meta"]);
    const value: Directory = {
      newNonce: urlOf(body, "newNonce"),
      newAccount: urlOf(body, "newAccount"),
      newOrder: urlOf(body, "newOrder"),
      renewalInfo: typeof body["renewalInfo"] === "string" ? body["renewalInfo"] : undefined,
      needsExternalAccount: meta["externalAccountRequired"] === true,
      termsOfService: typeof meta["termsOfService"] === "string" ? meta["termsOfService"] : undefined,
    };
    this.#directory = { value, readAtMs: nowMs };
    return value;
  }

  /** An unsigned GET: the directory and renewal information only. */
  async get(url: string, signal: AbortSignal): Promise<AcmeAnswer> {
    const response = await this.#fetch(
      url,
      { method: "GET", headers: { accept: "application/json" } },
      signal,
    );
    return this.#answerOf(response, await this.#textOf(response, signal));
  }

  /** A signed POST; `payload` undefined is POST-as-GET. Throws Trouble. */
  async post(url: string, signer: Signer, payload: unknown, signal: AbortSignal): Promise<AcmeAnswer> {
    for (let tries = 1; ; tries++) {
      const nonce = this.#nonces.pop() ?? (await this.#newNonce(signal));
      const header = { url, nonce, ...(signer.kid === undefined ? {} : { kid: signer.kid }) };
      const init = {
        method: "POST",
        headers: { "content-type": "application/jose+json" },
        body: signer.key.sign(header, payload),
      };
      const response = await this.#fetch(url, init, signal);
      const text = await this.#textOf(response, signal);
      this.#keepNonce(response);
      try {
        return this.#answerOf(response, text);
      } catch (error) {
        // the answer brought a fresh one (RFC 8555 §6.5); older ones in hand are likely to be as stale
        const isBadNonce = error instanceof Trouble && error.type === "badNonce";
        if (!isBadNonce || tries === NONCE_TRIES) throw error;
        this.#nonces.splice(0, this.#nonces.length - 1);
      }
    }
  }

  async #newNonce(signal: AbortSignal): Promise<string> {
    const { newNonce } = await this.directory(signal);
    const response = await this.#fetch(newNonce, { method: "HEAD" }, signal);
    const nonce = response.headers.get("replay-nonce");
    if (!response.ok) this.#answerOf(response, "");
    if (nonce === null) throw new Trouble("protocol", `${newNonce} gave no Replay-Nonce`);
    return nonce;
  }

  #keepNonce(response: Response): void {
    const nonce = response.headers.get("replay-nonce");
    if (nonce !== null && this.#nonces.length < MAX_NONCES) this.#nonces.push(nonce);
  }

  async #fetch(url: string, init: RequestInit, signal: AbortSignal): Promise<Response> {
    const { ca } = this.#options;
    const limited = AbortSignal.any([signal, AbortSignal.timeout(REQUEST_MS)]);
    const tls = ca === undefined ? {} : { tls: { ca } };
    try {
      // a POST is signed for its URL (RFC 8555 §6.4): sent elsewhere it is worth nothing
      const redirect = init.method === "POST" ? "error" : "follow";
      return await fetch(url, { ...init, ...tls, redirect, signal: limited });
    } catch (error) {
      if (signal.aborted) throw lateness(signal);
      if (limited.aborted) throw new Trouble("late", `${url} did not answer in ${REQUEST_MS / 1000} s`);
      throw new Trouble("network", `${url}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  async #textOf(response: Response, signal: AbortSignal): Promise<string> {
    const pieces: Uint8Array[] = [];
    let size = 0;
    try {
      for await (const piece of response.body ?? []) {
        size += piece.length;
        if (size > MAX_ANSWER_BYTES) {
          throw new Trouble("protocol", `${response.url} answered with more than ${MAX_ANSWER_BYTES} bytes`);
        }
        pieces.push(piece);
      }
    } catch (error) {
      if (error instanceof Trouble) throw error;
      if (signal.aborted) throw lateness(signal);
      throw new Trouble("network", `${response.url}: the answer broke off`);
    }
    return Buffer.concat(pieces).toString("utf8");
  }

  #answerOf(response: Response, text: string): AcmeAnswer {
    const { headers, status, ok } = response;
    const delayMs = retryAfterMs(headers.get("retry-after"), this.#options.timing.nowMs(), DAY_MS);
    const body = jsonOf(text);
    if (ok) return { location: headers.get("location") ?? "", retryAfterMs: delayMs, text, body };
    const problem = problemOf(body, status, delayMs);
    throw (
      problem ??
      new Trouble(kindOfStatus(status), `${response.url} answered ${status}`, { retryAfterMs: delayMs })
    );
  }
}

/** A problem document (RFC 8555 §6.7) as trouble; undefined when it is none. */
export function problemOf(
  body: Readonly<Record<string, unknown>>,
  status: number,
  delayMs: number,
): Trouble | undefined {
  const { type: written, detail } = body;
  if (typeof written !== "string") return undefined;
  const type = written.startsWith(ERROR_PREFIX) ? written.slice(ERROR_PREFIX.length) : written;
  const known = KINDS[type];
  const kind = known ?? kindOfStatus(status);
  const said = [detailOf(detail), ...subproblemsOf(body["subproblems"])].filter((text) => text !== "");
  return new Trouble(kind, `${type}: ${said.join("; ")}`, { retryAfterMs: delayMs, type });
}

function kindOfStatus(status: number): TroubleKind {
  if (status === 429) return "rate_limited";
  return status >= 500 ? "server" : "rejected";
}

function subproblemsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.slice(0, 4).map((part) => detailOf(objectOf(part)["detail"])) : [];
}

/** What an authority wrote goes into our log: one line, no control characters, no novel. */
function detailOf(value: unknown): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not reach the log
  return typeof value === "string" ? value.replace(/[\u0000-\u001f\u007f]+/g, " ").slice(0, 500) : "";
}

function jsonOf(text: string): Readonly<Record<string, unknown>> {
  try {
    return objectOf(JSON.parse(text));
  } catch {
    return {};
  }
}

export function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}

/** A URL in an answer. Throws Trouble when there is none. */
export function urlOf(body: Readonly<Record<string, unknown>>, name: string): string {
  const value = body[name];
  if (typeof value === "string" && URL.canParse(value)) return value;
  throw new Trouble("protocol", `no URL "${name}" in the answer`);
}
