/**
 * Materials board: all certificates, keys and challenges that workers are to have, whoever they come from.
 *
 * why    files change, ACME renews, configurations replace one another, workers come and go: here it comes
 *        together, and each worker gets what it lacks
 * rule   a source (files, ACME) puts up the whole of what it has for a listener; what it put up before is gone.
 *        In order: files as configured, then ACME, then self-signed where there is nothing else
 * shape  a draft is the materials of one configuration, whether it is in force, being prepared or already left;
 *        a number counts changes, so that what a worker lacks is what changed after the number it has
 */
import type { CertificateFacts, ReadCertificate } from "../tls/certificate.ts";
import type { CertificatePair, Challenges, Materials } from "../tls/materials.ts";

export type CertificateSource = "file" | "acme" | "self-signed";

/** One certificate that a source has, or wants and cannot get. */
export interface Offer {
  readonly source: CertificateSource;
  /** Path of its file, or name of the authority. */
  readonly origin: string;
  /** The names it is wanted for; used while there is no certificate. */
  readonly names: readonly string[];
  /** undefined = none yet. */
  readonly certificate: ReadCertificate | undefined;
  /** Why the newest attempt to get or replace it failed. */
  readonly lastError: string | undefined;
  /** When it is to be renewed, if Weir does that. */
  readonly renewsAtMs: number | undefined;
}

/** One certificate of one listener, for status and metrics. */
export interface CertificateRow {
  readonly listener: string;
  readonly offer: Offer;
  readonly facts: CertificateFacts | undefined;
  /** Shown to clients that name no server. */
  readonly isDefault: boolean;
}

/** What the files of one configuration hold. */
export interface FileMaterials {
  /** By listener name; every listener with TLS has an entry. */
  readonly offers: Readonly<Record<string, readonly Offer[]>>;
  readonly files: Readonly<Record<string, string>>;
  /** For listeners that may have nothing else; used only then. */
  readonly standIns: Readonly<Record<string, Offer>>;
}

export const NO_FILE_MATERIALS: FileMaterials = { offers: {}, files: {}, standIns: {} };
const NO_CHALLENGES: Challenges = { http: {}, alpn: {} };

/** Materials of one configuration, and how they came to change. */
export interface MaterialsSource {
  /** Rises with each change. */
  readonly number: number;
  /** All of them, as they are now. */
  all(): Materials;
  /** The parts that changed after `number`. */
  since(number: number): Partial<Materials>;
}

export interface BoardOptions {
  /** Gives workers what they lack; settles when each has it or its time is up. */
  readonly send: () => Promise<void>;
}

export class MaterialsBoard {
  readonly #options: BoardOptions;
  /** What sources other than files have, by listener. */
  readonly #offers = new Map<string, readonly Offer[]>();
  readonly #wanted = new Set<(listener: string, name: string) => void>();
  #challenges = NO_CHALLENGES;
  #draft: Draft;
  #number = 1;
  #changed = { certificates: 1, files: 1, challenges: 1 };
  #tail: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(options: BoardOptions) {
    this.#options = options;
    this.#draft = this.draft(NO_FILE_MATERIALS);
  }

  /** ACME: all that it has for a listener. out  settles when every worker has it */
  setOffers(listener: string, offers: readonly Offer[]): Promise<void> {
    if (offers.length === 0) this.#offers.delete(listener);
    else this.#offers.set(listener, offers);
    return this.#change("certificates");
  }

  /** ACME: all challenges that are under way. out  settles when every worker can answer them */
  setChallenges(challenges: Challenges): Promise<void> {
    this.#challenges = challenges;
    return this.#change("challenges");
  }

  /** Calls back when a client names a server that only an on-demand certificate could serve. out  stops that */
  onWanted(run: (listener: string, name: string) => void): () => void {
    this.#wanted.add(run);
    return () => void this.#wanted.delete(run);
  }

  /** A worker says that a client asked for this name. */
  want(listener: string, name: string): void {
    for (const run of this.#wanted) run(listener, name);
  }

  /** Files of the configuration in force have changed. out  settles when every worker has them */
  setFiles(loaded: FileMaterials): Promise<void> {
    this.#draft.loaded = loaded;
    const changes = [this.#change("certificates"), this.#change("files")];
    return Promise.all(changes).then(() => {});
  }

  /** Materials for a configuration that is to come into force. */
  draft(loaded: FileMaterials): Draft {
    return new Draft(loaded, {
      number: () => this.#number,
      all: (files) => this.#merge(files),
      changedAt: (part) => this.#changed[part],
    });
  }

  /** The configuration of this draft is in force from now on. */
  adopt(draft: Draft): void {
    this.#draft = draft;
  }

  /** What the files of the configuration in force hold. */
  get loaded(): FileMaterials {
    return this.#draft.loaded;
  }

  rows(): CertificateRow[] {
    const listeners = Object.keys(this.#draft.loaded.offers);
    return listeners.flatMap((listener) => {
      const offers = this.#offersOf(listener, this.#draft.loaded);
      const first = offers.findIndex((offer) => offer.certificate !== undefined);
      return offers.map((offer, index) => {
        return { listener, offer, facts: offer.certificate?.facts, isDefault: index === first };
      });
    });
  }

  #merge(loaded: FileMaterials): Materials {
    const certificates: Record<string, readonly CertificatePair[]> = {};
    for (const listener of Object.keys(loaded.offers)) {
      const pairs = this.#offersOf(listener, loaded).map((offer) => offer.certificate?.pair);
      certificates[listener] = pairs.filter((pair) => pair !== undefined);
    }
    return { certificates, files: loaded.files, challenges: this.#challenges };
  }

  #offersOf(listener: string, { offers, standIns }: FileMaterials): readonly Offer[] {
    const found = [...(offers[listener] ?? []), ...(this.#offers.get(listener) ?? [])];
    const standIn = standIns[listener];
    const isServed = standIn === undefined || found.some((offer) => offer.certificate !== undefined);
    return isServed ? found : [...found, standIn];
  }

  /** Changes that come while workers are being told of earlier ones go out together. */
  #change(part: keyof Materials): Promise<void> {
    this.#changed[part] = ++this.#number;
    if (this.#next !== undefined) return this.#next;
    const next = this.#tail.then(() => {
      this.#next = undefined;
      return this.#options.send();
    });
    this.#next = next;
    this.#tail = next.catch(() => {});
    return next;
  }
}

interface BoardFacts {
  readonly number: () => number;
  readonly all: (files: FileMaterials) => Materials;
  readonly changedAt: (part: keyof Materials) => number;
}

export class Draft implements MaterialsSource {
  loaded: FileMaterials;
  readonly #board: BoardFacts;

  constructor(loaded: FileMaterials, board: BoardFacts) {
    this.loaded = loaded;
    this.#board = board;
  }

  get number(): number {
    return this.#board.number();
  }

  all(): Materials {
    return this.#board.all(this.loaded);
  }

  since(number: number): Partial<Materials> {
    const parts = Object.entries(this.all()) as [keyof Materials, unknown][];
    return Object.fromEntries(parts.filter(([part]) => this.#board.changedAt(part) > number));
  }
}
