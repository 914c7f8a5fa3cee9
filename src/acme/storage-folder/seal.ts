/**
 * Seal: private keys at rest, encrypted with the key that the configuration gives.
 *
 * shape  PEM with a label of its own around: version (1 byte, 1) · salt (16) · nonce (12) · tag (16) · ciphertext
 * rule   AES-256-GCM; its key comes from `storageKey` by scrypt (N = 2^15, r = 8, p = 1: 32 MiB, some 60 ms), which
 *        also makes a passphrase slow to guess. What is sealed is bound to the name of its file: a key that was
 *        moved to another name does not open
 * cost   a folder uses one salt, so that a thousand keys cost one scrypt; the nonce is random, and 2^32 keys may be
 *        sealed before one could come twice
 * fails  `open` throws Trouble: a wrong storageKey and a changed file look alike, which GCM is for
 */
import { createCipheriv, createDecipheriv, randomBytes, scryptSync } from "node:crypto";
import { Trouble } from "../trouble.ts";

const VERSION = 1;
const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES = 32;
const HEAD_BYTES = 1 + SALT_BYTES + NONCE_BYTES + TAG_BYTES;
const SCRYPT = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 };
const BEGIN = "-----BEGIN WEIR SEALED KEY-----";
const END = "-----END WEIR SEALED KEY-----";
const SEALED = /-----BEGIN WEIR SEALED KEY-----([A-Za-z0-9+/=\s]+)-----END WEIR SEALED KEY-----/;
/** Folders hold one salt, or a few when files were brought together from several. */
const MAX_KEYS = 16;

export function isSealed(text: string): boolean {
  return text.includes(BEGIN);
}

export class Seal {
  readonly #passphrase: string;
  /** By salt, in hex. */
  readonly #keys = new Map<string, Buffer>();
  #salt: Buffer | undefined;

  constructor(passphrase: string) {
    this.#passphrase = passphrase;
  }

  /** out  PEM block; `name` must be the same when it is opened */
  close(name: string, secret: string): string {
    const salt = this.#salt ?? randomBytes(SALT_BYTES);
    this.#salt = salt;
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv("aes-256-gcm", this.#keyFor(salt), nonce);
    cipher.setAAD(Buffer.from(name));
    const text = Buffer.concat([cipher.update(secret, "utf8"), cipher.final()]);
    const whole = Buffer.concat([Buffer.of(VERSION), salt, nonce, cipher.getAuthTag(), text]);
    const lines = whole.toString("base64").match(/.{1,64}/g) ?? [];
    return `${BEGIN}\n${lines.join("\n")}\n${END}\n`;
  }

  /** The secret. Throws Trouble when it does not open. */
  open(name: string, sealed: string): string {
    const bytes = Buffer.from(SEALED.exec(sealed)?.[1] ?? "", "base64");
    if (bytes.length <= HEAD_BYTES) throw new Trouble("storage", `the sealed key of ${name} is cut short`);
    if (bytes[0] !== VERSION) {
      throw new Trouble("storage", `the key of ${name} was sealed by a newer Weir (format ${bytes[0]})`);
    }
    const salt = bytes.subarray(1, 1 + SALT_BYTES);
    const nonce = bytes.subarray(1 + SALT_BYTES, 1 + SALT_BYTES + NONCE_BYTES);
    const decipher = createDecipheriv("aes-256-gcm", this.#keyFor(salt), nonce);
    decipher.setAAD(Buffer.from(name));
    decipher.setAuthTag(bytes.subarray(HEAD_BYTES - TAG_BYTES, HEAD_BYTES));
    try {
      const secret = Buffer.concat([decipher.update(bytes.subarray(HEAD_BYTES)), decipher.final()]);
      this.#salt ??= Buffer.from(salt);
      return secret.toString("utf8");
    } catch {
      throw new Trouble("storage", `tls.acme.storageKey does not open the key of ${name}`);
    }
  }

  #keyFor(salt: Buffer): Buffer {
    const id = salt.toString("hex");
    const known = this.#keys.get(id);
    if (known !== undefined) return known;
    if (this.#keys.size >= MAX_KEYS) this.#keys.clear();
    const key = scryptSync(this.#passphrase, salt, KEY_BYTES, SCRYPT);
    this.#keys.set(id, key);
    return key;
  }
}
