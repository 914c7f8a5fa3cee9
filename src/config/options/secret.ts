/**
 * Secrets: a value that is given in the file, in a file beside it, or in the environment.
 *
 * never  quote a secret, or anything that stands where one is expected
 */
import { isMapping } from "./containers.ts";
import { text } from "./scalars.ts";
import type { Type } from "./types.ts";

export type SecretReference =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "env"; readonly name: string };

const HINT = "Write a text, { file: path } or { env: NAME }.";

export const secret: Type<SecretReference> = {
  name: "secret: text, `{ file: path }` or `{ env: NAME }`",
  schema: {
    anyOf: [
      { type: "string" },
      {
        type: "object",
        properties: { file: { type: "string", description: "A file that holds it, relative to this one." } },
        required: ["file"],
        additionalProperties: false,
      },
      {
        type: "object",
        properties: { env: { type: "string", description: "The environment variable that holds it." } },
        required: ["env"],
        additionalProperties: false,
      },
    ],
  },
  read(value, place) {
    if (!isMapping(value)) {
      if (typeof value === "string" || typeof value === "number") {
        return { kind: "text", text: typeof value === "string" ? value : (place.written() ?? String(value)) };
      }
      place.error("this is no secret", HINT);
      return undefined;
    }
    const keys = Object.keys(value);
    const [key] = keys;
    if (keys.length !== 1 || (key !== "file" && key !== "env")) {
      place.error("a secret names exactly one of `file` and `env`", HINT);
      return undefined;
    }
    const named = text(key === "file" ? "a path" : "a name").read(value[key], place.key(key));
    if (named === undefined) return undefined;
    return key === "file" ? { kind: "file", path: named } : { kind: "env", name: named };
  },
};
