/**
 * gRPC check: asks the health service of gRPC, as `grpc_health_probe` and Kubernetes do.
 *
 * rule   fit is SERVING and nothing else; a server without the service is not fit, since nobody knows
 * spec   grpc.health.v1 (gRPC "Health Checking Protocol"), gRPC over HTTP/2
 */
import { BODY_STREAM, LENGTH_UNKNOWN } from "../core/body.ts";
import { Fields, pairsOfLines } from "../core/fields.ts";
import { errorName } from "../protocol/h2/codes.table.ts";
import { H2Connection } from "../protocol/h2/connection.ts";
import type { Head } from "../protocol/h2/head.ts";
import type { H2Events, H2Settings } from "../protocol/h2/link.ts";
import type { H2Stream } from "../protocol/h2/stream.ts";
import type { Talk } from "./conversation.ts";
import { type CheckOutcome, excerpt, failed, passed } from "./outcome.ts";

const PATH = "/grpc.health.v1.Health/Check";
const SETTINGS: H2Settings = {
  maxStreams: 1,
  streamWindowBytes: 65_535,
  connectionWindowBytes: 65_535,
  headBytes: 32 * 1024,
  fields: 100,
  extendedConnect: false,
};
/** A health answer has two bytes; one of more than this is none. */
const MAX_ANSWER_BYTES = 4096;
const STATUSES = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
const SERVING = 1;
const UNIMPLEMENTED = "12";

export interface GrpcQuestion {
  /** "" = the server as a whole. */
  readonly service: string;
  readonly authority: string;
  readonly scheme: "http" | "https";
  readonly timeoutMs: number;
}

export class GrpcTalk implements Talk, H2Events {
  readonly #question: GrpcQuestion;
  readonly #connection = new H2Connection("client", SETTINGS, this);
  #say: (bytes: Uint8Array) => void = () => {};
  #outcome: CheckOutcome | undefined;
  #heard: Buffer = Buffer.alloc(0);

  constructor(question: GrpcQuestion) {
    this.#question = question;
  }

  begin(say: (bytes: Uint8Array) => void, protocol: string): CheckOutcome | undefined {
    this.#say = say;
    const { scheme, authority, service, timeoutMs } = this.#question;
    if (scheme === "https" && protocol !== "h2")
      return failed("check_tls", "the endpoint does not offer HTTP/2");
    const connection = this.#connection;
    connection.start();
    const stream = connection.openStream(undefined);
    if (stream === undefined) return failed("check_answer", "no stream could be opened");
    const request = {
      upstreamMethod: "POST",
      upstreamTarget: PATH,
      requestFields: new Fields(),
      upstreamDropLow: 0,
      upstreamDropHigh: 0,
      upstreamAdded: "",
      upstreamIdLines: `content-type: application/grpc\r\nuser-agent: weir-check\r\ngrpc-timeout: ${timeoutMs}m\r\n`,
      requestBodyKind: BODY_STREAM,
      requestBodyLength: LENGTH_UNKNOWN,
      upgrade: "",
      scheme,
      authority,
      protocol: "",
      takesTrailers: true,
    } as const;
    connection.sendRequest(stream, request, false);
    connection.sendData(stream, requestMessage(service), true);
    this.#flush();
    return undefined;
  }

  hear(bytes: Buffer): CheckOutcome | undefined {
    this.#connection.feed(bytes, performance.now());
    this.#flush();
    const { failure } = this.#connection;
    if (this.#outcome === undefined && failure !== undefined) {
      return failed("check_answer", `not an HTTP/2 answer: ${failure.detail}`);
    }
    return this.#outcome;
  }

  end(): CheckOutcome {
    return failed("check_answer", "closed without an answer");
  }

  #flush(): void {
    const connection = this.#connection;
    for (connection.pump(); connection.hasOutput; connection.pump()) {
      const { bytes, length } = connection.out;
      this.#say(Buffer.from(bytes.subarray(0, length))); // the memory behind is given back
      connection.outputDone();
    }
  }

  onHead(_stream: H2Stream, head: Head, isEnd: boolean): void {
    const { status, fields, malformed } = head;
    if (status >= 200 && status !== 200) this.#settle(failed("check_status", `HTTP ${status}, not gRPC`));
    else if (malformed !== "") this.#settle(failed("check_answer", `malformed answer: ${malformed}`));
    else if (isEnd) this.#judge(fields.find("grpc-status"), fields.find("grpc-message"));
    this.#connection.releaseHead(head);
  }

  onBody(stream: H2Stream, bytes: Buffer, isEnd: boolean): void {
    this.#heard = Buffer.concat([this.#heard, bytes]);
    this.#connection.consumed(stream, bytes.length);
    if (this.#heard.length > MAX_ANSWER_BYTES) this.#settle(failed("check_answer", "the answer is too long"));
    else if (isEnd) this.#judge(undefined, undefined);
  }

  onTrailers(_stream: H2Stream, lines: string): void {
    const trailers = new Map(pairsOfLines(lines).map(([name, value]) => [name.toLowerCase(), value]));
    this.#judge(trailers.get("grpc-status"), trailers.get("grpc-message"));
  }

  onReset(_stream: H2Stream, code: number): void {
    this.#settle(failed("check_answer", `the stream was reset: ${errorName(code)}`));
  }

  onWritable(): void {
    // the request fits into the first window
  }

  onRefused(): void {
    // told to servers
  }

  onGoaway(lastStreamId: number, code: number): void {
    if (lastStreamId === 0) this.#settle(failed("check_answer", `GOAWAY ${errorName(code)}`));
  }

  onSettings(): void {
    // one stream is always allowed, or it is refused
  }

  prioritise(stream: H2Stream): void {
    stream.urgency = 0;
  }

  #judge(status: string | undefined, message: string | undefined): void {
    if (status === UNIMPLEMENTED) {
      this.#settle(failed("check_answer", "the endpoint has no health service (gRPC status 12)"));
    } else if (status !== "0") {
      const said = message === undefined || message === "" ? "" : `: ${excerpt(decoded(message))}`;
      this.#settle(failed("check_answer", `gRPC status ${status ?? "missing"}${said}`));
    } else this.#judgeMessage();
  }

  #judgeMessage(): void {
    const number = servingStatus(this.#heard);
    const name =
      number === undefined ? "an answer that cannot be read" : (STATUSES[number] ?? `status ${number}`);
    this.#settle(number === SERVING ? passed(name) : failed("check_answer", name));
  }

  #settle(outcome: CheckOutcome): void {
    this.#outcome ??= outcome;
  }
}

/** Status-Message is percent-encoded; one that is not well encoded is shown as it is. */
function decoded(message: string): string {
  try {
    return decodeURIComponent(message);
  } catch {
    return message;
  }
}

/** HealthCheckRequest { string service = 1 } behind a gRPC prefix: not compressed, length. */
export function requestMessage(service: string): Buffer {
  const name = Buffer.from(service);
  const message =
    name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, ...varint(name.length)]), name]);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

/** HealthCheckResponse { ServingStatus status = 1 }. out  undefined when it is none */
export function servingStatus(heard: Buffer): number | undefined {
  if (heard.length < 5 || heard[0] !== 0 || heard.readUInt32BE(1) !== heard.length - 5) return undefined;
  if (heard.length === 5) return 0; // proto3 leaves out what is 0
  const isShort = heard.length === 7 && heard[5] === 0x08 && (heard[6] as number) < 0x80;
  return isShort ? heard[6] : undefined;
}
