/**
 * Match text: what a route asks for, on one line, in the words of the configuration.
 */
import type { ClientCertTest, NamedTest, RouteMatch, ValueTest } from "../route/match.ts";

/** `host shop.example.com · path /admin/* · header x-beta=1`; "anything" for a route that asks nothing. */
export function matchText(match: RouteMatch, priority: number): string {
  const parts = [
    listText("host", match.hosts),
    pathText(match.path),
    listText("method", match.methods),
    ...match.headers.map((test) => namedText("header", test)),
    ...match.query.map((test) => namedText("query", test)),
    ...match.cookies.map((test) => namedText("cookie", test)),
    listText("client", match.clientIp),
    certText(match.clientCert),
  ].filter((part) => part !== "");
  const text = parts.length === 0 ? "anything" : parts.join(" · ");
  return priority === 0 ? text : `${text} · priority ${priority}`;
}

const listText = (name: string, values: readonly string[]) =>
  values.length === 0 ? "" : `${name} ${values.join(" or ")}`;

function pathText(path: RouteMatch["path"]): string {
  if (path === undefined) return "";
  if (path.kind === "pattern") return `path ~${path.source}`;
  return path.kind === "exact" ? `path ${path.path}` : `path ${path.path}/*`;
}

function certText(wanted: ClientCertTest | undefined): string {
  if (wanted === undefined) return "";
  const { subject, san, fingerprints } = wanted;
  const parts = [
    subject === undefined ? "" : `subject${testText(subject)}`,
    san === undefined ? "" : `name${testText(san)}`,
    listText("fingerprint", fingerprints),
  ].filter((part) => part !== "");
  return `client certificate ${parts.join(", ")}`.trimEnd();
}

function namedText(kind: string, { name, test }: NamedTest): string {
  return `${kind} ${name}${testText(test)}`;
}

function testText(test: ValueTest): string {
  if (test.kind === "present") return "";
  return test.kind === "equal" ? `=${test.value}` : ` ~${test.source}`;
}
