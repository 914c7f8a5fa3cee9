/**
 * Fetch text: asks a program for a text over HTTP, with a bound for everything.
 *
 * why    a registry that hangs, or sends without end, must cost no more than the list that it does not give
 * fails  throws with a reason for people
 * never  follows a redirect: who answers is who the configuration names
 */
import { ANSWER_TIMEOUT_MS, MAX_ANSWER_BYTES } from "./source.ts";

export interface TextAnswer {
  readonly status: number;
  /** "" when there is none. */
  readonly etag: string;
  readonly text: string;
}

export interface TextQuestion {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Path of the socket to ask on; undefined = the URL's host. */
  readonly unix?: string | undefined;
  readonly timeoutMs?: number;
}

export async function fetchText(question: TextQuestion): Promise<TextAnswer> {
  const { url, headers = {}, unix, timeoutMs = ANSWER_TIMEOUT_MS } = question;
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const response = await fetch(url, {
      headers,
      redirect: "manual",
      signal,
      keepalive: false, // asked every few seconds: an idle connection is mostly gone by then
      ...(unix === undefined ? {} : { unix }),
    });
    const etag = response.headers.get("etag") ?? "";
    return { status: response.status, etag, text: await readBounded(response) };
  } catch (error) {
    if (signal.aborted) throw new Error(`no answer within ${timeoutMs / 1000} s`, { cause: error });
    throw new Error(reasonOf(error), { cause: error });
  }
}

async function readBounded(response: Response): Promise<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`the answer is longer than ${MAX_ANSWER_BYTES} bytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

const WORDS: Readonly<Record<string, string>> = {
  ConnectionRefused: "nobody listens there",
  ECONNREFUSED: "nobody listens there",
  ConnectionClosed: "the connection was lost before the answer",
  ECONNRESET: "the connection was lost before the answer",
  FailedToOpenSocket: "there is no such socket",
  ENOENT: "there is no such socket",
  EACCES: "no permission to use the socket",
};

function reasonOf(error: unknown): string {
  const { code = "", message = String(error) } = error as { code?: string; message?: string };
  return WORDS[code] ?? message;
}
