/**
 * Head writer: the only place that says heads in HTTP/2.
 *
 * why    as in HTTP/1: framing and connection fields are never copied from what the other side said
 * in     parts that are already legal; names in any case, which HTTP/2 wants in lower case
 * out    one header block, without its frame, appended to an Out
 * spec   RFC 9113 §8.2, §8.3; RFC 8441 §4
 */
import { BODY_LENGTH } from "../../core/body.ts";
import { ID_DROPPED } from "../../core/field-names.table.ts";
import { fieldIdOf, fieldMask } from "../../core/field-names.ts";
import { Fields, markLines } from "../../core/fields.ts";
import type { Out } from "../../core/out.ts";
import { OWN_FIELDS, type RequestToWrite, type ResponseToWrite } from "../h1/writer.ts";
import { HpackEncoder } from "../hpack/encoder.ts";
import {
  CODE_AUTHORITY,
  CODE_METHOD,
  CODE_PATH,
  CODE_PROTOCOL,
  CODE_SCHEME,
  CODE_STATUS,
} from "../hpack/known-names.ts";
import { LinesMemo } from "./lines-memo.ts";

/** A request as decided, in the words of HTTP/2. */
export interface H2RequestToWrite extends RequestToWrite {
  readonly scheme: string;
  /** As `authorityOf` says; "" = none is sent. */
  readonly authority: string;
  /** `:protocol` of an extended CONNECT, or "". */
  readonly protocol: string;
  /** The client takes trailers: the endpoint is told so. */
  readonly takesTrailers: boolean;
}

const CONTENT_LENGTH = fieldIdOf("content-length");
const HOST = fieldIdOf("host");
const HOST_MASK = fieldMask("host");
const OWN_LOW = OWN_FIELDS.low;
const OWN_HIGH = OWN_FIELDS.high | (1 << (ID_DROPPED - 32));
const TE_TRAILERS = new Fields();
markLines(TE_TRAILERS, Buffer.from("te: trailers\r\n", "latin1"), 14);
const HOST_LINE = /^host: *([^\r]*)\r$/im;

/** One for the process: lines mean the same on every connection. */
const LINES = new LinesMemo();

/** Whom a request asks: the Host line that the pipeline added, else the field; "" when there is neither. */
export function authorityOf(request: RequestToWrite): string {
  const { upstreamAdded, requestFields } = request;
  return hostIn(upstreamAdded) ?? hostIn(requestFields.added) ?? requestFields.get(HOST) ?? "";
}

function hostIn(lines: string): string | undefined {
  if (lines === "") return undefined;
  if (lines.startsWith("Host: ")) return lines.slice(6, lines.indexOf("\r"));
  return HOST_LINE.exec(lines)?.[1];
}

export class HeadWriter {
  readonly #encoder = new HpackEncoder();

  /** The peer's SETTINGS_HEADER_TABLE_SIZE: the next block says what became of it. */
  setTableBytes(bytes: number): void {
    this.#encoder.setTableBytes(bytes);
  }

  /** A final response; its length is declared when it is known. */
  response(out: Out, response: ResponseToWrite): void {
    const encoder = this.#encoder;
    encoder.start(out);
    encoder.text(out, CODE_STATUS, statusText(response.sentStatus));
    this.#fields(out, response.responseFields, OWN_LOW, OWN_HIGH);
    if (response.sentAdded !== "") this.#lines(out, response.sentAdded, OWN_LOW);
    if (response.sentBodyLength >= 0) encoder.number(out, CONTENT_LENGTH, response.sentBodyLength);
    encoder.end();
  }

  /** A 1xx response. */
  interim(out: Out, status: number, lines: string): void {
    this.#encoder.start(out);
    this.#encoder.text(out, CODE_STATUS, statusText(status));
    if (lines !== "") this.#lines(out, lines, OWN_LOW);
  }

  request(out: Out, request: H2RequestToWrite): void {
    const encoder = this.#encoder;
    // what changes with every request goes to an endpoint that is near: plain bytes cost less than the code
    encoder.isThrifty = false;
    encoder.start(out);
    encoder.text(out, CODE_METHOD, request.upstreamMethod);
    encoder.text(out, CODE_SCHEME, request.scheme);
    if (request.authority !== "") encoder.text(out, CODE_AUTHORITY, request.authority);
    encoder.text(out, CODE_PATH, request.upstreamTarget);
    if (request.protocol !== "") encoder.text(out, CODE_PROTOCOL, request.protocol);
    const low = OWN_LOW | HOST_MASK.low;
    const { requestFields, upstreamDropLow, upstreamDropHigh, upstreamAdded, upstreamIdLines } = request;
    this.#fields(out, requestFields, low | upstreamDropLow, OWN_HIGH | upstreamDropHigh);
    if (upstreamAdded !== "") this.#lines(out, upstreamAdded, low);
    if (upstreamIdLines !== "") this.#once(out, upstreamIdLines);
    if (request.takesTrailers) encoder.field(out, TE_TRAILERS, 0);
    if (request.requestBodyKind === BODY_LENGTH) {
      encoder.number(out, CONTENT_LENGTH, request.requestBodyLength);
    }
    encoder.end();
  }

  trailers(out: Out, lines: string): void {
    this.#encoder.start(out);
    if (lines !== "") this.#lines(out, lines, OWN_LOW);
  }

  /** All fields but those in the mask, then those added to them. */
  #fields(out: Out, fields: Fields, low: number, high: number): void {
    this.#known(out, fields, low, high);
    if (fields.added !== "") this.#lines(out, fields.added, low & (OWN_LOW | HOST_MASK.low));
  }

  #known(out: Out, fields: Fields, low: number, high: number): void {
    const encoder = this.#encoder;
    const { count } = fields;
    for (let index = 0; index < count; index++) {
      const id = fields.idAt(index);
      if (((id < 32 ? low >>> id : high >>> (id - 32)) & 1) === 0) encoder.field(out, fields, index);
    }
  }

  /** Lines that are likely to come again. */
  #lines(out: Out, lines: string, low: number): void {
    this.#known(out, LINES.fieldsOf(lines), low, OWN_HIGH);
  }

  /** Lines that never come again. */
  #once(out: Out, lines: string): void {
    this.#known(out, LINES.readOnce(lines), OWN_LOW, OWN_HIGH);
  }
}

/** Texts of all statuses there can be, made once each. */
const STATUS_TEXTS: string[] = [];

function statusText(status: number): string {
  STATUS_TEXTS[status] ??= String(status);
  return STATUS_TEXTS[status];
}
