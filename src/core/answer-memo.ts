/**
 * Answer memo: the bytes of an answer that goes out many times exactly alike.
 *
 * why    a hot response of the cache is the same for all its clients within a second: to write it down once is enough
 * rule   whoever hands out an exchange with a memo promises that every exchange with that memo has the same answer; a
 *        session keeps there what it made of it, and nobody changes the bytes
 */
export interface AnswerMemo {
  /** It has gone out once: the next time is worth keeping. */
  isKnown: boolean;
  /** Head and body as HTTP/1.1 sends them on a connection that stays open. */
  h1: Buffer | undefined;
}

export const newMemo = (): AnswerMemo => ({ isKnown: false, h1: undefined });
