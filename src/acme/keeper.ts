/**
 * Keeper: every name of `tls.acme` has a certificate, and has the next one before it expires.
 *
 * why    one clock for all names: nothing is computed ahead that a reload, a suspended machine or a clock that was
 *        set could make wrong; once a minute everything is looked at anew
 * in     configurations: `read` puts what is stored on the board and asks nobody, `keep` begins to order
 * out    offers and challenges on the board; log lines; counts for metrics
 * rule   one process keeps a storage folder; others serve what is there and take over when it is gone
 * rule   the last good certificate stays on the board and on disk until a better one is on both
 * bound  four orders at once, in all
 */
import type { AcmeConfig, Config } from "../config/config.ts";
import type { Offer } from "../control/materials.ts";
import type { Challenges } from "../tls/materials.ts";
import { hintFor } from "./hints.ts";
import { type IssueRequest, Issuer, PAUSED } from "./issuer.ts";
import { Job } from "./job.ts";
import { isAllowed, MAX_ON_DEMAND, NewNames } from "./on-demand.ts";
import { ChallengeBook } from "./protocol/challenges.ts";
import { pollMs } from "./renewal.ts";
import { Folder, type Report } from "./storage-folder/folder.ts";
import { isHostName, type StoredCertificate } from "./storage-folder/storage.ts";
import { REAL_TIMING, type Timing } from "./timing.ts";
import { Trouble, troubleOf } from "./trouble.ts";

/** Where certificates and challenges go. Fulfilled by the board of control. */
export interface KeeperBoard {
  setOffers(listener: string, offers: readonly Offer[]): Promise<void>;
  setChallenges(challenges: Challenges): Promise<void>;
  onWanted(run: (listener: string, name: string) => void): () => void;
}

export interface KeeperOptions {
  readonly board: KeeperBoard;
  readonly log: (level: "info" | "warn" | "error", area: string, text: string) => void;
  readonly timing?: Timing;
}

export interface KeeperCounts {
  readonly issued: number;
  readonly failed: number;
  /** Earliest of all; undefined when there is no certificate. */
  readonly nextRenewalAtMs: number | undefined;
}

/** What one listener is to have. */
interface Wanted {
  readonly acme: AcmeConfig;
  /** By name, in the order of the configuration. */
  readonly jobs: Map<string, Job>;
  readonly newNames: NewNames;
}

const MAX_ORDERS = 4;
const HOUR_MS = 3600_000;
const DAY_MS = 24 * HOUR_MS;
const LOOK_MS = 60_000;
/** Another process has the lock: it may leave at any moment, and renews meanwhile. */
const FOLLOWER_LOOK_MS = 3000;
const LEAST_WAIT_MS = 50;
const PUBLISH_MS = 1000;

export class CertificateKeeper {
  readonly #options: KeeperOptions;
  readonly #timing: Timing;
  readonly #report: Report;
  readonly #issuer: Issuer;
  readonly #stop = new AbortController();
  readonly #unsubscribe: () => void;
  /** By path. */
  readonly #folders = new Map<string, Folder>();
  /** By folder and name: one name on two listeners is one certificate. */
  readonly #jobs = new Map<string, Job>();
  #wanted = new Map<string, Wanted>();
  /** By listener: when its offers last changed; and those that are to change in a moment. */
  readonly #publishedAtMs = new Map<string, number>();
  readonly #unpublished = new Set<string>();
  #busyCount = 0;
  #issuedCount = 0;
  #failedCount = 0;
  #isKeeping = false;
  #cancelWake: () => void = () => {};

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#timing = options.timing ?? REAL_TIMING;
    this.#report = (level, text) => options.log(level, "acme", text);
    const warn = (text: string) => this.#report("warn", text);
    const publish = (challenges: Challenges) => options.board.setChallenges(challenges);
    const challenges = new ChallengeBook({ publish, timing: this.#timing, warn });
    this.#issuer = new Issuer({ challenges, timing: this.#timing, warn });
    this.#unsubscribe = options.board.onWanted((listener, name) => this.#want(listener, name));
  }

  /**
   * Puts the stored certificates of a configuration on the board, beside those that are there: it may yet be refused, and
   * then nothing must be missing. Asks nobody.
   */
  read(config: Config): void {
    for (const [listener, wanted] of this.#arrange(config)) {
      const inForce = this.#wanted.get(listener)?.jobs ?? [];
      this.#publish(listener, { ...wanted, jobs: new Map([...inForce, ...wanted.jobs]) });
    }
  }

  /** A configuration is in force: its names get their certificates, others are left alone. */
  keep(config: Config): void {
    if (this.#stop.signal.aborted) return; // a stop may overtake a reload, which ends all the same
    const before = this.#wanted;
    this.#changeFolders(config);
    this.#wanted = this.#arrange(config);
    this.#issuer.forget();
    this.#settleJobs();
    for (const listener of before.keys()) {
      if (!this.#wanted.has(listener)) this.#offer(listener, []);
    }
    for (const [listener, wanted] of this.#wanted) this.#publish(listener, wanted);
    this.#isKeeping = true;
    this.#wake();
  }

  /** Gives up what is under way and lets other processes keep the folders. */
  stop(): void {
    this.#isKeeping = false;
    this.#unsubscribe();
    this.#cancelWake();
    this.#stop.abort(new Trouble("late", "this process is leaving"));
    for (const folder of this.#folders.values()) folder.release();
  }

  counts(): KeeperCounts {
    const renewals = [...this.#jobs.values()].map((job) => job.renewsAtMs()).filter((at) => at !== undefined);
    const nextRenewalAtMs = renewals.length === 0 ? undefined : Math.min(...renewals);
    return { issued: this.#issuedCount, failed: this.#failedCount, nextRenewalAtMs };
  }

  // ── what is wanted ──

  #arrange(config: Config): Map<string, Wanted> {
    const found = new Map<string, Wanted>();
    for (const { name, tls } of config.listeners) {
      if (tls?.acme !== undefined) found.set(name, this.#arrangeListener(name, tls.acme));
    }
    return found;
  }

  #arrangeListener(listener: string, acme: AcmeConfig): Wanted {
    const folder = this.#folderOf(acme);
    const before = this.#wanted.get(listener);
    const jobs = new Map<string, Job>();
    for (const name of acme.names) jobs.set(name, this.#jobOf(name, acme, folder, false));
    const known = [...(before?.jobs.keys() ?? []), ...storedNames(folder)];
    for (const name of known) {
      if (jobs.size >= acme.names.length + MAX_ON_DEMAND) break;
      if (jobs.has(name) || !isAllowed(acme.onDemand, name)) continue;
      jobs.set(name, this.#jobOf(name, acme, folder, true));
    }
    return { acme, jobs, newNames: before?.newNames ?? new NewNames() };
  }

  /** A folder whose key has changed stays as it was until the configuration is in force. */
  #folderOf({ storage, storageKey }: AcmeConfig): Folder {
    const known = this.#folders.get(storage);
    if (known !== undefined) return known;
    const folder = new Folder({ folder: storage, storageKey }, this.#report);
    this.#folders.set(storage, folder);
    return folder;
  }

  /** Another storageKey: what the old one opens is sealed anew. */
  #changeFolders(config: Config): void {
    for (const { tls } of config.listeners) {
      if (tls?.acme === undefined) continue;
      const old = this.#folders.get(tls.acme.storage);
      if (old === undefined || old.storageKey === tls.acme.storageKey) continue;
      old.release();
      this.#folders.delete(tls.acme.storage);
      const folder = this.#folderOf(tls.acme);
      if (old.blocked === undefined) folder.attempt(() => folder.storage.resealFrom(old.storage));
    }
  }

  #jobOf(name: string, acme: AcmeConfig, folder: Folder, isOnDemand: boolean): Job {
    const id = `${acme.storage}\n${name}`;
    const known = this.#jobs.get(id);
    if (known !== undefined) return known;
    const job = new Job(name, acme, folder, isOnDemand);
    folder.attempt(() => job.read());
    job.delayAdvice(this.#timing.nowMs(), this.#timing.random());
    this.#jobs.set(id, job);
    return job;
  }

  /** Jobs learn who wants them; those that nobody wants are dropped, with folders that hold none. */
  #settleJobs(): void {
    const users = new Map<Job, { listeners: string[]; acme: AcmeConfig; isOnDemand: boolean }>();
    for (const [listener, { acme, jobs }] of this.#wanted) {
      for (const job of jobs.values()) {
        const use = users.get(job) ?? { listeners: [], acme, isOnDemand: true };
        use.listeners.push(listener);
        use.isOnDemand &&= !acme.names.includes(job.name);
        users.set(job, use);
      }
    }
    for (const [id, job] of [...this.#jobs]) {
      const use = users.get(job);
      if (use === undefined) this.#jobs.delete(id);
      else job.settle(this.#folderOf(use.acme), use);
    }
    const used = new Set([...this.#jobs.values()].map((job) => job.folder));
    for (const { acme } of this.#wanted.values()) used.add(this.#folderOf(acme));
    for (const [path, folder] of [...this.#folders]) {
      if (used.has(folder)) continue;
      folder.release();
      this.#folders.delete(path);
    }
  }

  /** A client asked for a name that no certificate covers. */
  #want(listener: string, name: string): void {
    const wanted = this.#wanted.get(listener);
    if (wanted === undefined || !isHostName(name) || !isAllowed(wanted.acme.onDemand, name)) return;
    const { acme, jobs, newNames } = wanted;
    const nowMs = this.#timing.nowMs();
    const known = jobs.get(name);
    if (known !== undefined) {
      if (known.want(nowMs)) this.#wake();
      return;
    }
    const folder = this.#folderOf(acme);
    const count = [...jobs.values()].filter((job) => job.isOnDemand).length;
    if (folder.blocked !== undefined || count >= MAX_ON_DEMAND || !newNames.take(nowMs)) {
      if (newNames.maySay(nowMs))
        this.#report("warn", `${listener}: no certificate on demand for ${name}: too many names`);
      return;
    }
    const job = this.#jobOf(name, acme, folder, true);
    job.listeners.add(listener);
    jobs.set(name, job);
    job.want(nowMs);
    if (job.stored !== undefined) this.#publish(listener, wanted);
    this.#wake();
  }

  // ── the clock ──

  /** Looks at everything, begins what is due, and comes again in time. */
  #wake(): void {
    if (!this.#isKeeping) return;
    this.#cancelWake();
    const nowMs = this.#timing.nowMs();
    for (const folder of this.#folders.values()) this.#tend(folder, nowMs);
    this.#forgetExpired(nowMs);
    for (const job of this.#jobs.values()) job.noticeClock(nowMs);
    const jobs = [...this.#jobs.values()].filter((job) => job.folder.isOurs && job.listeners.size > 0);
    const due = jobs.filter((job) => job.dueAtMs() <= nowMs).sort((a, b) => a.dueAtMs() - b.dueAtMs());
    for (const job of due.slice(0, MAX_ORDERS - this.#busyCount)) void this.#run(job);
    const next = jobs.reduce((least, job) => Math.min(least, job.dueAtMs()), Number.POSITIVE_INFINITY);
    const isFollower = [...this.#folders.values()].some((folder) => !folder.isOurs);
    const most = isFollower ? FOLLOWER_LOOK_MS : LOOK_MS;
    // with every place taken, the next one that becomes free looks again
    const waitMs = this.#busyCount >= MAX_ORDERS ? most : Math.max(LEAST_WAIT_MS, next - nowMs);
    this.#cancelWake = this.#timing.after(Math.min(most, waitMs), () => this.#wake());
  }

  #tend(folder: Folder, nowMs: number): void {
    const jobs = [...this.#jobs.values()].filter((job) => job.folder === folder);
    const changed = new Set<string>();
    const look = () => {
      for (const job of jobs)
        if (!job.isBusy && job.read()) for (const name of job.listeners) changed.add(name);
    };
    const wasOurs = folder.isOurs;
    const isFree = folder.blocked === undefined;
    folder.retry(look);
    folder.tend(nowMs);
    // another process may have written until now; once the folder is ours, nobody does
    if (!wasOurs && isFree) folder.attempt(look);
    for (const listener of changed) this.#publishListener(listener);
  }

  #forgetExpired(nowMs: number): void {
    for (const [id, job] of [...this.#jobs]) {
      if (!job.folder.isOurs || !job.isForgettable(nowMs)) continue;
      if (job.stored !== undefined) job.folder.attempt(() => job.folder.storage.remove(job.name));
      this.#jobs.delete(id);
      for (const listener of job.listeners) {
        this.#wanted.get(listener)?.jobs.delete(job.name);
        this.#publishListener(listener);
      }
    }
  }

  async #run(job: Job): Promise<void> {
    this.#busyCount++;
    job.isBusy = true;
    try {
      if (job.orderAtMs() <= this.#timing.nowMs()) await this.#order(job);
      else await this.#advise(job);
    } catch (defect) {
      job.failed(troubleOf(defect), true, this.#timing);
      this.#report("error", `${job.name}: ${defect instanceof Error ? defect.stack : String(defect)}`);
    }
    job.isBusy = false;
    this.#busyCount--;
    this.#wake();
  }

  async #order(job: Job): Promise<void> {
    this.#report(
      "info",
      `${job.name}: ${job.stored === undefined ? "ordering" : "renewing"} its certificate`,
    );
    const got = await this.#issuer.issue(requestOf(job), this.#stop.signal);
    if (got instanceof Trouble) this.#failed(job, got);
    else this.#succeeded(job, got);
    for (const listener of job.listeners) this.#publishListener(listener);
  }

  #succeeded(job: Job, stored: StoredCertificate): void {
    this.#issuedCount++;
    job.succeeded(stored, this.#timing.nowMs());
    const { notAfterMs } = stored.issued.facts;
    const renewal = dateText(job.renewsAtMs() ?? notAfterMs);
    const text = `certificate from ${stored.authority}, valid until ${dateText(notAfterMs)}, to be renewed ${renewal}`;
    this.#report("info", `${job.name}: ${text}`);
  }

  #failed(job: Job, trouble: Trouble): void {
    if (this.#stop.signal.aborted) return;
    const isCounted = trouble.type !== PAUSED;
    const delayMs = job.failed(trouble, isCounted, this.#timing);
    if (!isCounted) return;
    this.#failedCount++;
    const hint = hintFor(trouble.kind, job.config.challenge, job.name);
    const next = `next try ${dateText(this.#timing.nowMs() + delayMs)}`;
    const served = job.stored === undefined ? "" : "; the certificate that is there stays in use";
    this.#report(
      "error",
      `${job.name}: ${trouble.message}. ${hint === "" ? "" : `(${hint}) `}${next}${served}`,
    );
  }

  /** Asks the authority when it wants the certificate to be renewed. */
  async #advise(job: Job): Promise<void> {
    const nowMs = this.#timing.nowMs();
    const before = job.renewsAtMs() ?? 0;
    try {
      const advice = await this.#issuer.advice(requestOf(job), this.#stop.signal);
      job.advised(advice?.window, nowMs + (advice === undefined ? DAY_MS : pollMs(advice.retryAfterMs)));
      const renewsAtMs = job.renewsAtMs() ?? 0;
      if (advice === undefined || Math.abs(renewsAtMs - before) < HOUR_MS) return;
      const why = advice.explanation === "" ? "" : ` (${advice.explanation})`;
      this.#report("info", `${job.name}: to be renewed ${dateText(renewsAtMs)}, as its authority asks${why}`);
      for (const listener of job.listeners) this.#publishListener(listener);
    } catch {
      // not worth a line: two thirds of the life hold until it answers (RFC 9773 §4.3.3)
      job.advised(undefined, nowMs + HOUR_MS);
    }
  }

  // ── the board ──

  /** At once, or a second after the last time: each change sends all pairs of the listener to every worker. */
  #publishListener(listener: string): void {
    if (this.#unpublished.has(listener)) return;
    const nowMs = this.#timing.nowMs();
    const waitMs = (this.#publishedAtMs.get(listener) ?? 0) + PUBLISH_MS - nowMs;
    const publish = () => {
      this.#unpublished.delete(listener);
      this.#publishedAtMs.set(listener, this.#timing.nowMs());
      const wanted = this.#wanted.get(listener);
      if (wanted !== undefined && this.#isKeeping) this.#publish(listener, wanted);
    };
    if (waitMs <= 0 || waitMs > PUBLISH_MS) publish();
    else {
      this.#unpublished.add(listener);
      this.#timing.after(waitMs, publish);
    }
  }

  #publish(listener: string, { jobs }: Wanted): void {
    this.#offer(
      listener,
      [...jobs.values()].map((job) => job.offer()),
    );
  }

  #offer(listener: string, offers: readonly Offer[]): void {
    this.#options.board.setOffers(listener, offers).catch((error: unknown) => {
      this.#report("error", `${listener}: new certificates did not reach every worker: ${String(error)}`);
    });
  }
}

function requestOf({ name, config, folder, stored }: Job): IssueRequest {
  return { name, config, storage: folder.storage, current: stored };
}

function storedNames(folder: Folder): string[] {
  let names: string[] = [];
  folder.attempt(() => {
    names = folder.storage.names();
  });
  return names;
}

/** To the minute, in UTC. */
function dateText(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 16)}Z`;
}
