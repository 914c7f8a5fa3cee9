/**
 * Error answer: what does a client read when the proxy itself has to say no?
 *
 * out    a small body as text, JSON or HTML, whichever the client likes best, with the request id to quote to
 *        whoever runs the service
 * never  say what went wrong inside: upstream names, addresses and failure codes are for logs
 * spec   RFC 9110 §12.5.1 (Accept)
 */
import { reasonOf } from "../protocol/reasons.table.ts";

export interface ErrorAnswer {
  readonly contentType: string;
  readonly body: string;
}

/** HTML of the operator's own pages, by status (`404`) or class (`5xx`). */
export type ErrorPages = Readonly<Record<string, string>>;

type Form = "text" | "json" | "html";

const TYPES: Readonly<Record<Form, { readonly range: string; readonly contentType: string }>> = {
  text: { range: "text/plain", contentType: "text/plain; charset=utf-8" },
  json: { range: "application/json", contentType: "application/json" },
  html: { range: "text/html", contentType: "text/html; charset=utf-8" },
};
/** What a client gets that has no preference, first choice first. */
const PLAIN_ORDER: readonly Form[] = ["text", "json", "html"];
/** A page that somebody took the trouble to write is for everyone who does not ask for something else. */
const PAGE_ORDER: readonly Form[] = ["html", "json", "text"];
/** Browsers send under 200 bytes; what a longer field says further on is not worth reading. */
const MAX_ACCEPT_LENGTH = 1024;

export function errorAnswer(
  status: number,
  requestId: string,
  accept: string | undefined,
  pages: ErrorPages | undefined,
): ErrorAnswer {
  const page = pages === undefined ? undefined : pageFor(pages, status);
  const form = chooseForm(accept, page === undefined ? PLAIN_ORDER : PAGE_ORDER);
  const { contentType } = TYPES[form];
  if (form === "html") return { contentType, body: page ?? html(status, requestId) };
  if (form === "json") {
    return { contentType, body: `${JSON.stringify({ status, error: reasonOf(status), requestId })}\n` };
  }
  return { contentType, body: `${status} ${reasonOf(status)}\nRequest id: ${requestId}\n` };
}

function pageFor(pages: ErrorPages, status: number): string | undefined {
  for (const key of [String(status), `${Math.trunc(status / 100)}xx`]) {
    if (Object.hasOwn(pages, key)) return pages[key];
  }
  return undefined;
}

interface MediaRange {
  readonly range: string;
  readonly quality: number;
}

/** The form with the highest quality; then the one named more exactly, then earlier, then by `order`. */
function chooseForm(accept: string | undefined, order: readonly Form[]): Form {
  const first = order[0] as Form;
  if (accept === undefined || accept === "*/*" || accept === "") return first;
  const ranges = parseAccept(accept);
  let best: { form: Form; rank: readonly number[] } | undefined;
  for (const form of order) {
    const rank = rankOf(form, ranges);
    if (rank !== undefined && (best === undefined || isHigher(rank, best.rank))) best = { form, rank };
  }
  return best?.form ?? first;
}

function rankOf(form: Form, ranges: readonly MediaRange[]): readonly number[] | undefined {
  const { range } = TYPES[form];
  const patterns = ["*/*", `${range.slice(0, range.indexOf("/"))}/*`, range];
  for (let exactness = 2; exactness >= 0; exactness--) {
    const at = ranges.findIndex((candidate) => candidate.range === patterns[exactness]);
    const found = ranges[at];
    // a more exact range overrides a wider one, also when it says "not this"
    if (found !== undefined)
      return found.quality > 0 ? [found.quality, exactness, exactness === 0 ? 0 : -at] : undefined;
  }
  return undefined;
}

function isHigher(rank: readonly number[], best: readonly number[]): boolean {
  for (const [index, value] of rank.entries()) {
    if (value !== best[index]) return value > (best[index] as number);
  }
  return false;
}

function parseAccept(accept: string): MediaRange[] {
  return accept
    .slice(0, MAX_ACCEPT_LENGTH)
    .split(",")
    .map((item) => {
      const [range = "", ...parameters] = item.split(";").map((part) => part.trim().toLowerCase());
      return { range, quality: qualityOf(parameters) };
    });
}

/** `q=0.5` → 0.5; absent → 1; not a qvalue (RFC 9110 §12.4.2) → 0, so that nonsense is never preferred. */
function qualityOf(parameters: readonly string[]): number {
  const parameter = parameters.find((text) => text.startsWith("q="));
  if (parameter === undefined) return 1;
  return /^q=(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(parameter) ? Number(parameter.slice(2)) : 0;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

const STYLE =
  ":root{color-scheme:light dark}" +
  "body{margin:0;box-sizing:border-box;min-height:100vh;display:grid;place-content:center;padding:1rem;" +
  "font:1rem/1.5 system-ui,sans-serif}" +
  "h1{margin:0;font-size:1.5rem;font-weight:600}p{margin:.5rem 0 0}code{overflow-wrap:anywhere}";

function html(status: number, requestId: string): string {
  const title = `${status} ${reasonOf(status)}`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>${title}</title>
<style>${STYLE}</style>
<h1>${title}</h1>
<p>Request id: <code>${escapeHtml(requestId)}</code></p>
</html>
`;
}
