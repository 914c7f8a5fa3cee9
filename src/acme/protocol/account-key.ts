/**
 * Account key: who we are to an authority, and the signature under every request to it.
 *
 * shape  P-256 and ES256: every authority must take them, and a signature costs 50 µs
 * spec   RFC 8555 §6.2 (JWS), §7.3.4 (external accounts), §8.1 (key authorisations); RFC 7638 (thumbprint)
 */
import {
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from "node:crypto";

/** Members in the order in which RFC 7638 §3.2 wants them hashed. */
interface Jwk {
  readonly crv: string;
  readonly kty: string;
  readonly x: string;
  readonly y: string;
}

export interface ProtectedHeader {
  readonly url: string;
  readonly nonce?: string;
  /** URL of the account; without it the key itself is told. */
  readonly kid?: string;
}

export class AccountKey {
  readonly jwk: Jwk;
  readonly thumbprint: string;
  readonly #key: KeyObject;

  constructor(key: KeyObject) {
    const { crv, kty, x, y } = createPublicKey(key).export({ format: "jwk" });
    if (kty !== "EC" || crv !== "P-256") throw new Error("an account key is an EC key on P-256");
    this.#key = key;
    this.jwk = { crv, kty, x: String(x), y: String(y) };
    this.thumbprint = createHash("sha256").update(JSON.stringify(this.jwk)).digest("base64url");
  }

  static make(): AccountKey {
    return new AccountKey(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey);
  }

  /** Throws when the text is no such key. */
  static fromPem(pem: string): AccountKey {
    return new AccountKey(createPrivateKey(pem));
  }

  toPem(): string {
    return this.#key.export({ type: "pkcs8", format: "pem" }).toString();
  }

  /** A signed request body. `payload` undefined is POST-as-GET (RFC 8555 §6.3). */
  sign(header: ProtectedHeader, payload: unknown): string {
    const identity = header.kid === undefined ? { jwk: this.jwk } : {};
    const head = encode({ alg: "ES256", ...identity, ...header });
    const body = payload === undefined ? "" : encode(payload);
    const key = { key: this.#key, dsaEncoding: "ieee-p1363" as const };
    const signature = sign("sha256", Buffer.from(`${head}.${body}`), key).toString("base64url");
    return JSON.stringify({ protected: head, payload: body, signature });
  }

  /** Ties this key to an account that the authority knows from elsewhere. */
  bindTo(external: { readonly keyId: string; readonly hmacKey: string }, url: string): object {
    const head = encode({ alg: "HS256", kid: external.keyId, url });
    const payload = encode(this.jwk);
    const secret = Buffer.from(external.hmacKey, "base64url");
    const signature = createHmac("sha256", secret).update(`${head}.${payload}`).digest("base64url");
    return { protected: head, payload, signature };
  }

  /** What proves to the authority that the holder of this key answers for a name. */
  keyAuthorization(token: string): string {
    return `${token}.${this.thumbprint}`;
  }
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
