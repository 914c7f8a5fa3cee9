/**
 * Scripted authority: an ACME server that believes everything, and fails as a test tells it to.
 *
 * why    rate limits, renewal information (RFC 9773) and wrong certificates are what Pebble does not do
 * rule   no signature is checked here and no proof asked for: that is what Pebble is for
 */
import "reflect-metadata";
import { Pkcs10CertificateRequest } from "@peculiar/x509";
import type { AcmeAuthority } from "../../src/config/config.ts";
import { type TestAuthority, testAuthority } from "../support/certificates.ts";

export interface ScriptedOptions {
  readonly name?: string;
  readonly hasRenewalInfo?: boolean;
}

/** What it answers to a new order, instead of taking it. */
export interface Refusal {
  readonly status: number;
  readonly type?: string;
  readonly retryAfter?: string;
}

export class ScriptedAuthority {
  /** Payloads of the orders that it was asked for. */
  readonly orders: Record<string, unknown>[] = [];
  /** Certificate ids that were asked about, in order. */
  readonly advised: string[] = [];
  /** How often an account was asked for. */
  accounts = 0;
  refusal: Refusal | undefined;
  /** RFC 9773 §4.2, in ms since the epoch. */
  window = { startMs: 0, endMs: 0 };
  /** In place of the name that was asked for. */
  issuedName: string | undefined;
  /** In place of the key that was asked for: false gives a certificate with a key of its own. */
  isKeyKept = true;
  readonly #options: ScriptedOptions;
  readonly #server: Bun.Server<undefined>;
  readonly #signer: TestAuthority;
  /** Chains by number of the order. */
  readonly #chains = new Map<string, string>();

  constructor(signer: TestAuthority, options: ScriptedOptions) {
    this.#signer = signer;
    this.#options = options;
    this.#server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: (request) => this.#answer(request) });
  }

  static async start(options: ScriptedOptions = {}): Promise<ScriptedAuthority> {
    return new ScriptedAuthority(await testAuthority(), options);
  }

  get config(): AcmeAuthority {
    return {
      name: this.#options.name ?? "scripted",
      directory: this.#url("/dir"),
      externalAccount: undefined,
    };
  }

  stop(): Promise<void> {
    return this.#server.stop(true);
  }

  #url(path: string): string {
    return `http://127.0.0.1:${this.#server.port}${path}`;
  }

  async #answer(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const payload = request.method === "POST" ? payloadOf(await request.text()) : {};
    const [, path = "", id = ""] = pathname.split("/");
    switch (path) {
      case "dir":
        return Response.json(this.#directory());
      case "renewal":
        return this.#advise(id);
      case "account":
        this.accounts++;
        return answer({ status: "valid" }, 201, this.#url("/account/1"));
      case "order":
        return id === "" ? this.#placeOrder(payload) : this.#orderState(id);
      case "finalize":
        this.#chains.set(id, await this.#issue(String(payload["csr"])));
        return this.#orderState(id);
      case "chain":
        return answer(this.#chains.get(id) ?? "");
      default:
        return answer({});
    }
  }

  #directory(): object {
    const renewal = this.#options.hasRenewalInfo ? { renewalInfo: this.#url("/renewal") } : {};
    return {
      newNonce: this.#url("/nonce"),
      newAccount: this.#url("/account"),
      newOrder: this.#url("/order"),
      ...renewal,
    };
  }

  #placeOrder(payload: Record<string, unknown>): Response {
    this.orders.push(payload);
    const { refusal } = this;
    if (refusal === undefined)
      return answer({ status: "ready", authorizations: [] }, 201, this.#url(`/order/${this.orders.length}`));
    const type = `urn:ietf:params:acme:error:${refusal.type ?? "serverInternal"}`;
    const response = answer({ type, detail: "as the test wants" }, refusal.status);
    if (refusal.retryAfter !== undefined) response.headers.set("retry-after", refusal.retryAfter);
    return response;
  }

  #orderState(id: string): Response {
    return this.#chains.has(id)
      ? answer({ status: "valid", certificate: this.#url(`/chain/${id}`) })
      : answer({ status: "ready", finalize: this.#url(`/finalize/${id}`) });
  }

  #advise(id: string): Response {
    this.advised.push(id);
    const { startMs, endMs } = this.window;
    const suggestedWindow = { start: new Date(startMs).toISOString(), end: new Date(endMs).toISOString() };
    return Response.json({ suggestedWindow }, { headers: { "retry-after": "21600" } });
  }

  async #issue(csr: string): Promise<string> {
    const request = new Pkcs10CertificateRequest(Buffer.from(csr, "base64url"));
    const asked = /DNS:?\s*(\S+)/.exec(request.toString("text"))?.[1] ?? "";
    const names = [this.issuedName ?? asked];
    const publicKey = this.isKeyKept ? await request.publicKey.export() : undefined;
    return (await this.#signer.issue({ names, days: 90, ...(publicKey === undefined ? {} : { publicKey }) }))
      .cert;
  }
}

let nonces = 0;

function answer(body: object | string, status = 200, location = ""): Response {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const headers = { "replay-nonce": `nonce-${++nonces}`, ...(location === "" ? {} : { location }) };
  return new Response(text, { status, headers });
}

function payloadOf(text: string): Record<string, unknown> {
  const { payload } = JSON.parse(text) as { payload: string };
  return payload === "" ? {} : JSON.parse(Buffer.from(payload, "base64url").toString("utf8"));
}
