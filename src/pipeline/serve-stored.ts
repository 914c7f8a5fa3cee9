/**
 * Serve stored: hands a stored response to an exchange, also when its body or the response itself has to be read first.
 */
import type { BodyReader, CacheStore } from "../cache/store.ts";
import type { StoredResponse } from "../cache/stored.ts";
import { clock, readClock } from "../transport/clock.ts";
import { findForm, fitting, formFor } from "./coded-forms.ts";
import { FileSource, openBody } from "./file-source.ts";
import type { Wish } from "./form-wish.ts";
import { type NextOf, WAIT } from "./phases.table.ts";
import type { Planned, Route } from "./plan.ts";
import { answerStored, isLacking } from "./stored-answer.ts";

type Next = NextOf<"lookup">;

/** Milliseconds since the epoch, as of this event. */
export function wallOf({ plan }: Planned): number {
  return plan.services.epochMs + clock.nowMs;
}

/** in  `gone`: what to do when its body is not in the store any more, or it is a part and has not what is asked for */
export function serveStored(
  exchange: Planned,
  store: CacheStore,
  stored: StoredResponse,
  gone: () => Next,
): Next {
  if (isLacking(exchange, stored, wallOf(exchange))) return gone();
  const { compress } = exchange.plan.route as Route;
  const wish = compress === undefined ? stored : formFor(exchange, store, stored, compress);
  if (!("form" in wish)) return serveBody(exchange, store, wish, gone);
  const form = findForm(wish, wallOf(exchange));
  if (form === undefined || !("isCold" in form)) return serveForm(wish, form, gone);
  return later(exchange, store.read(form), (read) => serveForm(wish, fitting(wish, read), gone));
}

/** The form that the client likes best, or else the response as it is. */
function serveForm(
  { exchange, store, stored }: Wish,
  form: StoredResponse | undefined,
  gone: () => Next,
): Next {
  if (form === undefined) return serveBody(exchange, store, stored, gone);
  return serveBody(exchange, store, form, () => {
    exchange.plan.isSettled = false;
    return serveBody(exchange, store, stored, gone);
  });
}

function serveBody(exchange: Planned, store: CacheStore, stored: StoredResponse, gone: () => Next): Next {
  if (answerStored(exchange, stored, undefined, wallOf(exchange))) return "answer";
  if (stored.file === undefined) throw new Error(`a stored response without its body: ${stored.key}`);
  const begin = (reader: BodyReader | undefined) => {
    if (reader === undefined) return gone();
    answerStored(exchange, stored, new FileSource(reader), wallOf(exchange));
    return "answer";
  };
  return later(exchange, openBody(store, stored.key, stored.file), begin, (reader) => reader?.close());
}

/**
 * Goes on when the store has answered; what goes wrong there is a miss, not a failure.
 * in     `drop`: what to do with it when the exchange has had another end meanwhile
 */
export function later<T>(
  exchange: Planned,
  answer: Promise<T | undefined>,
  act: (it: T | undefined) => Next,
  drop?: (it: T | undefined) => void,
): typeof WAIT {
  const { services } = exchange.plan;
  const goOn = (it: T | undefined) => {
    readClock();
    if (exchange.isOver || exchange.failure !== undefined) {
      drop?.(it);
      return;
    }
    const next = act(it);
    if (next !== WAIT) services.resume(exchange, next);
  };
  answer.then(goOn, (defect: unknown) => {
    services.report(`cache: ${String(defect)}`);
    goOn(undefined);
  });
  return WAIT;
}
