/**
 * Entrances: the listeners of a worker, their sockets and certificates, and the connections that came in there.
 *
 * rule   what is prepared with a version is tried out, not kept: `commit` builds it again from the certificates of
 *        then, for new ones may have come in between
 */
import type { ListenerConfig } from "../config/config.ts";
import { CidrSet } from "../core/address.ts";
import { defectText } from "../core/failure.ts";
import { type SlotMap, seriesKey, sharedKey } from "../observe/series.ts";
import { slotFor } from "../pipeline/compile.ts";
import { released } from "../session/accept.ts";
import type { AcceptedSession } from "../session/accepted-session.ts";
import { Entrance } from "../session/entrance.ts";
import { HTTP_PROTOCOLS } from "../session/http-start.ts";
import type { Listener } from "../session/listener.ts";
import { ListenerTls, type TlsSettings } from "../session/listener-tls.ts";
import type { SessionKeeper } from "../session/place.ts";
import type { SessionServices } from "../session/services.ts";
import { nameRules, TlsContexts } from "../session/tls-contexts.ts";
import { type Materials, NO_MATERIALS } from "../tls/materials.ts";
import { readClock } from "../transport/clock.ts";
import type { Log } from "./log.ts";
import { WantedCertificates } from "./wanted-certificates.ts";

export interface EntrancesOptions {
  readonly sessions: SessionServices;
  readonly log: Log;
  /** Connections of the listener with this slot that are open in all workers together. */
  readonly activeEverywhere: (slot: number) => number;
  /** A certificate is to be asked for. */
  readonly wantCertificate: (listener: string, name: string) => void;
}

export class Entrances {
  readonly #options: EntrancesOptions;
  readonly #listeners = new Map<string, Listener>();
  readonly #entrances = new Map<string, Entrance>();
  readonly #open = new Map<AcceptedSession, Listener>();
  readonly #contexts = new TlsContexts();
  readonly #wanted: WantedCertificates;
  readonly #keeper: SessionKeeper;
  #configs: readonly ListenerConfig[] = [];
  #materials: Materials = NO_MATERIALS;
  /** Of the version that is prepared. */
  #nextMaterials: Materials | undefined;
  /** Connections that were told to leave before HTTP began on them: who takes them over is told too. */
  readonly #leaving = new WeakSet<AcceptedSession>();
  /** Texts of failures that were told: a certificate that cannot be used is asked for with every handshake. */
  #told = new Set<string>();

  constructor(options: EntrancesOptions) {
    this.#options = options;
    this.#wanted = new WantedCertificates(options.wantCertificate);
    this.#keeper = {
      opened: (session, listener) => this.#open.set(session, listener),
      replaced: (before, after) => this.#replace(before, after),
      gone: (session) => this.#release(session),
      defect: (defect) => options.log("error", "listener", defectText(defect)),
      activeEverywhere: (listener) => options.activeEverywhere(listener.slot),
    };
  }

  get openCount(): number {
    return this.#open.size;
  }

  // ── configuration and certificates ──

  /** Tries a version out. Throws an Error that says what is wrong with its certificates. */
  prepare(configs: readonly ListenerConfig[], materials: Materials): void {
    this.#tlsOf(configs, materials);
    this.#nextMaterials = materials;
  }

  commit(configs: readonly ListenerConfig[], slots: SlotMap, sites: ReadonlyMap<string, unknown>): void {
    this.#configs = configs;
    this.#materials = this.#nextMaterials ?? this.#materials;
    this.#nextMaterials = undefined;
    const tls = this.#tlsOf(configs, this.#materials);
    for (const config of configs)
      this.#setListener(config, slots, sites.get(config.name), tls.get(config.name));
    this.#refresh();
  }

  /**
   * New certificates for the version in force. Throws; then nothing has changed. A version that is prepared may have
   * other listeners: control sends what it lacks when it is in force.
   */
  setMaterials(part: Partial<Materials>): void {
    const materials = { ...this.#materials, ...part };
    const tls = this.#tlsOf(this.#configs, materials);
    this.#materials = materials;
    for (const listener of this.#listeners.values()) this.#setTls(listener, tls.get(listener.name));
    this.#refresh();
  }

  #setListener(config: ListenerConfig, slots: SlotMap, site: unknown, tls: ListenerTls | undefined): void {
    const rules = {
      limits: config.limits,
      timeouts: config.timeouts,
      trustedProxies: new CidrSet(config.trustedProxies),
      proxyProtocolFrom: new CidrSet(config.proxyProtocolFrom),
      protocols: config.protocols,
      http2: config.http2,
      tls,
      slot: slotFor(slots, seriesKey("listener", config.name), sharedKey("listener")),
      site,
      isLeaving: false,
    };
    const existing = this.#listeners.get(config.name);
    if (existing === undefined) this.#listeners.set(config.name, { name: config.name, ...rules });
    else {
      this.#setTls(existing, tls);
      Object.assign(existing, rules);
    }
  }

  /**
   * Connections stay when certificates change. Where it is decided anew which clients may speak here at all, those that
   * were let in before leave, each after what it is doing: a certificate that is revoked since must not live on in one.
   */
  #setTls(listener: Listener, tls: ListenerTls | undefined): void {
    const isSame = clientRulesOf(listener.tls) === clientRulesOf(tls);
    listener.tls = tls;
    if (!isSame) this.#leave(listener);
  }

  #leave(listener: Listener): void {
    for (const [session, itsListener] of [...this.#open]) {
      if (itsListener !== listener) continue;
      this.#leaving.add(session);
      session.leave();
    }
  }

  /** What each listener with TLS answers, by name; what the runtime needs to listen is made, and so proven. */
  #tlsOf(configs: readonly ListenerConfig[], materials: Materials): Map<string, ListenerTls> {
    const made = new Map<string, ListenerTls>();
    for (const config of configs) {
      const settings = tlsSettings(config, materials.files);
      if (settings === undefined) continue;
      const pairs = materials.certificates[config.name] ?? [];
      const tls = new ListenerTls(settings, pairs, materials.challenges.alpn, {
        contexts: this.#contexts,
        want: (name) => this.#wanted.ask(config.name, name, readClock()),
        report: (text) => this.#tell(config.name, text),
      });
      tls.unnamedContext();
      made.set(config.name, tls);
    }
    return made;
  }

  #tell(listener: string, text: string): void {
    const line = `listener ${listener}: ${text}`;
    if (this.#told.has(line)) return;
    this.#told.add(line);
    this.#options.log("error", "tls", line);
  }

  /** Sockets follow their listeners, and contexts that nobody can ask for any more go. */
  #refresh(): void {
    this.#told = new Set();
    for (const entrance of this.#entrances.values()) {
      try {
        entrance.refresh();
      } catch (error) {
        this.#tell(entrance.listener.name, `goes on with its certificates of before: ${defectText(error)}`);
      }
    }
    const keys = [...this.#listeners.values()].flatMap(({ tls }) => tls?.contextKeys() ?? []);
    this.#contexts.keepOnly(new Set(keys));
  }

  // ── sockets ──

  /** Accepts on an inherited descriptor. Throws when the descriptor is no listening socket. */
  listen(id: string, listenerName: string, descriptor: number): void {
    const listener = this.#listeners.get(listenerName);
    if (listener === undefined) throw new Error(`no listener ${listenerName}`);
    this.#entrances.set(id, new Entrance(descriptor, listener, this.#options.sessions, this.#keeper));
  }

  unlisten(id: string): void {
    const entrance = this.#entrances.get(id);
    if (entrance === undefined) return;
    entrance.stop();
    this.#entrances.delete(id);
    const { listener } = entrance;
    if ([...this.#entrances.values()].some((other) => other.listener === listener)) return;
    listener.isLeaving = true;
    this.#leave(listener);
  }

  #replace(before: AcceptedSession, after: AcceptedSession): void {
    const listener = this.#open.get(before);
    if (listener === undefined) return;
    this.#open.delete(before);
    this.#open.set(after, listener);
    const isLeaving = listener.isLeaving || this.#options.sessions.isDraining || this.#leaving.has(before);
    if (isLeaving) after.leave();
  }

  #release(session: AcceptedSession): void {
    const listener = this.#open.get(session);
    if (listener === undefined) return;
    this.#open.delete(session);
    released(listener, this.#options.sessions);
  }

  /** Stops accepting; connections end when they are idle, or after the answer under way. */
  leave(): void {
    for (const entrance of this.#entrances.values()) entrance.stop();
    this.#entrances.clear();
    for (const session of [...this.#open.keys()]) session.leave();
  }

  /** Ends what is still open. */
  kill(): void {
    for (const session of [...this.#open.keys()]) session.kill();
  }
}

/** out  undefined = plain text. Throws when a file that the configuration names was not sent. */
function tlsSettings(config: ListenerConfig, files: Materials["files"]): TlsSettings | undefined {
  const { tls, protocols } = config;
  if (tls === undefined) return undefined;
  const { mode, ca, crl } = tls.clientAuth;
  const text = (path: string | undefined) =>
    path === undefined || mode === "off" ? undefined : textOf(files, path);
  const { minVersion, ciphers, curves } = tls;
  return {
    rules: nameRules({ minVersion, ciphers, curves, clientAuth: mode, ca: text(ca), crl: text(crl) }),
    refusesUnknown: tls.unknownNames === "refuse",
    isPeeked: config.proxyProtocolFrom.length > 0 || tls.acme?.challenge === "tls-alpn-01",
    protocols: HTTP_PROTOCOLS.filter(({ version }) => protocols.includes(version)).map(({ alpn }) => alpn),
    onDemand: tls.acme?.onDemand ?? [],
  };
}

function textOf(files: Materials["files"], path: string): string {
  const text = files[path];
  if (text === undefined) throw new Error(`${path} was not sent to this worker`);
  return text;
}

/** Which clients may speak on a listener, as far as handshakes decide it. */
function clientRulesOf(tls: ListenerTls | undefined): string {
  if (tls === undefined) return "";
  const { clientAuth, ca, crl } = tls.settings.rules;
  return JSON.stringify([clientAuth, ca, crl]);
}
