/**
 * Conditions: what a route asks of a request besides host and path, each as one small test.
 *
 * in     the tests of a RouteMatch, checked
 * out    a list of conditions, empty for most routes; all must hold
 * rule   a field that came in several lines is tested as one list (RFC 9110 §5.3); a query or cookie test holds
 *        when some value under that name passes it. Query names and values are compared decoded, once
 *        (WHATWG URL, application/x-www-form-urlencoded); cookies as sent (RFC 6265 §4.2.1)
 * cost   linear in the field, query or cookie text, whatever it holds
 */
import { CidrSet } from "../core/address.ts";
import { fieldIdOf } from "../core/field-names.ts";
import type { Fields } from "../core/fields.ts";
import type { ClientCertTest, NamedTest, RouteMatch, ValueTest } from "./match.ts";
import { decodeForm, somePair } from "./pairs.ts";

/** What routing reads of a client's certificate that was verified. */
export interface RouteCertificate {
  readonly subject: string;
  readonly sans: readonly string[];
  readonly fingerprint: string;
}

/** What routing reads of a request. */
export interface RouteRequest {
  /** As `normaliseHost` gives it; "" when the request named none. */
  readonly host: string;
  /** As `normalisePath` gives it. */
  readonly path: string;
  readonly query: string;
  readonly method: string;
  readonly requestFields: Fields;
  readonly clientIp: string;
  /** undefined in `tls`: a plain connection; in `client`: no certificate, or one that was not verified. */
  readonly downstream: { readonly tls: { readonly client: RouteCertificate | undefined } | undefined };
}

export interface Condition {
  /** `method`, `header x-beta`, `query debug`, `cookie group`, `client address`, `client certificate subject`: for explanations. */
  readonly subject: string;
  holds(request: RouteRequest): boolean;
}

type Accepts = (value: string) => boolean;

const COOKIE = fieldIdOf("cookie");

export function compileConditions(match: RouteMatch): readonly Condition[] {
  const conditions: Condition[] = [];
  const { methods } = match;
  if (methods.length > 0) {
    conditions.push({ subject: "method", holds: (request) => methods.includes(request.method) });
  }
  for (const test of match.headers) conditions.push(headerCondition(test));
  for (const test of match.query) conditions.push(queryCondition(test));
  for (const test of match.cookies) conditions.push(cookieCondition(test));
  if (match.clientIp.length > 0) {
    const blocks = new CidrSet(match.clientIp);
    conditions.push({ subject: "client address", holds: (request) => blocks.has(request.clientIp) });
  }
  if (match.clientCert !== undefined) addCertificateConditions(conditions, match.clientCert);
  return conditions;
}

function addCertificateConditions(conditions: Condition[], wanted: ClientCertTest): void {
  const add = (part: string, accepts: (client: RouteCertificate) => boolean) => {
    conditions.push({
      subject: `client certificate${part}`,
      holds(request) {
        const client = request.downstream.tls?.client;
        return client !== undefined && accepts(client);
      },
    });
  };
  const { subject, san, fingerprints } = wanted;
  if (subject !== undefined) {
    const accepts = compileTest(subject);
    add(" subject", (client) => accepts(client.subject));
  }
  if (san !== undefined) {
    const accepts = compileTest(san);
    add(" name", (client) => client.sans.some(accepts));
  }
  if (fingerprints.length > 0) {
    const known = new Set(fingerprints);
    add(" fingerprint", (client) => known.has(client.fingerprint));
  }
  if (subject === undefined && san === undefined && fingerprints.length === 0) add("", () => true);
}

/** How many tests a certificate must pass: each ranks a route as a header test does. */
export function countCertificateTests(wanted: ClientCertTest | undefined): number {
  if (wanted === undefined) return 0;
  const { subject, san, fingerprints } = wanted;
  const tests = [subject !== undefined, san !== undefined, fingerprints.length > 0];
  return Math.max(1, tests.filter(Boolean).length);
}

function compileTest(test: ValueTest): Accepts {
  if (test.kind === "present") return () => true;
  if (test.kind === "equal") return (value) => value === test.value;
  const pattern = new RegExp(test.source);
  return (value) => pattern.test(value);
}

function headerCondition({ name, test }: NamedTest): Condition {
  const accepts = compileTest(test);
  const lowerName = name.toLowerCase();
  return {
    subject: `header ${lowerName}`,
    holds(request) {
      const value = request.requestFields.joinedNamed(lowerName);
      return value !== undefined && accepts(value);
    },
  };
}

function queryCondition({ name, test }: NamedTest): Condition {
  const accepts = compileTest(test);
  return {
    subject: `query ${name}`,
    holds: (request) =>
      somePair(request.query, "&", (key, value) => decodeForm(key) === name && accepts(decodeForm(value))),
  };
}

function cookieCondition({ name, test }: NamedTest): Condition {
  const accepts = compileTest(test);
  const isIt = (key: string, value: string) => key.trim() === name && accepts(value.trim());
  return {
    subject: `cookie ${name}`,
    holds(request) {
      const fields = request.requestFields;
      for (let at = fields.indexOf(COOKIE); at !== -1; at = fields.indexOf(COOKIE, at + 1)) {
        if (somePair(fields.valueAt(at), ";", isIt)) return true;
      }
      return false;
    },
  };
}
