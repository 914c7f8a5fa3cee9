/**
 * Accept-Encoding: which content coding a client wants, of those that we have.
 *
 * in     the field's value as joined from all its lines; undefined = the request has none
 * out    the coding with the highest weight, our order deciding among equals; undefined = the body stays as it is, which
 *        is also what a client gets that says nothing: it may take any coding, but many that are silent know none
 * rule   a member that is no `token [;q=weight]` is as good as absent; `x-gzip` is `gzip`. A weight for `identity` counts
 *        only where it is written: `*` speaks of codings, and refuses identity by `*;q=0` alone
 * spec   RFC 9110 §12.4.2, §12.5.3, §8.4.1; RFC 8878 §7.2 (zstd), RFC 7932 §13 (br)
 */

export type Coding = "zstd" | "br" | "gzip";

export interface EncodingChoice {
  readonly coding: Coding | undefined;
  /** The client says that it does not take a body without coding. */
  readonly refusesIdentity: boolean;
}

const MEMBER = /^([!#$%&'*+.^_`|~0-9a-z-]+)(?:[ \t]*;[ \t]*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?$/;
const ANY = "*";
const IDENTITY = "identity";
const NOTHING: EncodingChoice = { coding: undefined, refusesIdentity: false };
/** Members beyond this are not read: no client has so many codings. */
const MAX_MEMBERS = 32;

/** in  `codings`: ours, in the order of our preference */
export function chooseEncoding(accept: string | undefined, codings: readonly Coding[]): EncodingChoice {
  if (accept === undefined || accept === "") return NOTHING;
  const weights = readWeights(accept);
  const others = weights.get(ANY) ?? 0;
  const identity = weights.get(IDENTITY);
  let coding: Coding | undefined;
  let best = identity ?? 0;
  for (const candidate of codings) {
    const weight = weights.get(candidate) ?? others;
    // a coding wins over an identity that is wanted as much
    if (weight > best || (weight === best && weight > 0 && coding === undefined)) {
      best = weight;
      coding = candidate;
    }
  }
  const refusesIdentity = identity === 0 || (identity === undefined && weights.get(ANY) === 0);
  return { coding, refusesIdentity };
}

/** Weight of each coding that is named, in lower case; of one that is named twice the higher. */
function readWeights(accept: string): Map<string, number> {
  const weights = new Map<string, number>();
  for (const member of accept.toLowerCase().split(",", MAX_MEMBERS)) {
    const found = MEMBER.exec(member.trim());
    if (found === null) continue;
    const name = found[1] === "x-gzip" ? "gzip" : (found[1] as string);
    const weight = found[2] === undefined ? 1 : Number(found[2]);
    weights.set(name, Math.max(weight, weights.get(name) ?? 0));
  }
  return weights;
}
