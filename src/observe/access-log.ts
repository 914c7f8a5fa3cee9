/**
 * Access log: one exchange as one line, in the format that the configuration names.
 *
 * in     `json`, `combined` (Apache's, and the request time in seconds), or a template such as
 *        `{clientIp} "{method} {target}" {status}`; `{{` and `}}` are braces
 * out    a function from an entry to its line, without the line feed
 * rule   a value never holds the character that ends it: in `{path} {status}` a space within the path is
 *        written `\x20`, in `"{userAgent}"` a quote is `\x22`. Nothing a client sends can forge a line or a field.
 * cost   one string a line; bench/micro/access-log.ts holds the figure
 */
import {
  commonClock,
  decimalMs,
  decimalSeconds,
  type Escape,
  isoClock,
  jsonText,
  plainText,
  remember,
} from "./log-text.ts";

/** What `record` knows of an exchange. Texts are "" and times negative when there is nothing to say. */
export interface LogEntry {
  /** When the exchange began, since the epoch. */
  readonly timeMs: number;
  readonly requestId: string;
  readonly clientIp: string;
  readonly clientPort: number;
  readonly method: string;
  readonly scheme: string;
  readonly host: string;
  readonly path: string;
  /** Without "?". */
  readonly query: string;
  /** `HTTP/1.1`. */
  readonly protocol: string;
  readonly status: number;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  readonly listener: string;
  readonly route: string;
  readonly upstream: string;
  readonly endpoint: string;
  readonly attempts: number;
  /** From accept, or on a kept connection from the first byte, to the end of the request head. */
  readonly headMs: number;
  /** Waiting for a place at the upstream. */
  readonly queueMs: number;
  /** Making a connection; negative when one was reused. */
  readonly connectMs: number;
  /** From the request sent to the response head. */
  readonly firstByteMs: number;
  readonly totalMs: number;
  /** What the cache did (`hit`, `miss` …), and the rule that made it so; "" where the route does not cache. */
  readonly cache: string;
  readonly cacheRule: string;
  /** `done`, or the failure code. */
  readonly cause: string;
  /** What was seen of the failure, for whoever looks into it. */
  readonly detail: string;
  readonly userAgent: string;
  readonly referer: string;
  /** undefined on a plain connection. The same object for all exchanges of a connection. */
  readonly tls: LogTls | undefined;
}

/** What the TLS handshake settled. */
export interface LogTls {
  /** "" when the client named none. */
  readonly serverName: string;
  readonly version: string;
  readonly cipher: string;
  /** A certificate of the client that was verified. */
  readonly client: { readonly subject: string; readonly fingerprint: string } | undefined;
}

export type LogFormat = (entry: LogEntry) => string;

/** Compiles a format that `checkLogFormat` accepts; throws for any other. */
export function compileLogFormat(format: string): LogFormat {
  if (format === "json") return jsonFormat();
  if (format === "combined") return combinedFormat();
  const parts = parseTemplate(format);
  if (typeof parts === "string") throw new TypeError(parts);
  return templateFormat(parts);
}

/** What is wrong with a format, or undefined. */
export function checkLogFormat(format: string): string | undefined {
  if (format === "json" || format === "combined") return undefined;
  const parts = parseTemplate(format);
  return typeof parts === "string" ? parts : undefined;
}

/** Names that may stand in a template. */
export function logFields(): readonly string[] {
  return [...FIELDS.keys()];
}

/** Values that repeat from line to line come with their key, as one ready piece. */
const jsonMember = (key: string) => remember((text) => `"${key}":"${jsonText(text)}",`);

function jsonFormat(): LogFormat {
  const time = isoClock();
  const clientIp = jsonMember("clientIp");
  const method = jsonMember("method");
  const scheme = jsonMember("scheme");
  const host = jsonMember("host");
  const protocol = jsonMember("protocol");
  const listener = jsonMember("listener");
  const route = jsonMember("route");
  const upstream = jsonMember("upstream");
  const endpoint = jsonMember("endpoint");
  const cause = jsonMember("cause");
  const userAgent = jsonMember("userAgent");
  const cache = jsonMember("cache");
  const cacheRule = jsonMember("cacheRule");
  const tls = tlsMembers();
  return (entry) =>
    `{"time":"${time(entry.timeMs)}","requestId":"${jsonText(entry.requestId)}",` +
    `${clientIp(entry.clientIp)}"clientPort":${entry.clientPort},${method(entry.method)}` +
    `${scheme(entry.scheme)}${host(entry.host)}"path":"${jsonText(entry.path)}",` +
    `"query":"${jsonText(entry.query)}",${protocol(entry.protocol)}"status":${entry.status},` +
    `"bytesReceived":${entry.bytesReceived},"bytesSent":${entry.bytesSent},` +
    `${listener(entry.listener)}${route(entry.route)}${upstream(entry.upstream)}${endpoint(entry.endpoint)}` +
    `"attempts":${entry.attempts},"headMs":${decimalMs(entry.headMs, "null")},` +
    `"queueMs":${decimalMs(entry.queueMs, "null")},"connectMs":${decimalMs(entry.connectMs, "null")},` +
    `"firstByteMs":${decimalMs(entry.firstByteMs, "null")},"totalMs":${decimalMs(entry.totalMs, "null")},` +
    `${entry.cache === "" ? "" : cache(entry.cache) + cacheRule(entry.cacheRule)}` +
    `${cause(entry.cause)}${entry.detail === "" ? "" : `"detail":"${jsonText(entry.detail)}",`}${userAgent(entry.userAgent)}"referer":"${jsonText(entry.referer)}"${entry.tls === undefined ? "" : tls(entry.tls)}}`;
}

/** Only there when there is something to say; made once for exchanges of one connection in a row. */
function tlsMembers(): (tls: LogTls) => string {
  let last: LogTls | undefined;
  let text = "";
  return (tls) => {
    if (tls === last) return text;
    last = tls;
    const { serverName, version, cipher, client } = tls;
    const members: [key: string, value: string | undefined][] = [
      ["serverName", serverName === "" ? undefined : serverName],
      ["tlsVersion", version],
      ["tlsCipher", cipher],
      ["clientCertSubject", client?.subject],
      ["clientCertFingerprint", client?.fingerprint],
    ];
    text = members
      .map(([key, value]) => (value === undefined ? "" : `,"${key}":"${jsonText(value)}"`))
      .join("");
    return text;
  };
}

/** Apache's combined format and the time in seconds: most logs are written so, so there is no call for each field. */
function combinedFormat(): LogFormat {
  const time = commonClock();
  const clientIp = remember(plainText(" "));
  const method = plainText(" ");
  const target = plainText(" ");
  const protocol = remember(plainText('"'));
  const referer = remember(plainText('"'));
  const userAgent = remember(plainText('"'));
  return (entry) => {
    const path = entry.query === "" ? entry.path : `${entry.path}?${entry.query}`;
    return (
      `${clientIp(entry.clientIp)} - - [${time(entry.timeMs)}] "${method(entry.method)} ${target(path)} ` +
      `${protocol(entry.protocol)}" ${entry.status} ${entry.bytesSent} "${referer(entry.referer)}" ` +
      `"${userAgent(entry.userAgent)}" ${decimalSeconds(entry.totalMs, "-")}`
    );
  };
}

/** Makes the writer of one field; `end` is the character that ends it in the template. */
type MakeField = (end: string) => LogFormat;

const escaped =
  (read: LogFormat): MakeField =>
  (end) => {
    const toText: Escape = plainText(end);
    return (entry) => toText(read(entry));
  };
/** For values that repeat from line to line. */
const remembered =
  (read: LogFormat): MakeField =>
  (end) => {
    const toText = remember(plainText(end));
    return (entry) => toText(read(entry));
  };
/** For values made here, which hold nothing but digits, letters and their own punctuation. */
const exact =
  (read: LogFormat): MakeField =>
  () =>
    read;

const FIELDS: ReadonlyMap<string, MakeField> = new Map([
  ["time", timed(isoClock)],
  ["commonTime", timed(commonClock)],
  ["requestId", escaped((entry) => entry.requestId)],
  // the colons of an IPv6 address stay readable in `{clientIp}:{clientPort}`: the last colon ends it
  ["clientIp", (end) => remembered((entry) => entry.clientIp)(end === ":" ? "" : end)],
  ["clientPort", exact((entry) => String(entry.clientPort))],
  ["method", escaped((entry) => entry.method)],
  ["scheme", remembered((entry) => entry.scheme)],
  ["host", remembered((entry) => entry.host)],
  ["path", escaped((entry) => entry.path)],
  ["query", escaped((entry) => entry.query)],
  ["target", escaped((entry) => (entry.query === "" ? entry.path : `${entry.path}?${entry.query}`))],
  ["protocol", remembered((entry) => entry.protocol)],
  ["status", exact((entry) => String(entry.status))],
  ["bytesReceived", exact((entry) => String(entry.bytesReceived))],
  ["bytesSent", exact((entry) => String(entry.bytesSent))],
  ["listener", remembered((entry) => entry.listener)],
  ["route", remembered((entry) => entry.route)],
  ["upstream", remembered((entry) => entry.upstream)],
  ["endpoint", remembered((entry) => entry.endpoint)],
  ["attempts", exact((entry) => String(entry.attempts))],
  ["headMs", exact((entry) => decimalMs(entry.headMs, "-"))],
  ["queueMs", exact((entry) => decimalMs(entry.queueMs, "-"))],
  ["connectMs", exact((entry) => decimalMs(entry.connectMs, "-"))],
  ["firstByteMs", exact((entry) => decimalMs(entry.firstByteMs, "-"))],
  ["totalMs", exact((entry) => decimalMs(entry.totalMs, "-"))],
  ["totalSec", exact((entry) => decimalSeconds(entry.totalMs, "-"))],
  ["cache", remembered((entry) => entry.cache)],
  ["cacheRule", remembered((entry) => entry.cacheRule)],
  ["cause", remembered((entry) => entry.cause)],
  ["detail", escaped((entry) => entry.detail)],
  ["userAgent", remembered((entry) => entry.userAgent)],
  ["referer", escaped((entry) => entry.referer)],
  ["serverName", remembered((entry) => entry.tls?.serverName ?? "")],
  ["tlsVersion", remembered((entry) => entry.tls?.version ?? "")],
  ["tlsCipher", remembered((entry) => entry.tls?.cipher ?? "")],
  ["clientCertSubject", remembered((entry) => entry.tls?.client?.subject ?? "")],
  ["clientCertFingerprint", remembered((entry) => entry.tls?.client?.fingerprint ?? "")],
]);

function timed(makeClock: () => (timeMs: number) => string): MakeField {
  return () => {
    const clock = makeClock();
    return (entry) => clock(entry.timeMs);
  };
}

interface Template {
  /** One more than there are fields: what stands before each, and after the last. */
  readonly literals: readonly string[];
  readonly fields: readonly string[];
}

const TOKEN = /\{\{|\}\}|\{([^{}]*)\}|[{}]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;

function parseTemplate(format: string): Template | string {
  if (CONTROL.test(format)) return "a log format is one line, without control characters other than tab";
  const literals = [""];
  const fields: string[] = [];
  const addText = (text: string) => literals.push(literals.pop() + text);
  let from = 0;
  for (const token of format.matchAll(TOKEN)) {
    addText(format.slice(from, token.index));
    from = token.index + token[0].length;
    const name = token[1];
    if (name !== undefined) {
      if (!FIELDS.has(name)) return `unknown field {${name}}: the fields are ${logFields().join(", ")}`;
      fields.push(name);
      literals.push("");
    } else if (token[0].length === 2) addText(token[0].charAt(0));
    else
      return `a lone "${token[0]}" at character ${token.index + 1}: write "${token[0]}${token[0]}" for a brace`;
  }
  addText(format.slice(from));
  if (fields.length > 0) return { literals, fields };
  return `"${format}" is no log format: use json, combined, or a template with fields such as {status}`;
}

function templateFormat({ literals, fields }: Template): LogFormat {
  const [first = "", ...rest] = literals;
  const steps = fields.map((name, index) => {
    // of two fields without text between them, both end where the second one does
    const end = rest.slice(index).find((text) => text !== "") ?? "";
    return { write: (FIELDS.get(name) as MakeField)(end.charAt(0)), text: rest[index] as string };
  });
  return (entry) => {
    let line = first;
    for (const { write, text } of steps) line += write(entry) + text;
    return line;
  };
}
