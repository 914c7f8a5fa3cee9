/**
 * Rule: one row of the HTTP/2 conformance suite: what a client sends and what must come back.
 *
 * rule   stricter than the RFC where it leaves a choice and a proxy has no reason for one: a connection error is a
 *        GOAWAY with its code and then the end of the connection; after a stream error the connection still works
 */
import { CODE, type FieldList, ping } from "../support/h2-frames.ts";
import { type H2Peer, isPingAck } from "../support/h2-peer.ts";

export interface Rule {
  /** Of RFC 9113, unless it says otherwise. */
  readonly section: string;
  readonly rule: string;
  /** Settings that the client begins with. */
  readonly settings?: readonly (readonly [id: number, value: number])[];
  /** False: the connection is made and nothing is sent yet. */
  readonly begins?: false;
  /** Sends, and may wait in between. */
  readonly act: (peer: H2Peer) => void | Promise<void>;
  readonly outcome: Outcome;
}

/** Waits for what must come, and throws when something else does. */
export type Outcome = (peer: H2Peer) => Promise<void>;

/** What the origin behind the server under test answers every request with. */
export const BODY = "a small body, which is told in one piece";

const nameOf = (code: number | undefined) =>
  Object.entries(CODE).find(([, value]) => value === code)?.[0] ?? String(code);
const namesOf = (codes: readonly number[]) => codes.map(nameOf).join(" or ");

function demand(isTrue: boolean, what: string, peer: H2Peer): void {
  if (!isTrue) throw new Error(`${what}; came: ${peer.story()}`);
}

/** A small GET; more fields follow the pseudo-header fields. */
export function get(peer: H2Peer, ...more: FieldList): FieldList {
  return [...pseudo(peer, "GET"), ...more];
}

export function requestTo(peer: H2Peer, path: string, method = "GET"): FieldList {
  return pseudo(peer, method).map(([name, value]) => [name, name === ":path" ? path : value]);
}

export function post(peer: H2Peer, ...more: FieldList): FieldList {
  return [...pseudo(peer, "POST"), ...more];
}

/** The pseudo-header fields of a request; `without` leaves one of them out. */
export function pseudo(peer: H2Peer, method: string, without = ""): FieldList {
  const fields: FieldList = [
    [":method", method],
    [":scheme", peer.scheme],
    [":path", "/"],
    [":authority", "a.test"],
  ];
  return fields.filter(([name]) => name !== without);
}

/** A GOAWAY with one of these codes, then the end of the connection. */
export function connectionError(...codes: readonly number[]): Outcome {
  return async (peer) => {
    const what = `a connection error ${namesOf(codes)}`;
    await peer.until(() => peer.goawayCode !== undefined || peer.isClosed, what);
    demand(codes.includes(peer.goawayCode ?? -1), `no GOAWAY with ${namesOf(codes)}`, peer);
    await peer.until(() => peer.isClosed, `${what} to end the connection`);
  };
}

/** The stream is reset with one of these codes, and the connection goes on. */
export function streamError(stream: number, ...codes: readonly number[]): Outcome {
  return async (peer) => {
    const isThere = () =>
      peer.resetCode(stream) !== undefined || peer.goawayCode !== undefined || peer.isClosed;
    await peer.until(isThere, `stream ${stream} to be reset with ${namesOf(codes)}`);
    demand(codes.includes(peer.resetCode(stream) ?? -1), `no RST_STREAM with ${namesOf(codes)}`, peer);
    await isAlive(peer);
  };
}

/** One or the other: what a server that has forgotten the stream may do. */
export function anyError(stream: number, ...codes: readonly number[]): Outcome {
  return async (peer) => {
    const isThere = () =>
      [peer.resetCode(stream), peer.goawayCode].some((code) => codes.includes(code ?? -1));
    await peer.until(() => isThere() || peer.isClosed, `an error ${namesOf(codes)}`);
    demand(isThere(), `no error ${namesOf(codes)}`, peer);
  };
}

/** The whole answer of the origin comes on this stream. */
export function answered(stream: number, status = 200, body = status === 200 ? BODY : undefined): Outcome {
  return async (peer) => {
    await peer.until(() => peer.isEnded(stream) || peer.isClosed, `an answer on stream ${stream}`);
    const found = peer.body(stream).toString("latin1");
    demand(peer.status(stream) === status, `status ${peer.status(stream)}, not ${status}`, peer);
    demand(body === undefined || found === body, `body ${JSON.stringify(found)}`, peer);
    demand(peer.goawayCode === undefined, "the connection was given up", peer);
  };
}

/** A PING sent now is answered: all before it was taken without an error. */
export const isAlive: Outcome = async (peer) => {
  const before = peer.count(isPingAck);
  peer.send(ping("alive?!?"));
  await peer.until(() => peer.count(isPingAck) > before || peer.isClosed, "PING to be answered");
  demand(peer.count(isPingAck) > before && peer.goawayCode === undefined, "the connection has ended", peer);
};

/** The connection ends; nothing need be said before. */
export const isClosed: Outcome = (peer) => peer.until(() => peer.isClosed, "the connection to end");
