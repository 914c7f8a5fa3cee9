/**
 * Endpoint list: what a file or a program says, read by the rules that hold for `endpoints` in the configuration.
 *
 * in     YAML or JSON text, or a value already read; a list, each entry an address or a mapping
 * out    the endpoints, or a failure that names line and key; one wrong entry refuses the whole list
 * never  plain text where the upstream has TLS: a list cannot lower what the configuration asks for
 */
import { checkEndpoints } from "../config/check/endpoints.ts";
import type { CheckFacts } from "../config/check/facts.ts";
import type { PlacedEndpoint } from "../config/check/upstream-tls.ts";
import { UPSTREAM } from "../config/options/upstream.table.ts";
import { parseYaml } from "../config/parse.ts";
import { formatProblem, NOWHERE, Place, Report, type Source as Text } from "../config/problem.ts";
import { type Found, failure } from "./source.ts";

export interface ListRules {
  /** Name of the text in messages. */
  readonly name: string;
  /** Where relative paths of unix sockets begin; undefined = no unix sockets: another machine says what is used here. */
  readonly folder: string | undefined;
  /** The upstream speaks TLS to its endpoints. */
  readonly isSecure: boolean;
}

export function readYamlList(text: string, rules: ListRules): Found {
  const { source, problems } = parseYaml(text, rules.name);
  const [problem] = problems;
  if (source === undefined) return failure(problem === undefined ? "unreadable" : formatProblem(problem));
  return readList(source, rules);
}

export function readJsonList(text: string, rules: ListRules): Found {
  try {
    const value: unknown = JSON.parse(text);
    return readList({ file: rules.name, value, locate: () => NOWHERE, written: () => undefined }, rules);
  } catch (error) {
    return failure(`the answer is not JSON: ${(error as Error).message}`);
  }
}

function readList(text: Text, rules: ListRules): Found {
  if (text.value === null || text.value === undefined) return { kind: "list", endpoints: [] };
  const report = new Report();
  const place = new Place(text, report, [], "upstreams.*.endpoints");
  const placed = checkEndpoints(UPSTREAM.endpoints.type.read(text.value, place), factsOf(rules));
  for (const endpoint of placed) judge(endpoint, rules);
  const errors = report.problems().filter(({ severity }) => severity === "error");
  const [first] = errors;
  if (first === undefined) return { kind: "list", endpoints: placed.map(({ endpoint }) => endpoint) };
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : "";
  return failure(`${formatProblem(first)}${more}`);
}

function judge({ endpoint, scheme, place }: PlacedEndpoint, { folder, isSecure }: ListRules): void {
  if (endpoint.address.kind === "unix" && folder === undefined) {
    place.error("a list from elsewhere names a socket of this machine", "Name host:port.");
  } else if (scheme === "http" && isSecure) {
    place.error("http:// is plain text, and the upstream has TLS", "Write the address without a scheme.");
  } else if (scheme === "https" && !isSecure) {
    place.error(
      "https:// stands in the list, and the upstream has no TLS",
      "Add `tls: true` to the upstream.",
    );
  }
}

/** Of the machine, endpoints ask nothing but where relative paths begin. */
function factsOf({ folder = "/" }: ListRules): CheckFacts {
  return {
    env: {},
    cores: 1,
    folder,
    kindOf: () => "missing",
    readText: () => ({ error: "not read here" }),
  };
}
