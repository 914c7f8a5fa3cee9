/**
 * Compression rules: what a route compresses, and for whom: compiled once, asked for each answer.
 *
 * cost   two look-ups for values that were seen before, which is nearly all of them: sites have few types, and browsers
 *        few values of Accept-Encoding
 * spec   RFC 9110 §8.3.1, §8.4, §12.5.3
 */
import type { CompressConfig } from "../config/config.ts";
import { type Coding, chooseEncoding, type EncodingChoice } from "../protocol/accept-encoding.ts";

/** Values remembered; whoever sends ever new ones makes the others be read again, and no more. */
const MAX_KNOWN = 256;
/** Longer values are not worth remembering. */
const MAX_KNOWN_LENGTH = 200;
/** A message in frames that its peer takes apart: what compresses those is the protocol's own. */
const GRPC = "application/grpc";

export class Compression {
  readonly config: CompressConfig;
  readonly #exact: ReadonlySet<string>;
  /** `text/` for `text/*`. */
  readonly #prefixes: readonly string[];
  readonly #types = new Map<string, boolean>();
  readonly #choices = new Map<string, EncodingChoice>();

  constructor(config: CompressConfig) {
    this.config = config;
    this.#exact = new Set(config.types.filter((type) => !type.endsWith("/*")));
    this.#prefixes = config.types.filter((type) => type.endsWith("/*")).map((type) => type.slice(0, -1));
  }

  /** in  a Content-Type as it came, with or without parameters */
  takesType(contentType: string): boolean {
    const known = this.#types.get(contentType);
    if (known !== undefined) return known;
    const type = mediaTypeIn(contentType);
    const isTaken =
      (this.#exact.has(type) || this.#prefixes.some((prefix) => type.startsWith(prefix))) &&
      !type.startsWith(GRPC);
    remember(this.#types, contentType, isTaken);
    return isTaken;
  }

  /** in  Accept-Encoding as the request has it */
  choose(accept: string | undefined): EncodingChoice {
    const key = accept ?? "";
    const known = this.#choices.get(key);
    if (known !== undefined) return known;
    const choice = chooseEncoding(accept, this.config.codings);
    remember(this.#choices, key, choice);
    return choice;
  }
}

/** The type alone, in lower case. */
export function mediaTypeIn(contentType: string): string {
  const semicolon = contentType.indexOf(";");
  return (semicolon === -1 ? contentType : contentType.slice(0, semicolon)).trim().toLowerCase();
}

function remember<Value>(known: Map<string, Value>, key: string, value: Value): void {
  if (key.length > MAX_KNOWN_LENGTH) return;
  if (known.size === MAX_KNOWN) known.clear();
  known.set(key, value);
}

/** out  undefined where a route does not compress, so that the hot path branches once */
export function compileCompression(config: CompressConfig | undefined): Compression | undefined {
  return config === undefined ? undefined : new Compression(config);
}

/** The coding for a request that says this, by what a route has; for who stores bodies in their codings. */
export function chooseCoding(accept: string | undefined, config: CompressConfig): Coding | undefined {
  return chooseEncoding(accept, config.codings).coding;
}
