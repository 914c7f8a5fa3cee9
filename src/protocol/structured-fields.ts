/**
 * Structured fields: text as lists, dictionaries and items.
 *
 * in     the value of a field; several lines are joined with ", " first
 * out    what it says, or undefined: a field with any error in it is to be ignored whole
 * cost   one pass; nothing nests deeper than an inner list
 * spec   RFC 9651 §4.2 (RFC 8941 with dates and display strings)
 */

export type BareItem =
  | { readonly kind: "integer" | "decimal"; readonly value: number }
  /** Seconds since the epoch. */
  | { readonly kind: "date"; readonly value: number }
  | { readonly kind: "string" | "token" | "display"; readonly value: string }
  | { readonly kind: "bytes"; readonly value: Uint8Array }
  | { readonly kind: "boolean"; readonly value: boolean };

export type Parameters = ReadonlyMap<string, BareItem>;

export interface Item {
  readonly item: BareItem;
  readonly parameters: Parameters;
}

export interface InnerList {
  readonly items: readonly Item[];
  readonly parameters: Parameters;
}

export type Member = Item | InnerList;
export type Dictionary = ReadonlyMap<string, Member>;

const NO_PARAMETERS: Parameters = new Map();
const TRUE: BareItem = { kind: "boolean", value: true };
const FALSE: BareItem = { kind: "boolean", value: false };

const KEY = /[a-z*][a-z0-9_.*-]*/y;
const NUMBER = /-?\d+(?:\.\d+)?/y;
const STRING = /"((?:[ !#-[\]-~]|\\["\\])*)"/y;
const TOKEN = /[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*/y;
const BYTES = /:([A-Za-z0-9+/]*={0,2}):/y;
const DISPLAY = /%"((?:[ !#$&-~]|%[0-9a-f]{2})*)"/y;
const SPACES = / */y;
const BLANKS = /[ \t]*/y;

/** out  undefined when it is no list */
export function parseList(text: string): readonly Member[] | undefined {
  const reader = new Reader(text);
  const members: Member[] = [];
  const isWhole = reader.members(() => {
    const member = reader.member();
    if (member !== undefined) members.push(member);
    return member !== undefined;
  });
  return isWhole ? members : undefined;
}

/** Of a key that comes twice the last counts (RFC 9651 §3.2). out  undefined when it is no dictionary */
export function parseDictionary(text: string): Dictionary | undefined {
  const reader = new Reader(text);
  const members = new Map<string, Member>();
  const isWhole = reader.members(() => {
    const key = reader.take(KEY);
    const member = key === undefined ? undefined : reader.valueOfKey();
    if (key === undefined || member === undefined) return false;
    members.set(key, member);
    return true;
  });
  return isWhole ? members : undefined;
}

/** out  undefined when it is no single item */
export function parseItem(text: string): Item | undefined {
  const reader = new Reader(text);
  reader.take(SPACES);
  const item = reader.item();
  reader.take(SPACES);
  return reader.isAtEnd ? item : undefined;
}

/** Of a list all of whose members are strings, these; parameters do not count. out  undefined when it is none */
export function parseStrings(text: string): readonly string[] | undefined {
  const strings: string[] = [];
  for (const member of parseList(text) ?? [undefined]) {
    if (member === undefined || !("item" in member) || member.item.kind !== "string") return undefined;
    strings.push(member.item.value);
  }
  return strings;
}

class Reader {
  readonly #text: string;
  #at = 0;
  /** First group of the last pattern that was taken. */
  #group = "";

  constructor(text: string) {
    this.#text = text;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#text.length;
  }

  /** Text of a sticky pattern here, which is then behind us. */
  take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (found === null) return undefined;
    this.#at = pattern.lastIndex;
    this.#group = found[1] ?? "";
    return found[0];
  }

  #takes(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  /** Members between commas; none may be missing. */
  members(readMember: () => boolean): boolean {
    this.take(SPACES);
    while (!this.isAtEnd) {
      if (!readMember()) return false;
      this.take(BLANKS);
      if (this.isAtEnd) return true;
      if (!this.#takes(",")) return this.#isOnlySpaceLeft();
      this.take(BLANKS);
      if (this.isAtEnd) return false;
    }
    return true;
  }

  #isOnlySpaceLeft(): boolean {
    this.take(SPACES);
    return this.isAtEnd;
  }

  /** What a key of a dictionary stands for: without "=" it is true. */
  valueOfKey(): Member | undefined {
    if (this.#takes("=")) return this.member();
    const parameters = this.#parameters();
    return parameters === undefined ? undefined : { item: TRUE, parameters };
  }

  member(): Member | undefined {
    return this.#text[this.#at] === "(" ? this.#innerList() : this.item();
  }

  #innerList(): InnerList | undefined {
    this.#at++;
    const items: Item[] = [];
    for (;;) {
      this.take(SPACES);
      if (this.#takes(")")) break;
      const item = this.item();
      if (item === undefined || !" )".includes(this.#text[this.#at] ?? "?")) return undefined;
      items.push(item);
    }
    const parameters = this.#parameters();
    return parameters === undefined ? undefined : { items, parameters };
  }

  item(): Item | undefined {
    const item = this.#bareItem();
    const parameters = item === undefined ? undefined : this.#parameters();
    return item === undefined || parameters === undefined ? undefined : { item, parameters };
  }

  #parameters(): Parameters | undefined {
    if (this.#text[this.#at] !== ";") return NO_PARAMETERS;
    const parameters = new Map<string, BareItem>();
    while (this.#takes(";")) {
      this.take(SPACES);
      const key = this.take(KEY);
      if (key === undefined) return undefined;
      const value = this.#takes("=") ? this.#bareItem() : TRUE;
      if (value === undefined) return undefined;
      parameters.set(key, value);
    }
    return parameters;
  }

  #bareItem(): BareItem | undefined {
    const first = this.#text[this.#at] ?? "";
    if (first === '"') return this.#string();
    if (first === "?") return this.#boolean();
    if (first === "@") return this.#date();
    if (first === ":") return this.#bytes();
    if (first === "%") return this.#display();
    if (first === "-" || (first >= "0" && first <= "9")) return this.#number();
    const token = this.take(TOKEN);
    return token === undefined ? undefined : { kind: "token", value: token };
  }

  /** At most 15 digits, or 12 before the point and 3 behind it (RFC 9651 §4.2.4). */
  #number(): { readonly kind: "integer" | "decimal"; readonly value: number } | undefined {
    const text = this.take(NUMBER);
    if (text === undefined) return undefined;
    const digits = text.startsWith("-") ? text.slice(1) : text;
    const point = digits.indexOf(".");
    if (point === -1) return digits.length > 15 ? undefined : { kind: "integer", value: Number(text) };
    if (point > 12 || digits.length - point > 4) return undefined;
    return { kind: "decimal", value: Number(text) };
  }

  #string(): BareItem | undefined {
    if (this.take(STRING) === undefined) return undefined;
    return { kind: "string", value: this.#group.replace(/\\(.)/g, "$1") };
  }

  #boolean(): BareItem | undefined {
    this.#at++;
    if (this.#takes("1")) return TRUE;
    return this.#takes("0") ? FALSE : undefined;
  }

  #date(): BareItem | undefined {
    this.#at++;
    const number = this.#number();
    return number?.kind === "integer" ? { kind: "date", value: number.value } : undefined;
  }

  #bytes(): BareItem | undefined {
    if (this.take(BYTES) === undefined) return undefined;
    return { kind: "bytes", value: Buffer.from(this.#group, "base64") };
  }

  /** Its octets are UTF-8, those beyond ASCII as %xx (RFC 9651 §4.2.10). */
  #display(): BareItem | undefined {
    if (this.take(DISPLAY) === undefined) return undefined;
    const octets = this.#group.replace(/%(..)/g, (_all, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
    const bytes = Buffer.from(octets, "latin1");
    const value = bytes.toString("utf8");
    return Buffer.from(value, "utf8").equals(bytes) ? { kind: "display", value } : undefined;
  }
}
