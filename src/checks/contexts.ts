/**
 * Contexts: what checks over TLS are secured with, made once for each set of certificates.
 *
 * why    making one parses every authority of the system: a hundred milliseconds that a check does not have
 * fails  by throwing what is wrong with a file, for people: the check then fails, and the traffic with it
 */
import { createSecureContext, type SecureContext } from "node:tls";
import type { UpstreamTlsConfig } from "../config/config.ts";

/** Texts of PEM files by path. */
export type PemFiles = Readonly<Record<string, string>>;

export class CheckContexts {
  readonly #current: () => PemFiles;
  #files: PemFiles = {};
  #made = new Map<string, SecureContext>();

  /** `current`: the files of the configuration in force; another object when one of them has changed. */
  constructor(current: () => PemFiles) {
    this.#current = current;
  }

  /** in  undefined = the authorities that the system trusts, and no certificate of our own */
  of(tls: UpstreamTlsConfig | undefined): SecureContext {
    const files = this.#current();
    if (files !== this.#files) {
      this.#files = files;
      this.#made = new Map();
    }
    const { ca, cert, key } = tls ?? {};
    const name = JSON.stringify([ca, cert, key]);
    const known = this.#made.get(name);
    if (known !== undefined) return known;
    const texts = { ...this.#text("ca", ca), ...this.#text("cert", cert), ...this.#text("key", key) };
    const made = createSecureContext({ minVersion: "TLSv1.2", ...texts });
    this.#made.set(name, made);
    return made;
  }

  #text(name: "ca" | "cert" | "key", path: string | undefined): Readonly<Record<string, string>> {
    if (path === undefined) return {};
    const text = this.#files[path];
    if (text === undefined) throw new Error(`${path} has not been read`);
    return { [name]: text };
  }
}
