/**
 * Secrets: the text that a reference stands for, read and judged without ever being quoted.
 */
import type { SecretReference } from "../options/secret.ts";
import { type Place, quote } from "../problem.ts";
import type { CheckFacts } from "./facts.ts";
import { absolutePath } from "./places.ts";

/** What a kind of secret may hold. */
export interface SecretKind {
  readonly pattern: RegExp;
  readonly wrong: string;
  readonly hint: string;
}

/** RFC 6750 §2.1 allows less; every visible ASCII character is safe in a field value. */
export const BEARER_TOKEN: SecretKind = {
  pattern: /^[!-~]+$/,
  wrong: "the secret holds a space or a character that a header cannot carry",
  hint: "Use visible ASCII only.",
};

/** A key as authorities hand it out (RFC 8555 §7.3.4). */
export const BASE64URL_KEY: SecretKind = {
  pattern: /^[A-Za-z0-9_-]+=*$/,
  wrong: "the key is not base64url",
  hint: "Copy it as the authority shows it: letters, digits, dash and underscore.",
};

/** Short ones are guessed from a stolen folder in no time. */
export const PASSPHRASE: SecretKind = {
  pattern: /^.{16,}$/s,
  wrong: "the secret is shorter than 16 characters",
  hint: "Use a long random one, such as `openssl rand -base64 32` makes.",
};

/** out  undefined after saying what is wrong at `place` */
export function readSecret(
  reference: SecretReference,
  place: Place,
  facts: CheckFacts,
  kind: SecretKind,
): string | undefined {
  const read = secretText(reference, place, facts);
  if (read === undefined) return undefined;
  const secret = read.trim();
  if (secret === "") place.error("the secret is empty", "Give it a value, or remove the key.");
  else if (!kind.pattern.test(secret)) place.error(kind.wrong, kind.hint);
  else return secret;
  return undefined;
}

function secretText(reference: SecretReference, place: Place, facts: CheckFacts): string | undefined {
  if (reference.kind === "text") return reference.text;
  if (reference.kind === "env") {
    const value = Object.hasOwn(facts.env, reference.name) ? facts.env[reference.name] : undefined;
    if (value === undefined) {
      place.error(`the environment variable ${quote(reference.name)} is not set`, "Set it before starting.");
    }
    return value;
  }
  const read = facts.readText(absolutePath(reference.path, facts.folder));
  if ("text" in read) return read.text;
  place.error(
    `the secret's file ${quote(reference.path)} cannot be read: ${read.error}`,
    "Check path and rights.",
  );
  return undefined;
}
