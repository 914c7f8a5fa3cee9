/**
 * Flusher: HTTP/2 connections with something to send are written once a turn of the event loop.
 *
 * why    the answers of many streams come from many sockets in one turn: one write, and one TLS record, carries them all
 * cost   one callback a turn, however many connections wait
 */

export interface Flushable {
  /** Writes what was gathered. */
  flush(): void;
}

let waiting: Flushable[] = [];
/** The list of the turn before, used again. */
let spare: Flushable[] = [];

/** Has `flush` called at the end of this turn; the caller sees to it that it asks once. */
export function flushSoon(connection: Flushable): void {
  if (waiting.push(connection) === 1) setImmediate(flushAll);
}

function flushAll(): void {
  const due = waiting;
  waiting = spare; // what is asked for from here on belongs to the next turn
  for (const connection of due) connection.flush();
  due.length = 0;
  spare = due;
}
