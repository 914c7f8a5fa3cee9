/**
 * Serve: a file answers, in the place of an endpoint.
 *
 * why    once opened, a file is one more source of a response: it is paused, resumed and cancelled like an
 *        upstream, so answer and relay know nothing of files
 * cost   one small read before the head, so that a small file leaves in one write
 */
import { BODY_LENGTH, BODY_NONE } from "../core/body.ts";
import { fail } from "../core/failure.ts";
import { fieldsOfLines } from "../core/fields.ts";
import { reasonOf } from "../protocol/reasons.table.ts";
import type { Upstream, UpstreamEvents } from "../session/exchange.ts";
import { readClock } from "../transport/clock.ts";
import { type FileAnswer, openFile } from "./files.ts";
import { type NextOf, type PhaseName, WAIT } from "./phases.table.ts";
import type { Planned, Route } from "./plan.ts";

type Resume = (exchange: Planned, phase: PhaseName) => void;

export function serve(exchange: Planned, resume: Resume): NextOf<"serve"> {
  open(exchange, resume).catch((defect: unknown) => {
    readClock();
    exchange.plan.services.report(`files: ${String(defect)}`);
    exchange.failure = fail("internal", String(defect));
    resume(exchange, "answer");
  });
  return WAIT;
}

async function open(exchange: Planned, resume: Resume): Promise<void> {
  const route = exchange.plan.route as Route;
  if (route.action.kind !== "files") throw new Error("not a files route");
  const path = route.rewrite === undefined ? exchange.path : route.rewrite(exchange.path);
  const file = await openFile(route.action, path, exchange);
  readClock();
  if ("code" in file) {
    exchange.failure = file;
    resume(exchange, "answer");
    return;
  }
  const hasBody = exchange.method !== "HEAD" && file.length > 0;
  const first = hasBody ? await file.read() : undefined;
  readClock();
  if (exchange.isOver) {
    file.close();
    return;
  }
  describe(exchange, file, hasBody);
  exchange.first = first;
  exchange.firstStart = 0;
  exchange.firstEnd = first?.length ?? 0;
  exchange.plan.isEnd = !hasBody || first?.length === file.length;
  const flow = new FileFlow(exchange, file, file.length - (first?.length ?? 0));
  if (exchange.plan.isEnd) file.close();
  else exchange.upstream = flow;
  resume(exchange, "answer");
  if (!exchange.plan.isEnd) flow.go();
}

function describe(exchange: Planned, file: FileAnswer, hasBody: boolean): void {
  exchange.status = file.status;
  exchange.reason = reasonOf(file.status);
  exchange.responseFields = fieldsOfLines(file.lines);
  exchange.responseBodyKind = hasBody ? BODY_LENGTH : BODY_NONE;
  exchange.responseBodyLength = file.status === 304 ? -1 : file.length;
}

/** A file on its way out: at most one piece is read ahead of the client. */
class FileFlow implements Upstream {
  readonly #exchange: Planned;
  readonly #file: FileAnswer;
  readonly #events: UpstreamEvents | undefined;
  #leftBytes: number;
  #isPaused = false;
  #isReading = false;
  #isOver = false;

  constructor(exchange: Planned, file: FileAnswer, leftBytes: number) {
    this.#exchange = exchange;
    this.#file = file;
    this.#leftBytes = leftBytes;
    this.#events = exchange.plan.services.events;
  }

  go(): void {
    if (this.#isReading || this.#isPaused || this.#isOver) return;
    this.#isReading = true;
    this.#read().catch((error: unknown) => this.#fail(String(error)));
  }

  async #read(): Promise<void> {
    while (!this.#isPaused && !this.#isOver) {
      const piece = await this.#file.read();
      readClock();
      if (this.#isOver) break;
      if (piece === undefined) throw new Error("the file became shorter");
      this.#leftBytes -= piece.length;
      this.#events?.responseBody(this.#exchange, piece);
      if (this.#leftBytes === 0) this.#finish();
    }
    this.#isReading = false;
  }

  #finish(): void {
    this.#end();
    this.#events?.responseEnd(this.#exchange, "");
  }

  #fail(detail: string): void {
    readClock();
    if (this.#isOver) return;
    this.#end();
    this.#events?.upstreamFailed(this.#exchange, fail("upstream_cut", detail));
  }

  #end(): void {
    this.#isOver = true;
    this.#exchange.upstream = undefined;
    this.#file.close();
  }

  sendBody(): boolean {
    return true; // a GET's body has no meaning for a file
  }

  sendEnd(): void {
    // nothing was waiting for it
  }

  pauseResponse(): void {
    this.#isPaused = true;
  }

  resumeResponse(): void {
    this.#isPaused = false;
    this.go();
  }

  cancel(): void {
    this.#isOver = true;
    this.#file.close();
  }
}
