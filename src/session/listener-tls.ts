/**
 * Listener TLS: what one listener answers to client hellos, as of one version of configuration and certificates.
 *
 * why    handshakes that the runtime does alone and those behind a PROXY header or an ACME challenge are settled
 *        by the same rules
 * rule   never changed: a swap of certificates replaces the whole, and connections keep what they were given
 */
import { type ClientHello, normaliseServerName, protocolsIn } from "../protocol/client-hello.ts";
import type { CertificatePair } from "../tls/materials.ts";
import { CertificateTable, type Choice, NameSet } from "../tls/select.ts";
import {
  ALERT_INTERNAL_ERROR,
  ALERT_NO_PROTOCOL,
  ALERT_UNRECOGNIZED_NAME,
  type TlsContext,
} from "../transport/tls.ts";
import { contextKey, type NamedRules, type TlsContexts } from "./tls-contexts.ts";

export interface TlsSettings {
  readonly rules: NamedRules;
  /** A name that no certificate covers, or none at all, ends the handshake. */
  readonly refusesUnknown: boolean;
  /** The first bytes are looked at before TLS begins: for PROXY headers and tls-alpn-01. */
  readonly isPeeked: boolean;
  /** ALPN names, the preferred one first. */
  readonly protocols: readonly string[];
  /** Names for which a certificate may be asked when a client first names them. */
  readonly onDemand: readonly string[];
}

/** What the certificates of a worker share. */
export interface TlsServices {
  readonly contexts: TlsContexts;
  /** A client named a server that no certificate covers, but that may have one. */
  readonly want: (serverName: string) => void;
  /** Something is wrong with a certificate that control took for right. */
  readonly report: (text: string) => void;
}

/** What to do with a hello: secure the connection, or send this alert and close it. */
export type HelloAnswer =
  | {
      readonly kind: "secure";
      readonly context: TlsContext;
      readonly protocol: string | undefined;
      /** The handshake alone is the answer (RFC 8737 §3). */
      readonly isChallenge: boolean;
    }
  | { readonly kind: "alert"; readonly alert: Buffer };

const ACME_PROTOCOL = "acme-tls/1";
const UNRECOGNIZED_NAME: HelloAnswer = { kind: "alert", alert: ALERT_UNRECOGNIZED_NAME };
const NO_PROTOCOL: HelloAnswer = { kind: "alert", alert: ALERT_NO_PROTOCOL };
const INTERNAL_ERROR: HelloAnswer = { kind: "alert", alert: ALERT_INTERNAL_ERROR };

export class ListenerTls {
  readonly settings: TlsSettings;
  readonly #table: CertificateTable;
  readonly #challenges: Readonly<Record<string, CertificatePair>>;
  readonly #services: TlsServices;
  readonly #onDemand: NameSet;
  /** Changes when what the runtime was told on listening is no longer right. */
  readonly listenKey: string;

  constructor(
    settings: TlsSettings,
    pairs: readonly CertificatePair[],
    challenges: Readonly<Record<string, CertificatePair>>,
    services: TlsServices,
  ) {
    this.settings = settings;
    this.#table = new CertificateTable(pairs);
    this.#challenges = challenges;
    this.#services = services;
    this.#onDemand = new NameSet(settings.onDemand);
    this.listenKey = settings.isPeeked ? "peeked" : contextKey(this.#unnamed, settings.rules);
  }

  /** What a client is shown that names no server. */
  get #unnamed(): Choice | undefined {
    return this.settings.refusesUnknown ? undefined : this.#table.fallback;
  }

  /** Keys of the contexts that may be asked for. */
  contextKeys(): string[] {
    const { rules } = this.settings;
    return [undefined, ...this.#table.choices].map((choice) => contextKey(choice, rules));
  }

  /** out  undefined = refused */
  choose(serverName: string): Choice | undefined {
    const found = this.#table.find(serverName);
    if (found !== undefined) return found;
    if (serverName !== "" && this.#onDemand.covers(serverName)) {
      this.#services.want(serverName);
      return this.#table.fallback; // until there is one of its own
    }
    return this.#unnamed;
  }

  /** True when a connection that was shown `choice` may ask for `host`. */
  covers(choice: Choice, host: string): boolean {
    if (choice.names.covers(host)) return true;
    return this.#table.find(host) === undefined && choice.id === this.#unnamed?.id;
  }

  /** What the runtime must have for listening. Throws when it cannot be made. */
  unnamedContext(): TlsContext {
    return this.#services.contexts.get(this.#unnamed, this.settings.rules);
  }

  /** As of `NativeTls`. */
  contextFor(serverName: string): TlsContext | undefined {
    const choice = this.choose(normaliseServerName(serverName));
    return choice === undefined ? undefined : this.#contextOf(choice);
  }

  /** As of `NativeTls`. */
  chooseProtocol(offered: Buffer): string | undefined {
    return this.#protocolOf(protocolsIn(offered));
  }

  /** For a connection of which the hello was read. */
  answer(hello: ClientHello): HelloAnswer {
    if (hello.protocols.includes(ACME_PROTOCOL)) return this.#answerChallenge(hello);
    const choice = this.choose(hello.serverName);
    if (choice === undefined) return UNRECOGNIZED_NAME;
    const protocol = this.#protocolOf(hello.protocols);
    if (protocol === undefined && hello.protocols.length > 0) return NO_PROTOCOL;
    return this.#secure(choice, protocol, false);
  }

  #answerChallenge({ serverName }: ClientHello): HelloAnswer {
    const pair = Object.hasOwn(this.#challenges, serverName) ? this.#challenges[serverName] : undefined;
    if (pair === undefined) return NO_PROTOCOL;
    const choice = new CertificateTable([pair]).fallback as Choice;
    return this.#secure(choice, ACME_PROTOCOL, true);
  }

  #secure(choice: Choice, protocol: string | undefined, isChallenge: boolean): HelloAnswer {
    const context = this.#contextOf(choice);
    return context === undefined ? INTERNAL_ERROR : { kind: "secure", context, protocol, isChallenge };
  }

  #protocolOf(offered: readonly string[]): string | undefined {
    return this.settings.protocols.find((name) => offered.includes(name));
  }

  /** out  undefined when it cannot be made: this handshake fails, the others do not */
  #contextOf(choice: Choice): TlsContext | undefined {
    try {
      return this.#services.contexts.get(choice, this.settings.rules);
    } catch (error) {
      const names = choice.pairs[0]?.names.slice(0, 3).join(", ");
      this.#services.report(`the certificate of ${names} cannot be used: ${(error as Error).message}`);
      return undefined;
    }
  }
}
