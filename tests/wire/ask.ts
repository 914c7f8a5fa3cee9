/**
 * Ask: one request on a connection of its own, and an endpoint that answers with what it got.
 */
import { Origin, perRequest, response } from "../support/origin.ts";
import { RawClient, type RawResponse, type Target } from "../support/raw-client.ts";

/** A GET with Host and these lines. */
export function get(target: string, ...lines: string[]): string {
  return `${[`GET ${target} HTTP/1.1`, "Host: a.test", ...lines].join("\r\n")}\r\n\r\n`;
}

/** Sends the bytes on a new connection. out  the first response that is not a 1xx */
export async function ask(target: Target | number, bytes: string, method = "GET"): Promise<RawResponse> {
  const client = await RawClient.connect(target);
  try {
    await client.send(bytes);
    for (;;) {
      const answer = await client.response(method);
      if (answer.status >= 200) return answer;
    }
  } finally {
    client.close();
  }
}

/** An endpoint whose answers hold the request as it came. */
export async function startEcho(name = "echo"): Promise<Origin> {
  return await Origin.start(perRequest((request) => response(request.raw, [`X-Endpoint: ${name}`])));
}

/** Field lines of a request or response head, without the start line. */
export function fieldLines(head: string): string[] {
  const end = head.indexOf("\r\n\r\n");
  return head
    .slice(0, end === -1 ? head.length : end)
    .split("\r\n")
    .slice(1);
}
