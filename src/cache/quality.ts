/**
 * Quality: lists whose items say how welcome they are, as Accept-Language and Accept-Encoding have them.
 *
 * why    the same wish is written in many ways; a key that takes them for different ones has few hits
 * rule   what does not read as such a list is left as it is written: it is only ever equal to itself
 * bound  64 items; longer lists are left as they are written
 * spec   RFC 9110 §12.4.2, §12.5; RFC 4647 §3.3.1, §3.4
 */

/** One item of such a list. */
export interface Wish {
  /** Lower case, without parameters. */
  readonly name: string;
  /** Parameters as written, each with its `;` in front, the quality left out. */
  readonly parameters: string;
  /** Thousandths: 0 = not wanted, 1000 = as good as any. */
  readonly quality: number;
}

const MAX_ITEMS = 64;
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z/]+$/;
const QUALITY = /^(?:0(?:\.(\d{0,3}))?|1(?:\.0{0,3})?)$/;

/** out  undefined when it is no such list: its meaning is not ours to guess */
export function parseWishes(value: string): readonly Wish[] | undefined {
  if (value.includes('"')) return undefined;
  const items = value.split(",", MAX_ITEMS + 1);
  if (items.length > MAX_ITEMS) return undefined;
  const wishes: Wish[] = [];
  for (const item of items) {
    if (item.trim() === "") continue;
    const wish = parseWish(item);
    if (wish === undefined) return undefined;
    wishes.push(wish);
  }
  return wishes;
}

function parseWish(item: string): Wish | undefined {
  const [name = "", ...rest] = item.split(";").map((part) => part.trim());
  if (!NAME.test(name)) return undefined;
  let [parameters, quality] = ["", 1000];
  for (const parameter of rest) {
    const match = /^q[ \t]*=[ \t]*(.*)$/i.exec(parameter);
    if (match === null) parameters += `;${parameter}`;
    else quality = toThousandths(match[1] as string);
    if (quality === -1) return undefined;
  }
  return { name: name.toLowerCase(), parameters, quality };
}

function toThousandths(text: string): number {
  const match = QUALITY.exec(text);
  if (match === null) return -1;
  return text.startsWith("1") ? 1000 : Number((match[1] ?? "").padEnd(3, "0"));
}

/** The list in one of the forms that mean the same: best first, then by name, without blanks and repetitions. */
export function normaliseWishes(wishes: readonly Wish[]): string {
  const texts = wishes
    .toSorted((one, two) => two.quality - one.quality || compare(textOf(one), textOf(two)))
    .map((wish) => (wish.quality === 1000 ? textOf(wish) : `${textOf(wish)};q=${wish.quality / 1000}`));
  return [...new Set(texts)].join(",");
}

const textOf = ({ name, parameters }: Wish) => name + parameters;
const compare = (one: string, two: string) => (one < two ? -1 : Number(one > two));

/** The language that is wanted before all others; undefined when there is none, or several. */
export function favouriteOf(wishes: readonly Wish[]): string | undefined {
  const best = Math.max(0, ...wishes.map(({ quality }) => quality));
  const favourites = new Set(wishes.filter(({ quality }) => quality === best).map(({ name }) => name));
  const [only] = favourites;
  return best > 0 && favourites.size === 1 && only !== "*" ? only : undefined;
}

/**
 * The one of a site's languages that fits best (RFC 4647 §3.4), spelled as the site does; the first when none fits.
 * in  `value`: Accept-Language, undefined when there is none. `languages`: not empty
 */
export function bestLanguage(value: string | undefined, languages: readonly string[]): string {
  const [fallback = ""] = languages;
  const wishes = value === undefined ? undefined : parseWishes(value);
  if (wishes === undefined) return fallback;
  const unwanted = new Set(wishes.filter(({ quality }) => quality === 0).map(({ name }) => name));
  const offered = languages.filter((language) => !unwanted.has(language.toLowerCase()));
  const wanted = wishes
    .filter(({ quality }) => quality > 0)
    .toSorted((one, two) => two.quality - one.quality);
  for (const { name } of wanted) {
    const found = name === "*" ? offered[0] : lookUp(name, offered);
    if (found !== undefined) return found;
  }
  return fallback;
}

/** `de-CH` finds de-CH, else de; `de` finds de, else what begins with `de-`. */
function lookUp(range: string, languages: readonly string[]): string | undefined {
  for (let name = range; name !== ""; name = name.slice(0, Math.max(0, name.lastIndexOf("-")))) {
    const exact = languages.find((language) => language.toLowerCase() === name);
    if (exact !== undefined) return exact;
  }
  return languages.find((language) => language.toLowerCase().startsWith(`${range}-`));
}

/** Content codings that the cache knows, best first: what Accept-Encoding is reduced to. */
const CODINGS = ["zstd", "br", "gzip"] as const;

/**
 * Accept-Encoding as the set of known codings that it takes: "zstd,br,gzip", "gzip", "identity" for none of them.
 * A list that cannot be read takes none.
 */
export function codingsOf(value: string): string {
  const wishes = parseWishes(value) ?? [];
  const qualityOf = (coding: string) => wishes.find(({ name }) => name === coding)?.quality;
  const any = qualityOf("*") ?? 0;
  const taken = CODINGS.filter((coding) => {
    const quality = qualityOf(coding) ?? (coding === "gzip" ? qualityOf("x-gzip") : undefined);
    return (quality ?? any) > 0;
  });
  return taken.length === 0 ? "identity" : taken.join(",");
}
