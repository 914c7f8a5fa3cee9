/**
 * ACME: names, authorities in order, the way to prove control of a name, and where keys are kept.
 */

import type { Address } from "../../core/address.ts";
import { KNOWN_AUTHORITIES } from "../acme-authorities.table.ts";
import type { AcmeAuthority, AcmeConfig, ListenerConfig } from "../config.ts";
import type { Placed } from "../options/containers.ts";
import { ACME, ACME_ACCOUNT, type ACME_DIRECTORY, ACME_DNS } from "../options/options.table.ts";
import { type Written, withDefaults } from "../options/types.ts";
import { type Place, quote } from "../problem.ts";
import { didYouMean } from "../suggest.ts";
import type { CheckFacts } from "./facts.ts";
import { checkFile, checkOptionalFile } from "./files.ts";
import { absolutePath } from "./places.ts";
import { BASE64URL_KEY, PASSPHRASE, readSecret } from "./secrets.ts";

type WrittenAcme = Written<typeof ACME>;
type Names = WrittenAcme["names"];

export function checkAcme(
  written: WrittenAcme | undefined,
  place: Place,
  facts: CheckFacts,
): AcmeConfig | undefined {
  if (written === undefined) return undefined;
  const { challenge, keyType, storage, storageKey, directory } = withDefaults(ACME, written);
  const authorities = checkAuthorities(directory, facts);
  checkNames(written, place);
  if (authorities.every(isPublic)) refuseLocalNames(written);
  return {
    email: checkEmail(written.email, place.key("email")),
    authorities,
    challenge,
    names: distinct(written.names),
    onDemand: distinct(written.onDemand),
    dnsHook: checkHook(written, place, facts),
    storage: checkStorage(storage, place.key("storage"), facts),
    storageKey: storageKey && readSecret(storageKey, place.key("storageKey"), facts, PASSPHRASE),
    keyType,
    directoryCa: checkOptionalFile(written.directoryCa, place.key("directoryCa"), facts),
  };
}

const distinct = (names: Names): readonly string[] => [...new Set(names?.value.map(({ value }) => value))];

/** That there are names, and that the challenge can prove each of them. */
function checkNames({ names, onDemand, challenge }: WrittenAcme, place: Place): void {
  const lists = [names, onDemand].filter((list) => list !== undefined);
  const isSaid = place.has("names") || place.has("onDemand");
  const isEmpty = lists.length > 0 && lists.every(({ value, isSound }) => isSound && value.length === 0);
  if (!isSaid || isEmpty) {
    place.error("ACME has no name to get a certificate for", "Add `names: [ app.example.com ]`.");
  }
  if (challenge === "dns-01") return;
  for (const { value, place: at } of names?.value ?? []) {
    if (!value.startsWith("*.")) continue;
    at.error(
      `${quote(value)} can only be proven by dns-01`,
      "Add `challenge: dns-01` and `dns: { hook: [ … ] }`, or name each host.",
    );
  }
}

const isPublic = ({ directory }: AcmeAuthority) =>
  Object.values(KNOWN_AUTHORITIES).some((known) => known.directory === directory);

/** An authority of one's own may certify `gitlab`; public ones only certify what the whole world can look up. */
function refuseLocalNames({ names, onDemand }: WrittenAcme): void {
  for (const { value, place } of [...(names?.value ?? []), ...(onDemand?.value ?? [])]) {
    if (value.includes(".")) continue;
    const hint = "Write all of it, such as app.example.com, or name a `directory` of your own.";
    place.error(`${quote(value)} is no public name`, hint);
  }
}

function checkEmail(email: string | undefined, place: Place): string | undefined {
  if (email === undefined) return undefined;
  const address = email.replace(/^mailto:/i, "");
  if (!/^[!-?A-~]+@[A-Za-z0-9.-]+$/.test(address)) {
    place.error(`${quote(email)} is not a mail address`, "Write ops@example.com.");
  }
  return address;
}

// authorities

type WrittenDirectory = Written<typeof ACME_DIRECTORY>;

function checkAuthorities(
  written: Placed<readonly Placed<WrittenDirectory>[]>,
  facts: CheckFacts,
): readonly AcmeAuthority[] {
  if (written.value.length === 0 && written.isSound) {
    written.place.error("there is no directory in the list", "Write letsencrypt, or remove the key.");
  }
  const taken = new Map<string, Place>();
  return written.value.flatMap(({ value, place }) => {
    const authority = checkAuthority(value, place, facts);
    if (authority === undefined) return [];
    const other = taken.get(authority.name);
    if (other !== undefined) {
      const hint = "Give it another `name`, or remove it.";
      place.error(`the authority \`${authority.name}\` is in the list already (${other.where})`, hint);
    }
    taken.set(authority.name, place);
    return [authority];
  });
}

function checkAuthority(
  { name, url, eab }: WrittenDirectory,
  place: Place,
  facts: CheckFacts,
): AcmeAuthority | undefined {
  const written = url ?? name;
  if (written === undefined) {
    if (!place.has("url") && !place.has("name"))
      place.error("the authority has neither `url` nor `name`", `Known names: ${KNOWN.join(", ")}.`);
    return undefined;
  }
  const at = place.has("url") ? place.key("url") : place.has("name") ? place.key("name") : place;
  const known = Object.hasOwn(KNOWN_AUTHORITIES, written) ? KNOWN_AUTHORITIES[written] : undefined;
  const directory = known?.directory ?? directoryUrl(written, at);
  if (directory === undefined) return undefined;
  if (known?.needsAccount === true && !place.has("eab")) {
    place.error(
      `${written} needs an account that was made on its web site`,
      `Write { name: ${written}, eab: { keyId: …, hmacKey: { env: NAME } } }.`,
    );
  }
  return {
    name: name ?? (known === undefined ? nameOf(directory) : written),
    directory,
    externalAccount: checkAccount(eab, place.key("eab"), facts),
  };
}

const KNOWN = Object.keys(KNOWN_AUTHORITIES);

/** Plain http would let anybody in between be the authority (RFC 8555 §6.1). */
function directoryUrl(written: string, place: Place): string | undefined {
  if (/^https:\/\//i.test(written) && URL.canParse(written)) return written;
  if (/^http:\/\//i.test(written)) place.error(`${quote(written)} is not https`, "Write https://….");
  else place.error(`${quote(written)} is not known here`, didYouMean(written, KNOWN));
  return undefined;
}

/** Also a folder's name: `acme.internal-14000`. */
const nameOf = (directory: string): string => new URL(directory).host.replace(/[^a-z0-9.-]+/g, "-");

function checkAccount(
  written: WrittenDirectory["eab"],
  place: Place,
  facts: CheckFacts,
): AcmeAuthority["externalAccount"] {
  const { keyId, hmacKey } = withDefaults(ACME_ACCOUNT, written);
  if (keyId === undefined || hmacKey === undefined) return undefined;
  const key = readSecret(hmacKey, place.key("hmacKey"), facts, BASE64URL_KEY);
  return key === undefined ? undefined : { keyId, hmacKey: key };
}

// dns-01

/** A program without a slash is looked for in PATH; a file beside the configuration is meant with one. */
function checkHook(written: WrittenAcme, place: Place, facts: CheckFacts): AcmeConfig["dnsHook"] {
  const { dns, challenge } = written;
  if (challenge === "dns-01" && !place.has("dns")) {
    place.error("dns-01 needs a program that sets the TXT record", "Add `dns: { hook: [ ./set-txt ] }`.");
  }
  if (dns === undefined) return undefined;
  const at = place.key("dns");
  if (challenge !== "dns-01") at.warning("only `challenge: dns-01` uses this", "Add that, or remove `dns`.");
  const { hook } = withDefaults(ACME_DNS, dns);
  const [program = "", ...rest] = hook ?? [];
  if (hook === undefined) return undefined;
  if (program === "" || (rest.length === 0 && /\s/.test(program))) {
    at.key("hook").error(`${quote(program)} is no program`, "Write it as a list: [ program, argument ].");
    return hook;
  }
  if (!program.includes("/")) return hook;
  return [checkFile(program, at.key("hook"), facts), ...rest];
}

function checkStorage(written: string, place: Place, facts: CheckFacts): string {
  const path = absolutePath(written, facts.folder);
  const kind = facts.kindOf(path);
  if (kind === "file" || kind === "other") {
    place.error(`${quote(written)} is not a folder`, "Name a folder, or one that is to be made.");
  }
  return path;
}

// what the challenges need of the listeners together

const HTTP_PORT = 80;
const HTTPS_PORT = 443;

/** Authorities always ask on these ports (RFC 8555 §8.3, RFC 8737 §3); something in front may forward them. */
export function checkReach(listeners: readonly ListenerConfig[], place: Place): void {
  const plain = listeners.filter(({ tls }) => tls === undefined);
  for (const listener of listeners) {
    const acme = listener.tls?.acme;
    if (acme === undefined || acme.challenge === "dns-01") continue;
    const at = place.entry(listener.name).key("tls").key("acme");
    if (acme.challenge === "tls-alpn-01") {
      if (!listener.bind.some(isOn(HTTPS_PORT)))
        at.warning(notOn(HTTPS_PORT, "this listener is not"), FORWARD(HTTPS_PORT));
    } else if (plain.length === 0) {
      at.error(
        "http-01 is answered by a listener without TLS, and there is none",
        'Add `http: { bind: ":80", redirectToHttps: true }`.',
      );
    } else if (!plain.some(({ bind }) => bind.some(isOn(HTTP_PORT)))) {
      at.warning(notOn(HTTP_PORT, "no listener without TLS is"), FORWARD(HTTP_PORT));
    }
  }
}

const isOn = (port: number) => (address: Address) => address.kind === "tcp" && address.port === port;
const notOn = (port: number, who: string) => `authorities ask on port ${port}, and ${who} there`;
const FORWARD = (port: number) => `Bind it to :${port}, or forward that port to it.`;
