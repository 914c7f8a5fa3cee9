/**
 * Named files: the PEM files that a configuration names, and reading each of them with what belongs to it.
 *
 * why    a certificate and its key are read and judged together: one of them alone says nothing
 * out    what a unit holds, or why it cannot be used; never throws for what a file holds
 * note   only control reads these: workers have given away the right to
 */
import { readFileSync, statSync } from "node:fs";
import type { Config } from "../config/config.ts";
import type { Path } from "../config/problem.ts";
import {
  type CertificateFacts,
  type Flaw,
  type ReadCertificate,
  readCertificate,
  readFacts,
  whyNoAuthorities,
} from "../tls/certificate.ts";
import { readRevocations } from "../tls/revocations.ts";

/** Files that are read together. */
export interface Unit {
  readonly kind: "pair" | "authorities" | "revocations";
  /** Where the configuration names it. */
  readonly place: Path;
  /** The certificate of a pair, or the one file. */
  readonly file: string;
  /** Key of a pair. */
  readonly keyFile: string | undefined;
  /** The listener that shows it; undefined = it is used otherwise, as text. */
  readonly listener: string | undefined;
}

export interface UnitFailure {
  readonly unit: Unit;
  /** Where the configuration names the file that is to blame. */
  readonly place: Path;
  readonly message: string;
  readonly hint: string;
  /** True when we may not read it: another user may. */
  readonly isDenied: boolean;
  /** What is known of the certificate all the same. */
  readonly facts: CertificateFacts | undefined;
}

export interface UnitContent {
  readonly certificate: ReadCertificate | undefined;
  /** When revocation lists are due to be replaced. */
  readonly dueMs: number;
  /** By path. */
  readonly texts: Readonly<Record<string, string>>;
}

const NEVER = Number.POSITIVE_INFINITY;
/** A bundle of all public authorities has 220 KB; revocation lists may be long. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;

/** Everything that a configuration names, in its order. */
export function unitsOf(config: Config): Unit[] {
  return [...listenerUnits(config), ...upstreamUnits(config)];
}

function listenerUnits(config: Config): Unit[] {
  return config.listeners.flatMap(({ name, tls }): Unit[] => {
    if (tls === undefined) return [];
    const place = ["listeners", name, "tls"];
    const pairs = tls.certificates.map(({ cert, key }, index) => {
      return pair([...place, "certificates", index], cert, key, name);
    });
    const { ca, crl } = tls.clientAuth;
    const client = [...place, "clientAuth"];
    return [
      ...pairs,
      ...single("authorities", [...client, "ca"], ca),
      ...single("revocations", [...client, "crl"], crl),
    ];
  });
}

function upstreamUnits(config: Config): Unit[] {
  return config.upstreams.flatMap(({ name, tls }): Unit[] => {
    if (tls === undefined) return [];
    const place = ["upstreams", name, "tls"];
    const { ca, cert, key } = tls;
    const own = cert === undefined || key === undefined ? [] : [pair(place, cert, key, undefined)];
    return [...single("authorities", [...place, "ca"], ca), ...own];
  });
}

function pair(place: Path, file: string, keyFile: string, listener: string | undefined): Unit {
  return { kind: "pair", place, file, keyFile, listener };
}

function single(kind: Unit["kind"], place: Path, file: string | undefined): Unit[] {
  return file === undefined ? [] : [{ kind, place, file, keyFile: undefined, listener: undefined }];
}

/** The same while its files are: links are followed, so that a link to another file is a change. */
export function stampOf({ file, keyFile }: Unit): string {
  return keyFile === undefined ? fileStamp(file) : `${fileStamp(file)} ${fileStamp(keyFile)}`;
}

function fileStamp(path: string): string {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    return found === undefined ? "-" : `${found.dev}:${found.ino}:${found.size}:${found.mtimeMs}`;
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}

export function readUnit(unit: Unit): UnitContent | UnitFailure {
  const { file, keyFile } = unit;
  const text = readText(file);
  if (typeof text !== "string") return fail(unit, "cert", text);
  if (keyFile === undefined) return readSingle(unit, text);
  const keyText = readText(keyFile);
  if (typeof keyText !== "string") return failKey(unit, keyText, text);
  const read = readCertificate(text, keyText);
  if ("error" in read) return fail(unit, read.part, { message: read.error, hint: read.hint });
  return { certificate: read, dueMs: NEVER, texts: { [file]: text, [keyFile]: keyText } };
}

function readSingle(unit: Unit, text: string): UnitContent | UnitFailure {
  const read = unit.kind === "revocations" ? readRevocations(text) : (whyNoAuthorities(text) ?? NEVER);
  if (typeof read !== "number") return fail(unit, "cert", read);
  return { certificate: undefined, dueMs: read, texts: { [unit.file]: text } };
}

/** The key cannot be read; the certificate can be judged by itself. */
function failKey(unit: Unit, reason: Refusal, cert: string): UnitFailure {
  const facts = readFacts(cert);
  return { ...fail(unit, "key", reason), facts: "error" in facts ? undefined : facts };
}

function fail(unit: Unit, part: "cert" | "key", reason: Flaw | Refusal): UnitFailure {
  const { message, hint } = reason;
  const isDenied = "isDenied" in reason && reason.isDenied;
  const isPair = unit.kind === "pair";
  const file = part === "key" ? (unit.keyFile ?? unit.file) : unit.file;
  const place = isPair ? [...unit.place, part] : unit.place;
  return { unit, place, message: `${file}: ${message}`, hint, isDenied, facts: undefined };
}

interface Refusal extends Flaw {
  readonly isDenied: boolean;
}

const REFUSALS: Readonly<Record<string, Flaw>> = {
  ENOENT: {
    message: "there is no such file",
    hint: "Check the path; relative ones begin at the configuration's folder.",
  },
  ENOTDIR: { message: "a part of the path is not a folder", hint: "Check the path." },
  EISDIR: { message: "it is a folder", hint: "Name the file." },
  ELOOP: { message: "its links go in a circle", hint: "Point the link at a file." },
};
const DENIED: Refusal = {
  message: "no permission to read it",
  hint: "The user that starts Weir must be able to read it; workers need not.",
  isDenied: true,
};
const TOO_LONG: Refusal = {
  message: `it is longer than ${MAX_FILE_BYTES} bytes`,
  hint: "Is it a PEM file?",
  isDenied: false,
};

function readText(path: string): string | Refusal {
  try {
    const found = statSync(path);
    if (found.isDirectory()) return { ...(REFUSALS["EISDIR"] as Flaw), isDenied: false };
    // a pipe or a device may never end
    if (!found.isFile())
      return { message: "it is no regular file", hint: "Name a PEM file.", isDenied: false };
    return found.size > MAX_FILE_BYTES ? TOO_LONG : readFileSync(path, "latin1");
  } catch (error) {
    const code = String((error as NodeJS.ErrnoException).code);
    if (code === "EACCES" || code === "EPERM") return DENIED;
    const known = REFUSALS[code] ?? {
      message: `it cannot be read (${code})`,
      hint: "Check the disk and the path.",
    };
    return { ...known, isDenied: false };
  }
}
