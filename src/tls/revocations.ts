/**
 * Revocations: is a file of certificate revocation lists sound, and until when does it hold?
 *
 * why    a list whose next one is overdue makes every client certificate unverifiable: that is to be told before
 *        clients tell it. Who is revoked is read by workers' TLS library, not here
 * how    walks the first few elements of each list; the runtime has no reader of lists
 * spec   RFC 5280 §5.1 (CertificateList), X.690 §8.1 (DER)
 */
import type { Flaw } from "./certificate.ts";

const LIST = /-----BEGIN X509 CRL-----([^-]+)-----END X509 CRL-----/g;
const INTEGER = 0x02;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;
const SEQUENCE = 0x30;
/** A year is `YY` in a UTCTime: 50 and up is the last century (RFC 5280 §4.1.2.5.1). */
const CENTURY_TURN = 50;

/** out  when the first of the lists is due to be replaced; Infinity when none says so; or what is wrong */
export function readRevocations(pem: string): number | Flaw {
  const lists = [...pem.matchAll(LIST)];
  if (lists.length === 0) {
    const hint = "It must have -----BEGIN X509 CRL----- in it; openssl crl -inform DER makes PEM of DER.";
    return { message: "there is no PEM revocation list in it", hint };
  }
  let dueMs = Number.POSITIVE_INFINITY;
  for (const [index, [, text = ""]] of lists.entries()) {
    const listDueMs = nextUpdateOf(Buffer.from(text, "base64"));
    if (listDueMs === undefined) {
      const hint = "Fetch it again from the authority.";
      return { message: `revocation list ${index + 1} in it is damaged`, hint };
    }
    dueMs = Math.min(dueMs, listDueMs);
  }
  return dueMs;
}

/** What time makes of lists that are due then. */
export function revocationsFlaw(dueMs: number, nowMs: number): Flaw | undefined {
  if (nowMs < dueMs) return undefined;
  const message = `the revocation list was to be replaced by ${new Date(dueMs).toISOString().slice(0, 10)}`;
  return { message, hint: "Client certificates cannot be verified with it: fetch the next one." };
}

interface Element {
  readonly tag: number;
  /** Of its contents, and where they end: the next element begins there. */
  readonly start: number;
  readonly end: number;
}

/** tbsCertList: version?, signature, issuer, thisUpdate, nextUpdate?, … */
function nextUpdateOf(der: Buffer): number | undefined {
  const list = elementAt(der, 0, der.length);
  if (list?.tag !== SEQUENCE || list.end !== der.length) return undefined;
  const body = elementAt(der, list.start, list.end);
  if (body?.tag !== SEQUENCE) return undefined;
  const next = (at: number) => elementAt(der, at, body.end);
  let element = next(body.start);
  if (element?.tag === INTEGER) element = next(element.end);
  const issuer = element?.tag === SEQUENCE ? next(element.end) : undefined;
  const thisUpdate = issuer?.tag === SEQUENCE ? next(issuer.end) : undefined;
  if (thisUpdate === undefined || timeOf(der, thisUpdate) === undefined) return undefined;
  const nextUpdate = next(thisUpdate.end);
  const isTold = nextUpdate?.tag === UTC_TIME || nextUpdate?.tag === GENERALIZED_TIME;
  return isTold ? timeOf(der, nextUpdate) : Number.POSITIVE_INFINITY;
}

/** out  undefined when it does not lie whole before `limit` */
function elementAt(der: Buffer, at: number, limit: number): Element | undefined {
  const tag = der[at];
  const first = der[at + 1];
  if (tag === undefined || first === undefined) return undefined;
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  const start = at + 2 + lengthBytes;
  if (first === 0x80 || lengthBytes > 4 || start > limit) return undefined;
  const length = lengthBytes === 0 ? first : der.readUIntBE(at + 2, lengthBytes);
  return start + length > limit ? undefined : { tag, start, end: start + length };
}

/** `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`, as RFC 5280 §5.1.2.4 wants them. */
function timeOf(der: Buffer, { tag, start, end }: Element): number | undefined {
  const written = der.toString("latin1", start, end);
  const isShort = tag === UTC_TIME;
  const century = Number(written.slice(0, 2)) >= CENTURY_TURN ? "19" : "20";
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(isShort ? century + written : written);
  if (parts === null || (!isShort && tag !== GENERALIZED_TIME)) return undefined;
  const [, year, month, day, hour, minute, second] = parts;
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(ms) ? undefined : ms;
}
