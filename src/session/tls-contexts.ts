/**
 * TLS contexts: made when a client first needs one, and kept for as long as their certificates are in use.
 *
 * why    a thousand certificates cost nothing until somebody asks for them, and a context that is kept keeps its
 *        ticket keys: sessions resume across a swap of other certificates
 * shape  by rules and by choice: listeners with the same of both share a context
 */
import { createHash } from "node:crypto";
import type { Choice } from "../tls/select.ts";
import { makeContext, type TlsContext, type TlsRules } from "../transport/tls.ts";

/** Rules with a name: the same name is the same rules. */
export interface NamedRules extends TlsRules {
  readonly id: string;
}

export function nameRules(rules: TlsRules): NamedRules {
  const parts = [rules.minVersion, rules.ciphers, rules.curves, rules.clientAuth, rules.ca, rules.crl];
  const id = createHash("sha256").update(JSON.stringify(parts)).digest("base64url");
  return { ...rules, id };
}

export function contextKey(choice: Choice | undefined, rules: NamedRules): string {
  return `${rules.id} ${choice?.id ?? ""}`;
}

export class TlsContexts {
  readonly #made = new Map<string, TlsContext>();

  get size(): number {
    return this.#made.size;
  }

  /** Throws when the library takes the certificate, its key or the rules for wrong. */
  get(choice: Choice | undefined, rules: NamedRules): TlsContext {
    const key = contextKey(choice, rules);
    const known = this.#made.get(key);
    if (known !== undefined) return known;
    const made = makeContext(choice?.pairs ?? [], rules);
    this.#made.set(key, made);
    return made;
  }

  /** Forgets all but these; connections that use one keep it alive. */
  keepOnly(keys: ReadonlySet<string>): void {
    for (const key of this.#made.keys()) if (!keys.has(key)) this.#made.delete(key);
  }
}
