/**
 * Certificates: what control has of them, from the files of a configuration to what workers show.
 *
 * why    one place knows the files, what stands in for them, and the board on which ACME puts its own
 * rule   a configuration whose certificates cannot be read does not come into force; files that change later are
 *        taken over when they are right, and told when they are not
 */
import type { Config, Problem } from "../config/config.ts";
import { formatPath, NOWHERE, type Path, type Position } from "../config/problem.ts";
import {
  CertificateFiles,
  type Changes,
  type FileProblem,
  type Loading,
} from "../control/certificate-files.ts";
import { type Draft, MaterialsBoard } from "../control/materials.ts";
import { StandIns } from "../control/self-signed.ts";
import type { ServedCertificate } from "../observe/registry.ts";
import type { CertificateFacts } from "../tls/certificate.ts";
import type { Level, Log } from "./log.ts";

/** A checked configuration with where it was written. */
export interface Located {
  readonly config: Config;
  readonly file: string;
  /** Place of a key in the file; undefined where nobody knows. */
  readonly locate?: ((path: Path) => Position) | undefined;
}

/** Certificates of a configuration that is to come into force. */
export interface PreparedCertificates {
  readonly loading: Loading;
  readonly draft: Draft;
  readonly problems: readonly Problem[];
}

export interface CertificatesOptions {
  readonly log: Log;
  /** Gives workers what they lack. */
  readonly send: () => Promise<void>;
}

/** A swap takes two looks: a person who replaced a certificate sees it in use before wondering. */
const LOOK_MS = 1000;
/** What nobody reads from a metric is said in the log, once a day. */
const AGE_LOOK_MS = 86_400_000;
/** A thousand certificates may change at once: enough lines to know what is going on. */
const MAX_LINES = 20;
const MAX_PROBLEMS = 100;

export class Certificates {
  readonly board: MaterialsBoard;
  readonly #log: Log;
  readonly #files = new CertificateFiles();
  readonly #standIns = new StandIns();
  readonly #timers: ReturnType<typeof setInterval>[] = [];
  #isStopped = false;

  constructor({ log, send }: CertificatesOptions) {
    this.#log = log;
    this.board = new MaterialsBoard({ send });
  }

  /** Replacements that could not be used, since the start. */
  get failures(): number {
    return this.#files.failures;
  }

  /** Those that clients may see, for metrics. */
  served(): ServedCertificate[] {
    return this.board.rows().flatMap(({ listener, offer, facts }) => {
      if (facts === undefined) return [];
      const { names, notBeforeMs, notAfterMs } = facts;
      return [{ listener, name: names[0] ?? "", source: offer.source, notBeforeMs, notAfterMs }];
    });
  }

  async prepare(located: Located): Promise<PreparedCertificates> {
    const nowMs = Date.now();
    const loading = this.#files.load(located.config, nowMs);
    const standIns = await this.#standIns.of(located.config, nowMs);
    const draft = this.board.draft({ ...loading.materials, standIns });
    return { loading, draft, problems: problemsAt(loading.problems, located) };
  }

  /** Their configuration is in force from now on. */
  adopt({ loading, draft }: PreparedCertificates): void {
    this.#files.adopt(loading);
    this.board.adopt(draft);
    this.#tellStandIns();
    // a stop may overtake a reload, which ends all the same
    if (this.#isStopped || this.#timers.length > 0) return;
    this.#timers.push(setInterval(() => this.look(), LOOK_MS));
    this.#timers.push(setInterval(() => this.#tell("warn", this.#files.aged(Date.now())), AGE_LOOK_MS));
  }

  /** Looks whether files have changed. */
  look(): void {
    const changes = this.#files.look(this.board.loaded, performance.now());
    if (changes === undefined) return;
    this.#take(changes).catch((error: unknown) => this.#log("error", "certificates", String(error)));
  }

  stop(): void {
    this.#isStopped = true;
    for (const timer of this.#timers) clearInterval(timer);
  }

  async #take({ materials, replaced, failures }: Changes): Promise<void> {
    const accidents = failures.map(({ message, hint }) => `${message}; the one before goes on. ${hint}`);
    this.#tell("error", accidents);
    await this.board.setFiles(materials);
    const taken = replaced.map(({ file, facts }) => {
      return `${file} was replaced and is in use${facts === undefined ? "" : `: ${factsText(facts)}`}`;
    });
    this.#tell("info", taken);
  }

  #tell(level: Level, lines: readonly string[]): void {
    for (const line of lines.slice(0, MAX_LINES)) this.#log(level, "certificates", line);
    const hidden = lines.length - MAX_LINES;
    if (hidden > 0) this.#log(level, "certificates", `… and ${hidden} more; weir status --json has all`);
  }

  #tellStandIns(): void {
    for (const { listener, offer, isDefault } of this.board.rows()) {
      if (offer.source !== "self-signed" || !isDefault) continue;
      const text = `listener ${listener} has no certificate yet: clients see a self-signed one, which they do not trust`;
      this.#log("warn", "certificates", text);
    }
  }
}

/** Problems of the files that a configuration names, for who only checks: what we may not read is no error then. */
export function checkFiles(located: Located): Problem[] {
  const { problems } = new CertificateFiles().load(located.config, Date.now());
  const judged = problems.map((problem): FileProblem => {
    if (!problem.isDenied) return problem;
    const hint = "It was not checked; the user that starts Weir must be able to read it.";
    return { ...problem, severity: "warning", hint };
  });
  return problemsAt(judged, located);
}

/** In the order of the configuration; of very many, errors before warnings. */
function problemsAt(problems: readonly FileProblem[], located: Located): Problem[] {
  const hidden = problems.length - MAX_PROBLEMS;
  if (hidden <= 0) return problems.map((problem) => problemAt(problem, located));
  const errorsFirst = problems.toSorted((a, b) => a.severity.localeCompare(b.severity));
  const shown = errorsFirst.slice(0, MAX_PROBLEMS).map((problem) => problemAt(problem, located));
  const severity = errorsFirst[MAX_PROBLEMS]?.severity ?? "warning";
  const message = `${hidden} more problems with certificates are not shown`;
  return [...shown, problemAt({ place: [], message, hint: undefined, severity, isDenied: false }, located)];
}

function problemAt({ place, message, hint, severity }: FileProblem, { file, locate }: Located): Problem {
  const { line, column } = locate?.(place) ?? NOWHERE;
  return { file, line, column, path: formatPath(place), message, hint, severity };
}

const MAX_TOLD_NAMES = 5;

function factsText({ names, notAfterMs }: CertificateFacts): string {
  const more = names.length > MAX_TOLD_NAMES ? ` and ${names.length - MAX_TOLD_NAMES} more` : "";
  const until = new Date(notAfterMs).toISOString().slice(0, 10);
  return `${names.slice(0, MAX_TOLD_NAMES).join(", ")}${more}, expires ${until}`;
}
