/**
 * Environment: `${NAME}` and `${NAME:-default}` in any string of a configuration, filled in before the check.
 *
 * out    a copy of the value; a name without value and without default is a problem at its place
 * rule   `:-` stands in for a name that is unset or empty, as in a shell; `$${` is a plain `${`
 * never  look into what was filled in: a value that contains `${` is taken as it is
 */
import { isMapping } from "./options/containers.ts";
import { type Place, quote } from "./problem.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

const MAX_DEPTH = 64;
/** Escape, variable, or the beginning of one that is not well formed. */
const VARIABLE = /\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{/g;

export function fillVariables(value: unknown, place: Place, env: Environment): unknown {
  if (place.path.length > MAX_DEPTH) {
    place.error("this is nested too deeply", `Keep to ${MAX_DEPTH} levels.`);
    return null;
  }
  if (typeof value === "string") return value.includes("${") ? fillText(value, place, env) : value;
  if (Array.isArray(value)) {
    return value.map((item: unknown, index) => fillVariables(item, place.item(index), env));
  }
  if (!isMapping(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, child]) => [key, fillVariables(child, place.key(key), env)]),
  );
}

function fillText(text: string, place: Place, env: Environment): string {
  return text.replace(VARIABLE, (written: string, name: string | undefined, fallback: string | undefined) => {
    if (written === "$${") return "${";
    if (name === undefined) {
      place.spoil(
        `${quote(text)} has a \`\${\` that names no variable`,
        `Write \${NAME} or \${NAME:-default}, or $\${ for the characters themselves.`,
      );
      return "";
    }
    const value = Object.hasOwn(env, name) ? env[name] : undefined;
    if (fallback !== undefined) return value === undefined || value === "" ? fallback : value;
    if (value === undefined) {
      place.spoil(
        `the environment variable ${name} is not set`,
        `Set it, or write a default: \${${name}:-value}.`,
      );
    }
    return value ?? "";
  });
}
