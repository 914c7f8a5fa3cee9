/**
 * Authority: account, order, proof, certificate: what is said to one ACME server, in order.
 *
 * rule   every wait is bounded by the signal of its order; what a server asks us to wait between polls is kept to
 *        half a minute
 * rule   an account is made when the first order needs it, and made again when the server has forgotten it
 * spec   RFC 8555 §7.3 to §7.5.1, RFC 9773
 */
import type { AcmeAuthority } from "../../config/config.ts";
import type { RenewalWindow } from "../renewal.ts";
import type { Storage, StoredAccount } from "../storage-folder/storage.ts";
import { type Timing, wait } from "../timing.ts";
import { Trouble } from "../trouble.ts";
import { AccountKey } from "./account-key.ts";
import type { ChallengeBook, ChallengeType, Proof } from "./challenges.ts";
import { type AcmeAnswer, Connection, objectOf, problemOf, type Signer, urlOf } from "./connection.ts";

export interface AuthorityOptions {
  readonly config: AcmeAuthority;
  readonly email: string;
  readonly ca: string | undefined;
  readonly storage: Storage;
  readonly challenges: ChallengeBook;
  readonly timing: Timing;
}

export interface OrderRequest {
  readonly name: string;
  /** DER. */
  readonly csr: Buffer;
  readonly challenge: ChallengeType;
  readonly hook: readonly string[] | undefined;
  /** `renewalId` of the certificate that this one replaces, or "". */
  readonly replaces: string;
}

export interface RenewalAdvice {
  readonly window: RenewalWindow;
  /** Where the authority explains itself, "" when it does not. */
  readonly explanation: string;
  readonly retryAfterMs: number;
}

const FIRST_POLL_MS = 500;
const MOST_POLL_MS = 30_000;
const POLL_GROWTH = 1.5;
const MAX_POLLS = 200;

type Body = AcmeAnswer["body"];

export class Authority {
  readonly #options: AuthorityOptions;
  readonly #connection: Connection;
  #account: StoredAccount | undefined;
  /** One account, however many orders begin at once. */
  #opening: Promise<StoredAccount> | undefined;

  constructor(options: AuthorityOptions) {
    const { config, ca, timing } = options;
    this.#options = options;
    this.#connection = new Connection({ directory: config.directory, ca, timing });
  }

  get name(): string {
    return this.#options.config.name;
  }

  /** Orders a certificate. out  the chain in PEM; throws Trouble */
  async order(request: OrderRequest, signal: AbortSignal): Promise<string> {
    try {
      return await this.#orderOnce(request, signal);
    } catch (error) {
      if (!isForgotten(error)) throw error;
      this.#account = { ...(await this.#open(signal)), url: "" };
      return await this.#orderOnce(request, signal);
    }
  }

  /** When the authority wants a certificate to be renewed; undefined when it does not say. Throws Trouble. */
  async renewalAdvice(renewalId: string, signal: AbortSignal): Promise<RenewalAdvice | undefined> {
    const { renewalInfo } = await this.#connection.directory(signal);
    if (renewalInfo === undefined || renewalId === "") return undefined;
    const url = `${renewalInfo.replace(/\/$/, "")}/${renewalId}`;
    const { body, retryAfterMs } = await this.#connection.get(url, signal);
    const { start, end } = objectOf(body["suggestedWindow"]);
    const window = { startMs: Date.parse(String(start)), endMs: Date.parse(String(end)) };
    // RFC 9773 §4.2: a window that ends before it starts is to be ignored
    if (!(window.endMs > window.startMs)) throw new Trouble("protocol", "a suggested window that is none");
    const explanation = typeof body["explanationURL"] === "string" ? body["explanationURL"] : "";
    return { window, explanation: explanation.slice(0, 200), retryAfterMs };
  }

  async #orderOnce(request: OrderRequest, signal: AbortSignal): Promise<string> {
    const { newOrder, renewalInfo } = await this.#connection.directory(signal);
    const { key, url: kid } = await this.#open(signal);
    const signer: Signer = { key, kid };
    const identifiers = [{ type: "dns", value: request.name }];
    const replaces =
      renewalInfo === undefined || request.replaces === "" ? {} : { replaces: request.replaces };
    const placed = await this.#placeOrder(newOrder, signer, { identifiers, ...replaces }, signal);
    const orderUrl = placed.location;
    if (!URL.canParse(orderUrl)) throw new Trouble("protocol", "the order has no URL");
    for (const authorization of urlsOf(placed.body, "authorizations")) {
      await this.#prove(authorization, signer, request, signal);
    }
    const ready = await this.#poll(orderUrl, signer, ["pending"], signal);
    if (ready["status"] === "ready") {
      const csr = request.csr.toString("base64url");
      await this.#connection.post(urlOf(ready, "finalize"), signer, { csr }, signal);
    }
    const done = await this.#poll(orderUrl, signer, ["pending", "ready", "processing"], signal);
    if (done["status"] !== "valid") throw rejection(done, "the order");
    return (await this.#connection.post(urlOf(done, "certificate"), signer, undefined, signal)).text;
  }

  /** RFC 9773 §5: an order may be refused for its `replaces` alone, and is then placed without. */
  async #placeOrder(url: string, signer: Signer, payload: object, signal: AbortSignal): Promise<AcmeAnswer> {
    try {
      return await this.#connection.post(url, signer, payload, signal);
    } catch (error) {
      const isRetried = "replaces" in payload && error instanceof Trouble && error.kind === "rejected";
      if (!isRetried) throw error;
      const { replaces: _, ...plain } = payload as Record<string, unknown>;
      return await this.#connection.post(url, signer, plain, signal);
    }
  }

  async #prove(url: string, signer: Signer, request: OrderRequest, signal: AbortSignal): Promise<void> {
    const { body } = await this.#connection.post(url, signer, undefined, signal);
    if (body["status"] === "valid") return; // proved for an earlier order (RFC 8555 §7.1.4)
    const challenge = challengeOf(body, request.challenge);
    const token = String(challenge["token"]);
    const proof: Proof = {
      type: request.challenge,
      name: request.name.replace(/^\*\./, ""),
      token,
      keyAuthorization: signer.key.keyAuthorization(token),
      hook: request.hook,
    };
    const { challenges } = this.#options;
    try {
      await challenges.present(proof, signal);
      await this.#connection.post(urlOf(challenge, "url"), signer, {}, signal);
      const settled = await this.#poll(url, signer, ["pending", "processing"], signal);
      if (settled["status"] !== "valid") throw rejection(settled, `${request.challenge} for ${request.name}`);
    } finally {
      await challenges.withdraw(proof);
    }
  }

  /** Asks until the status is none of `passing`. */
  async #poll(url: string, signer: Signer, passing: readonly string[], signal: AbortSignal): Promise<Body> {
    let delayMs = FIRST_POLL_MS;
    for (let polls = 0; polls < MAX_POLLS; polls++) {
      const answer = await this.#connection.post(url, signer, undefined, signal);
      if (!passing.includes(String(answer.body["status"]))) return answer.body;
      const asked = answer.retryAfterMs === 0 ? delayMs : answer.retryAfterMs;
      await wait(this.#options.timing, Math.min(asked, MOST_POLL_MS), signal);
      delayMs = Math.min(delayMs * POLL_GROWTH, MOST_POLL_MS);
    }
    throw new Trouble("late", `asked ${MAX_POLLS} times`);
  }

  // ── account ──

  #open(signal: AbortSignal): Promise<StoredAccount> {
    if (this.#account !== undefined && this.#account.url !== "") return Promise.resolve(this.#account);
    this.#opening ??= this.#openNow(signal).finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #openNow(signal: AbortSignal): Promise<StoredAccount> {
    const { config, storage, email } = this.#options;
    const stored = this.#account ?? storage.account(config.name, config.directory);
    if (stored !== undefined && stored.url !== "" && stored.email === email) {
      this.#account = stored;
      return stored;
    }
    const key = stored?.key ?? AccountKey.make();
    // kept before anybody is told: an account whose key is lost cannot be used or closed
    if (stored === undefined) {
      storage.keepAccount(config.name, config.directory, { key, url: "", email: "" });
    }
    const url = await this.#introduce(key, stored?.url ?? "", signal);
    const account = { key, url, email };
    storage.keepAccount(config.name, config.directory, account);
    this.#account = account;
    return account;
  }

  /** Tells a known account its new address, or makes one. out  its URL */
  async #introduce(key: AccountKey, known: string, signal: AbortSignal): Promise<string> {
    if (known === "") return await this.#register(key, signal);
    try {
      await this.#connection.post(known, { key, kid: known }, { contact: this.#contact() }, signal);
      return known;
    } catch (error) {
      if (!isForgotten(error)) throw error;
      return await this.#register(key, signal);
    }
  }

  /** Makes an account; a key that has one gets that one (RFC 8555 §7.3.1). */
  async #register(key: AccountKey, signal: AbortSignal): Promise<string> {
    const { config } = this.#options;
    const directory = await this.#connection.directory(signal);
    if (directory.needsExternalAccount && config.externalAccount === undefined) {
      throw new Trouble("account", `${config.name} wants an external account: give eab: { keyId, hmacKey }`);
    }
    const url = directory.newAccount;
    const binding =
      config.externalAccount === undefined
        ? {}
        : { externalAccountBinding: key.bindTo(config.externalAccount, url) };
    const payload = { termsOfServiceAgreed: true, contact: this.#contact(), ...binding };
    const { location } = await this.#connection.post(url, { key, kid: undefined }, payload, signal);
    if (!URL.canParse(location)) throw new Trouble("protocol", "the account has no URL");
    return location;
  }

  #contact(): string[] {
    const { email } = this.#options;
    return email === "" ? [] : [`mailto:${email}`];
  }
}

function isForgotten(error: unknown): boolean {
  return error instanceof Trouble && error.type === "accountDoesNotExist";
}

function challengeOf(authorization: Body, type: ChallengeType): Body {
  const offered = Array.isArray(authorization["challenges"]) ? authorization["challenges"].map(objectOf) : [];
  const found = offered.find((challenge) => challenge["type"] === type);
  if (found !== undefined) return found;
  const types = offered.map((challenge) => String(challenge["type"])).join(", ");
  throw new Trouble("challenge", `the authority offers ${types || "nothing"}, not ${type}`);
}

function urlsOf(body: Body, name: string): string[] {
  const found = body[name];
  return Array.isArray(found) ? found.map((url) => urlOf({ url }, "url")) : [];
}

/** Why an order or an authorization became invalid: its own error, or that of its challenge. */
function rejection(body: Body, what: string): Trouble {
  const challenges = Array.isArray(body["challenges"]) ? body["challenges"].map(objectOf) : [];
  const errors = [body, ...challenges].map((part) => problemOf(objectOf(part["error"]), 400, 0));
  const found = errors.find((error) => error !== undefined);
  return found ?? new Trouble("rejected", `${what} is ${String(body["status"])}`);
}
