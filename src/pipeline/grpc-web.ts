/**
 * gRPC-Web: a browser's call becomes a gRPC call at an endpoint that speaks HTTP/2, and its answer comes back.
 *
 * why    browsers cannot read trailers, which hold the outcome of a call: gRPC-Web has them as a last frame of the body
 * in     requests of type `application/grpc-web`, or `application/grpc-web-text`, whose bodies are in base64 both ways
 * out    the same messages under `application/grpc`; an answer that is no gRPC passes as it came
 * rule   only where the upstream is `h2` or `h2c`: an endpoint with HTTP/1 that is sent gRPC-Web understands it
 * cost   a frame header and the trailers; in base64 one copy of every piece
 * spec   gRPC Web (PROTOCOL-WEB.md)
 */
import { BODY_NONE, BODY_STREAM, LENGTH_UNKNOWN } from "../core/body.ts";
import { fieldIdOf, fieldMask } from "../core/field-names.ts";
import type { Fields } from "../core/fields.ts";
import type { Exchange } from "../session/exchange.ts";

const CONTENT_TYPE = fieldIdOf("content-type");
const CONTENT_TYPE_MASK = fieldMask("content-type");
const WEB_TYPE = /^application\/grpc-web(-text)?(\+[\w.-]+)?\s*(?:;|$)/i;
const GRPC_TYPE = /^application\/grpc(\+[\w.-]+)?\s*(?:;|$)/i;

/** Flag of the frame that holds trailers. */
const TRAILERS_FLAG = 0x80;
const FRAME_HEAD_BYTES = 5;
const QUAD = 4;

/** The type that a gRPC-Web client reads answers in, or undefined for any other client. */
export function grpcWebType(fields: Fields): string | undefined {
  const found = WEB_TYPE.exec(fields.get(CONTENT_TYPE) ?? "");
  return found === null
    ? undefined
    : `application/grpc-web${found[1] ?? ""}${found[2] ?? "+proto"}`.toLowerCase();
}

/** Both directions of one call. */
export class GrpcWeb {
  readonly #type: string;
  readonly #isText: boolean;
  /** Base64 that is no whole quad yet. */
  #rest = "";
  /** The answer is one of gRPC: its end is told in a frame. */
  isAnswered = false;

  constructor(type: string) {
    this.#type = type;
    this.#isText = type.startsWith("application/grpc-web-text");
  }

  /** Makes the request one of gRPC. out  field lines to add */
  compose(exchange: Exchange): string {
    exchange.requestFields.drop("x-grpc-web");
    exchange.upstreamDropHigh |= CONTENT_TYPE_MASK.high;
    exchange.takesTrailers = true;
    if (this.#isText && exchange.requestBodyKind !== BODY_NONE) {
      exchange.requestBodyKind = BODY_STREAM;
      exchange.requestBodyLength = LENGTH_UNKNOWN;
    }
    return `content-type: ${this.#type.replace(/^application\/grpc-web(?:-text)?/, "application/grpc")}\r\n`;
  }

  /** Body bytes for the endpoint. */
  request(bytes: Buffer): Buffer {
    if (!this.#isText) return bytes;
    const text = this.#rest + bytes.latin1Slice();
    const whole = text.length - (text.length % QUAD);
    this.#rest = text.slice(whole);
    return decodeQuads(text.slice(0, whole));
  }

  /** The response head: its type, and the body bytes that came with it. */
  answer(exchange: Exchange): void {
    const { responseFields: fields, first, firstStart, firstEnd } = exchange;
    if (!GRPC_TYPE.test(fields.get(CONTENT_TYPE) ?? "")) return;
    this.isAnswered = true;
    fields.drop("content-type");
    fields.add("content-type", this.#type);
    if (exchange.responseBodyKind !== BODY_NONE) exchange.responseBodyKind = BODY_STREAM;
    exchange.responseBodyLength = exchange.responseBodyKind === BODY_NONE ? 0 : LENGTH_UNKNOWN;
    if (first === undefined || !this.#isText) return;
    exchange.first = this.response(first.subarray(firstStart, firstEnd));
    exchange.firstStart = 0;
    exchange.firstEnd = exchange.first.length;
  }

  /** Body bytes for the client. Each piece is base64 of its own, with its padding: a message must not wait for the next. */
  response(bytes: Buffer): Buffer {
    if (!this.isAnswered || !this.#isText) return bytes;
    return Buffer.from(bytes.toString("base64"), "latin1");
  }

  /** The last frame: trailers as field lines, names in lower case. */
  end(trailers: string): Buffer {
    const lines = trailers.replace(/^[^:\r\n]+/gm, (name) => name.toLowerCase());
    const frame = Buffer.alloc(FRAME_HEAD_BYTES + lines.length);
    frame[0] = TRAILERS_FLAG;
    frame.writeUInt32BE(lines.length, 1);
    frame.latin1Write(lines, FRAME_HEAD_BYTES);
    return this.response(frame);
  }
}

/** Base64 in which padding may stand anywhere between quads, as clients join pieces. */
function decodeQuads(text: string): Buffer {
  if (!text.includes("=")) return Buffer.from(text, "base64");
  return Buffer.concat((text.match(/[^=]+=*/g) ?? []).map((piece) => Buffer.from(piece, "base64")));
}
