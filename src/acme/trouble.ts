/**
 * Trouble: why a certificate could not be had, as data.
 *
 * why    an order has a dozen steps and all of them fail alike: within this folder trouble is thrown, and caught in
 *        one place (`issue.ts`), where it becomes what the log says, when the next try is due, and which authority
 *        is asked next
 */
// biome-ignore format: a table is read by columns
const ROWS = {
  // kind                what it means
  network:             "the authority cannot be reached",
  late:                "the authority, or a step of ours, took too long",
  server:              "the authority has a fault of its own",
  rate_limited:        "the authority refuses for now: too many requests or certificates",
  account:             "the authority refuses the account",
  rejected:            "the authority could not verify that the name is ours, or refuses the name",
  protocol:            "the authority answered with something that is not ACME",
  challenge:           "the proof that the authority asks for could not be put in place",
  certificate:         "the certificate that came is not the one that was ordered",
  storage:             "the storage folder cannot be read or written",
} as const;

export type TroubleKind = keyof typeof ROWS;

export interface TroubleMore {
  readonly retryAfterMs?: number;
  readonly type?: string;
  /** Authority that it is with. */
  readonly from?: string;
}

export class Trouble extends Error {
  readonly kind: TroubleKind;
  /** What was seen, without the kind's own words. */
  readonly detail: string;
  /** How long the authority asks us to stay away; 0 = it did not say. */
  readonly retryAfterMs: number;
  /** Error type of RFC 8555 §6.7 without its prefix, such as `badNonce`; "" = none. */
  readonly type: string;

  constructor(kind: TroubleKind, detail: string, more: TroubleMore = {}) {
    const from = more.from === undefined ? "" : `${more.from}: `;
    super(`${from}${ROWS[kind]}${detail === "" ? "" : `: ${detail}`}`);
    this.kind = kind;
    this.detail = detail;
    this.retryAfterMs = more.retryAfterMs ?? 0;
    this.type = more.type ?? "";
  }
}

/** Takes anything thrown for trouble; what is none is a defect of ours and keeps its text. */
export function troubleOf(thrown: unknown): Trouble {
  if (thrown instanceof Trouble) return thrown;
  return new Trouble("protocol", thrown instanceof Error ? thrown.message : String(thrown));
}
