/**
 * Storage: account keys and certificates in a folder: what a restart begins with.
 *
 * shape  `accounts/AUTHORITY.json`: the directory, the account's URL and its key
 *        `certificates/NAME.pem`: who issued it, the chain, the key; one file, so that both change together
 *        `*` of a wildcard is `_` in a file name, which no host name begins with
 * rule   a key that does not open stops everything: nothing is ordered or written over until a person has looked;
 *        a file that is no certificate is put aside as `.broken` and ordered anew
 */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { AccountKey } from "../protocol/account-key.ts";
import { type Issued, readIssued } from "../protocol/issued.ts";
import { Trouble } from "../trouble.ts";
import {
  ensureFolder,
  listFiles,
  readPrivate,
  removePrivate,
  setAside,
  type Warn,
  writePrivate,
  writtenAtMs,
} from "./private-files.ts";
import { isSealed, Seal } from "./seal.ts";

export interface StorageOptions {
  /** Absolute. */
  readonly folder: string;
  readonly storageKey: string | undefined;
  readonly warn: Warn;
}

export interface StoredCertificate {
  readonly name: string;
  /** Name of the authority that issued it. */
  readonly authority: string;
  readonly issued: Issued;
}

export interface StoredAccount {
  readonly key: AccountKey;
  /** "" before the authority has given one. */
  readonly url: string;
  /** What the authority was last told. */
  readonly email: string;
}

const ENDING = ".pem";
const AUTHORITY_LINE = /^# authority: (.*)$/m;
const KEY_BLOCK =
  /-----BEGIN (?:EC |RSA )?PRIVATE KEY-----[A-Za-z0-9+/=\s]+-----END (?:EC |RSA )?PRIVATE KEY-----/;

export class Storage {
  readonly #options: StorageOptions;
  readonly #seal: Seal | undefined;

  constructor(options: StorageOptions) {
    this.#options = options;
    this.#seal = options.storageKey === undefined ? undefined : new Seal(options.storageKey);
  }

  get folder(): string {
    return this.#options.folder;
  }

  /** Makes the folders. Throws Trouble when that cannot be. */
  open(): void {
    const { folder, warn } = this.#options;
    for (const path of [folder, join(folder, "accounts"), join(folder, "certificates")]) {
      ensureFolder(path, warn);
    }
  }

  /** Names that have a certificate here. */
  names(): string[] {
    const files = listFiles(join(this.#options.folder, "certificates"), ENDING);
    return files.map((file) => file.slice(0, -ENDING.length).replace(/^_\./, "*."));
  }

  /** When the file of a name was last written; 0 = there is none. */
  writtenAtMs(name: string): number {
    return writtenAtMs(this.#certificatePath(name));
  }

  /** out  undefined when there is none, or none that is sound. Throws Trouble when its key does not open. */
  certificate(name: string): StoredCertificate | undefined {
    const path = this.#certificatePath(name);
    const text = readPrivate(path, this.#options.warn);
    if (text === undefined) return undefined;
    const key = this.#openKey(name, text);
    try {
      const issued = readIssued(name, text, key, undefined);
      const stored = { name, authority: AUTHORITY_LINE.exec(text)?.[1] ?? "", issued };
      if (this.#seal !== undefined && !isSealed(text)) this.keep(stored); // storageKey is new
      return stored;
    } catch (error) {
      if (!(error instanceof Trouble) || error.kind !== "certificate") throw error;
      this.#options.warn(
        `${path} is broken (${error.message}): kept as ${setAside(path)}, ordering a new one`,
      );
      return undefined;
    }
  }

  #openKey(name: string, text: string): string {
    if (!isSealed(text)) return KEY_BLOCK.exec(text)?.[0] ?? "";
    if (this.#seal !== undefined) return this.#seal.open(name, text);
    throw new Trouble(
      "storage",
      `the key of ${name} in ${this.folder} is encrypted: give tls.acme.storageKey`,
    );
  }

  keep({ name, authority, issued }: StoredCertificate): void {
    const { cert, key } = issued.pair;
    const sealed = this.#seal === undefined ? key : this.#seal.close(name, key);
    writePrivate(this.#certificatePath(name), `# authority: ${authority}\n${cert}${sealed.trimEnd()}\n`);
  }

  remove(name: string): void {
    removePrivate(this.#certificatePath(name));
  }

  #certificatePath(name: string): string {
    if (!isHostName(name)) throw new Trouble("storage", `${name.slice(0, 100)} is no host name`);
    return join(this.#options.folder, "certificates", `${name.replace(/^\*\./, "_.")}${ENDING}`);
  }

  /** The account with the authority of this directory; undefined when there is none yet. */
  account(authority: string, directory: string): StoredAccount | undefined {
    const path = this.#accountPath(authority, directory);
    const text = readPrivate(path, this.#options.warn);
    if (text === undefined) return undefined;
    const { key, url, email } = parseAccount(text);
    const pem = isSealed(key) ? this.#openKey(accountName(authority, directory), key) : key;
    try {
      const account = { key: AccountKey.fromPem(pem), url, email };
      if (this.#seal !== undefined && !isSealed(key)) this.keepAccount(authority, directory, account);
      return account;
    } catch {
      this.#options.warn(`${path} is broken: kept as ${setAside(path)}, making a new account`);
      return undefined;
    }
  }

  keepAccount(authority: string, directory: string, account: StoredAccount): void {
    const pem = account.key.toPem();
    const key = this.#seal?.close(accountName(authority, directory), pem) ?? pem;
    const text = JSON.stringify({ directory, url: account.url, email: account.email, key }, undefined, 2);
    writePrivate(this.#accountPath(authority, directory), `${text}\n`);
  }

  /** Writes everything that another key opens under ours. */
  resealFrom(other: Storage): void {
    for (const name of other.names()) {
      const stored = other.certificate(name);
      if (stored !== undefined) this.keep(stored);
    }
    const folder = join(this.#options.folder, "accounts");
    for (const file of listFiles(folder, ".json")) {
      const path = join(folder, file);
      const { key, ...rest } = jsonOf(readPrivate(path, this.#options.warn) ?? "");
      const account = file.slice(0, -".json".length);
      const pem = isSealed(stringOf(key)) ? other.#openKey(account, stringOf(key)) : stringOf(key);
      const sealed = this.#seal?.close(account, pem) ?? pem;
      writePrivate(path, `${JSON.stringify({ ...rest, key: sealed }, undefined, 2)}\n`);
    }
  }

  #accountPath(authority: string, directory: string): string {
    return join(this.#options.folder, "accounts", `${accountName(authority, directory)}.json`);
  }
}

/** Lower-case DNS name of at least one label, perhaps with `*.` in front; never a path. */
export function isHostName(name: string): boolean {
  return (
    name.length <= 253 &&
    /^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name)
  );
}

/** Two authorities of one name have different directories: their accounts must not be mixed. */
function accountName(authority: string, directory: string): string {
  const digest = createHash("sha256").update(directory).digest("hex").slice(0, 8);
  return `${authority.replace(/[^A-Za-z0-9.-]/g, "-").replace(/^\.+/, "")}-${digest}`;
}

function parseAccount(text: string): { key: string; url: string; email: string } {
  const { key, url, email } = jsonOf(text);
  return { key: stringOf(key), url: stringOf(url), email: stringOf(email) };
}

/** Members of an object in JSON; none when it is no such thing. */
function jsonOf(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

const stringOf = (value: unknown) => (typeof value === "string" ? value : "");
