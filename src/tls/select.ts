/**
 * Select: which certificate is shown to a client that asks for this server name?
 *
 * in     a listener's pairs, in the order of the configuration; server names in lower case, without a last dot
 * out    a Choice: the pairs that may be shown, an ECDSA and an RSA one together where both cover the name, so
 *        that the TLS library takes the one this client can verify
 * rule   a name written out beats a wildcard; a wildcard stands for exactly one label (RFC 9525 §6.3); of several
 *        pairs of one key type the first one counts
 * cost   O(names) to build; a lookup is at most two map reads, whatever the number of certificates
 */
import type { CertificatePair } from "./materials.ts";

/** Names of a certificate, or patterns of names: `a.example.com`, `*.example.com`. */
export class NameSet {
  readonly #names: ReadonlySet<string>;

  constructor(names: Iterable<string>) {
    this.#names = new Set(names);
  }

  covers(name: string): boolean {
    return this.#names.has(name) || this.#names.has(wildcardOf(name));
  }
}

/** What stands for `name` with its first label left open; "" when there is only one label, or none. */
function wildcardOf(name: string): string {
  const dot = name.indexOf(".");
  return dot > 0 ? `*${name.slice(dot)}` : "";
}

/** One pair, or two of different key types, to be shown under the same names. */
export interface Choice {
  /** Ids of the pairs: the same id is the same choice, also in another table. */
  readonly id: string;
  readonly pairs: readonly CertificatePair[];
  readonly names: NameSet;
}

export class CertificateTable {
  /** For clients that name no server, or an unknown one; undefined without certificates. */
  readonly fallback: Choice | undefined;
  readonly #byName = new Map<string, Choice>();
  readonly #byId = new Map<string, Choice>();

  constructor(pairs: readonly CertificatePair[]) {
    const grouped = new Map<string, CertificatePair[]>();
    for (const pair of pairs) {
      for (const name of pair.names) addTo(grouped, name, pair);
    }
    for (const [name, covering] of grouped) this.#byName.set(name, this.#choiceOf(covering));
    const [first] = pairs;
    if (first === undefined) return;
    const together = grouped.get(first.names[0] ?? "") ?? [];
    this.fallback = together[0] === first ? this.#choiceOf(together) : this.#choiceOf([first]);
  }

  /** Every choice of this table, each once. */
  get choices(): Iterable<Choice> {
    return this.#byId.values();
  }

  /** out  undefined when no certificate covers the name */
  find(serverName: string): Choice | undefined {
    return this.#byName.get(serverName) ?? this.#byName.get(wildcardOf(serverName));
  }

  /** The same object for the same pairs: most names share their certificate with others. */
  #choiceOf(pairs: readonly CertificatePair[]): Choice {
    const id = pairs.map((pair) => pair.id).join("+");
    const known = this.#byId.get(id);
    if (known !== undefined) return known;
    const choice = { id, pairs: [...pairs], names: new NameSet(pairs.flatMap((pair) => pair.names)) };
    this.#byId.set(id, choice);
    return choice;
  }
}

function addTo(grouped: Map<string, CertificatePair[]>, name: string, pair: CertificatePair): void {
  const covering = grouped.get(name);
  if (covering === undefined) grouped.set(name, [pair]);
  else if (!covering.some((other) => other.keyType === pair.keyType)) covering.push(pair);
}
