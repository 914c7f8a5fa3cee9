/**
 * Action: the one thing a route does with a request: to, redirect, respond or files.
 */
import { isFieldValue } from "../../core/bytes.ts";
import type { PathTest } from "../../route/match.ts";
import { templateProblem } from "../../route/template.ts";
import type { Action } from "../config.ts";
import type { FieldPairs } from "../options/messages.ts";
import { FILES, REDIRECT, RESPOND, TARGET } from "../options/options.table.ts";
import { withDefaults } from "../options/types.ts";
import { type Place, quote } from "../problem.ts";
import { absolutePath } from "./places.ts";
import { isRedirectStatus } from "./redirect-status.ts";
import type { RouteNeeds, WrittenRoute } from "./written-route.ts";

const ACTIONS = ["to", "redirect", "respond", "files"] as const;
/** Stands in where the action is wrong: the configuration is refused anyway. */
const NO_ACTION: Action = { kind: "proxy", targets: [] };

interface ActionNeeds {
  readonly needs: RouteNeeds;
  readonly path: PathTest | undefined;
}

export interface CheckedAction {
  readonly action: Action;
  /** Fields that a fixed answer brings along. */
  readonly responseHeaders: FieldPairs;
}

export function checkAction(route: WrittenRoute, place: Place, given: ActionNeeds): CheckedAction {
  const kinds = ACTIONS.filter((kind) => place.has(kind));
  const [kind] = kinds;
  const plain = (action: Action): CheckedAction => ({ action, responseHeaders: [] });
  if (kind === undefined) {
    place.error("the route does nothing", `Add one of ${ACTIONS.join(", ")}.`);
    return plain(NO_ACTION);
  }
  if (kinds.length > 1) {
    place.key(kinds[1] as string).keyError(`the route has ${kinds.join(" and ")}`, "Keep one of them.");
  }
  const at = place.key(kind);
  if (kind === "to") return plain(proxyAction(route.to, at, given.needs));
  if (kind === "redirect") return plain(redirectAction(route.redirect, at, given.path));
  if (kind === "files") return plain(filesAction(route.files, at, given.needs));
  return respondAction(route.respond, at);
}

function proxyAction(to: WrittenRoute["to"], place: Place, needs: RouteNeeds): Action {
  if (to === undefined) return NO_ACTION;
  if (to.length === 0) place.error("there is no upstream in the list", "Add one, such as `- app`.");
  const targets = to.flatMap(({ value, place: at }) => {
    const { upstream, weight } = withDefaults(TARGET, value);
    const name = upstream === undefined ? undefined : needs.upstreams.resolve(upstream, at);
    return name === undefined ? [] : [{ upstream: name, weight }];
  });
  if (targets.length > 0 && targets.length === to.length && targets.every(({ weight }) => weight === 0)) {
    place.error("every weight is 0, so no upstream would be used", "Give one of them a weight.");
  }
  return { kind: "proxy", targets };
}

function redirectAction(written: WrittenRoute["redirect"], place: Place, path: PathTest | undefined): Action {
  if (written?.to === undefined) return NO_ACTION;
  const { status } = withDefaults(REDIRECT, written);
  const { to } = written;
  isRedirectStatus(status, place.key("status"));
  const at = place.has("to") ? place.key("to") : place;
  const wrong = templateProblem(to, path, ["rest", "path", "query", "host"]);
  if (wrong !== undefined) at.error(wrong);
  // A control character, or a second slash that would name another host, must not come from the file either.
  if (!/^(?:\/(?!\/)|https?:\/\/[^/]|\{path\})/.test(to) || hasControl(to)) {
    at.error(`${quote(to)} is no place to redirect to`, "Begin with one slash, http:// or https://.");
  }
  return { kind: "redirect", to, status };
}

function hasControl(text: string): boolean {
  return [...text].some((character) => character < " " || character === "\x7f");
}

const BODILESS = [204, 205, 304];

function respondAction(written: WrittenRoute["respond"], place: Place): CheckedAction {
  if (written === undefined) return { action: NO_ACTION, responseHeaders: [] };
  const { status, body, contentType, headers } = withDefaults(RESPOND, written);
  if (BODILESS.includes(status) && body !== "") {
    place.key("body").error(`a ${status} answer has no body`, "Remove the body, or use another status.");
  }
  if (!isFieldValue(contentType) || !contentType.includes("/")) {
    place
      .key("contentType")
      .error(`${quote(contentType)} is no media type`, "Write text/html or application/json.");
  }
  if (headers?.some(([name]) => name.toLowerCase() === "content-type") === true) {
    place.key("headers").error("Content-Type has its own key here", "Use `contentType`.");
  }
  return { action: { kind: "respond", status, body, contentType }, responseHeaders: headers ?? [] };
}

function filesAction(written: WrittenRoute["files"], place: Place, needs: RouteNeeds): Action {
  const { root, index } = withDefaults(FILES, written);
  if (root === undefined) return NO_ACTION;
  const path = absolutePath(root, needs.facts.folder);
  const kind = needs.facts.kindOf(path);
  const at = place.key("root");
  if (kind === "missing") at.error(`there is no folder ${quote(root)}`, `It was looked for at ${path}.`);
  else if (kind !== "folder") at.error(`${quote(root)} is not a folder`, `It was looked for at ${path}.`);
  for (const name of index) {
    if (name === "" || name.includes("/") || name.startsWith(".")) {
      place.key("index").error(`${quote(name)} is not a file name`, "Name a file without its folder.");
    }
  }
  return { kind: "files", root: path, index };
}
