/**
 * Certificate files: loads what a configuration names, whole or not at all, and then follows its changes.
 *
 * why    at a start or reload a broken file is an error of the configuration, so that nothing changes; later it is
 *        an accident on the disk: what was good goes on, and the reason is told
 * how    looks at every file each time it is asked to. That sees files replaced in place, by rename, by a link that
 *        points elsewhere (certbot's live/, the ..data of Kubernetes) and on network file systems alike, which
 *        notices from the kernel do not
 * rule   a change counts when the file has stood still for one look; a certificate and a key that do not fit, or a
 *        file that is missing or half, is tried again for a few seconds before it is a failure: two files never
 *        change at once
 * cost   2 µs a file and look; only what has changed is read
 */
import type { Config } from "../config/config.ts";
import type { Path } from "../config/problem.ts";
import { ageFlaw, type CertificateFacts, type Flaw } from "../tls/certificate.ts";
import { revocationsFlaw } from "../tls/revocations.ts";
import type { FileMaterials, Offer } from "./materials.ts";
import { readUnit, stampOf, type Unit, type UnitContent, type UnitFailure, unitsOf } from "./named-files.ts";

/** Something to tell about a file that the configuration names. */
export interface FileProblem {
  readonly place: Path;
  readonly message: string;
  readonly hint: string | undefined;
  readonly severity: "error" | "warning";
  /** The user who looks may not read it; the one who starts Weir may. */
  readonly isDenied: boolean;
}

/** What a look found: what is to be told of it, and whether workers need to know. */
export interface Changes {
  readonly materials: FileMaterials;
  readonly replaced: readonly { readonly file: string; readonly facts: CertificateFacts | undefined }[];
  readonly failures: readonly UnitFailure[];
}

/** One unit, as it was read last and as it looks now. */
interface Followed {
  readonly unit: Unit;
  content: UnitContent;
  /** Of the files that `content` came from, or that were given up. */
  stamp: string;
  /** At the last look. */
  seen: string;
  failingSinceMs: number | undefined;
  lastError: string | undefined;
}

export interface Loading {
  readonly followed: readonly Followed[];
  readonly materials: FileMaterials;
  readonly problems: readonly FileProblem[];
}

/** How long a pair may be half replaced. */
const PATIENCE_MS = 5000;

export class CertificateFiles {
  #followed: readonly Followed[] = [];
  #failures = 0;

  /** Replacements that were given up, since the start. */
  get failures(): number {
    return this.#failures;
  }

  /** Reads everything the configuration names; what is unchanged since it was read last is not read again. */
  load(config: Config, nowMs: number): Loading {
    const known = new Map(this.#followed.map((entry) => [nameOf(entry.unit), entry]));
    const followed: Followed[] = [];
    const problems: FileProblem[] = [];
    for (const unit of unitsOf(config)) {
      const entry = loadUnit(unit, known.get(nameOf(unit)));
      if ("message" in entry) {
        problems.push(...failureProblems(entry, nowMs));
        continue;
      }
      // one pair that several listeners show is read once
      known.set(nameOf(unit), entry);
      followed.push(entry);
      problems.push(...contentProblems(unit, entry.content, nowMs));
    }
    return { followed, problems, materials: materialsOf(config, followed) };
  }

  /** Follows these from now on: their configuration is in force. */
  adopt({ followed }: Loading): void {
    this.#followed = followed;
  }

  /** What time alone has made of the files that are followed, a line each. */
  aged(nowMs: number): string[] {
    const lines = this.#followed.flatMap(({ unit, content: { certificate, dueMs } }) => {
      const age = certificate === undefined ? undefined : ageFlaw(certificate.facts, nowMs);
      const flaw = age ?? revocationsFlaw(dueMs, nowMs);
      return flaw === undefined ? [] : [`${unit.file}: ${flaw.message}. ${flaw.hint}`];
    });
    return [...new Set(lines)];
  }

  /** Looks for changes. out  undefined when there is nothing new */
  look(current: FileMaterials, nowMs: number): Changes | undefined {
    const replaced: Changes["replaced"][number][] = [];
    const failures: UnitFailure[] = [];
    for (const entry of this.#followed) {
      const outcome = lookAt(entry, nowMs);
      if (outcome === undefined) continue;
      if ("message" in outcome) {
        this.#failures++;
        failures.push(outcome);
      } else replaced.push({ file: entry.unit.file, facts: outcome.certificate?.facts });
    }
    if (replaced.length === 0 && failures.length === 0) return undefined;
    return { materials: { ...current, ...collect(this.#followed, current.offers) }, replaced, failures };
  }
}

function loadUnit(unit: Unit, known: Followed | undefined): Followed | UnitFailure {
  const stamp = stampOf(unit);
  if (known !== undefined && known.stamp === stamp && known.lastError === undefined)
    return { ...known, unit };
  const content = readUnit(unit);
  if ("message" in content) return content;
  return { unit, content, stamp, seen: stamp, failingSinceMs: undefined, lastError: undefined };
}

/** out  new content, a failure that is to be told, or undefined when nothing is new or not settled yet */
function lookAt(entry: Followed, nowMs: number): UnitContent | UnitFailure | undefined {
  const stamp = stampOf(entry.unit);
  const isStill = stamp === entry.seen;
  entry.seen = stamp;
  if (stamp === entry.stamp) {
    // put back before we had given up
    entry.failingSinceMs = undefined;
    return undefined;
  }
  if (!isStill) return undefined;
  const content = readUnit(entry.unit);
  if (!("message" in content)) {
    Object.assign(entry, { content, stamp, failingSinceMs: undefined, lastError: undefined });
    return content;
  }
  entry.failingSinceMs ??= nowMs;
  if (nowMs - entry.failingSinceMs < PATIENCE_MS) return undefined;
  Object.assign(entry, { stamp, failingSinceMs: undefined, lastError: content.message });
  return content;
}

function materialsOf(config: Config, followed: readonly Followed[]): FileMaterials {
  const named = config.listeners.filter(({ tls }) => tls !== undefined).map(({ name }) => name);
  const none = Object.fromEntries(named.map((name): [string, readonly Offer[]] => [name, []]));
  return { ...collect(followed, none), standIns: {} };
}

/** Offers and texts of what is followed. `listeners` names those that have an entry, with or without one. */
function collect(
  followed: readonly Followed[],
  listeners: FileMaterials["offers"],
): Pick<FileMaterials, "offers" | "files"> {
  const offers: Record<string, Offer[]> = {};
  for (const name of Object.keys(listeners)) offers[name] = [];
  const files: Record<string, string> = {};
  for (const { unit, content, lastError } of followed) {
    if (unit.listener === undefined) Object.assign(files, content.texts);
    else offers[unit.listener]?.push(offerOf(unit, content, lastError));
  }
  return { offers, files };
}

function offerOf(unit: Unit, { certificate }: UnitContent, lastError: string | undefined): Offer {
  const names = certificate?.facts.names ?? [];
  return { source: "file", origin: unit.file, names, certificate, lastError, renewsAtMs: undefined };
}

function contentProblems(unit: Unit, { certificate, dueMs }: UnitContent, nowMs: number): FileProblem[] {
  const overdue = revocationsFlaw(dueMs, nowMs);
  if (overdue !== undefined) return [warningOf(overdue, unit.place, unit.file)];
  return certificate === undefined ? [] : factProblems(certificate.facts, unit.place, unit.file, nowMs);
}

const nameOf = ({ kind, file, keyFile }: Unit) => `${kind}\0${file}\0${keyFile ?? ""}`;

/** A file that may not be read is an error all the same; whoever only checks can make less of it. */
function failureProblems(failure: UnitFailure, nowMs: number): FileProblem[] {
  const { unit, place, message, hint, isDenied, facts } = failure;
  const problem: FileProblem = { place, message, hint, severity: "error", isDenied };
  return facts === undefined ? [problem] : [problem, ...factProblems(facts, unit.place, unit.file, nowMs)];
}

function factProblems(facts: CertificateFacts, place: Path, file: string, nowMs: number): FileProblem[] {
  const age = ageFlaw(facts, nowMs);
  const flaws = age === undefined ? facts.flaws : [age, ...facts.flaws];
  return flaws.map((flaw) => warningOf(flaw, place, file));
}

function warningOf({ message, hint }: Flaw, place: Path, file: string): FileProblem {
  return { place, message: `${file}: ${message}`, hint, severity: "warning", isDenied: false };
}
