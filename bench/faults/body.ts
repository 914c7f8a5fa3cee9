/**
 * Body: what an endpoint answers a request with, so that whoever asked can check every byte of it.
 */
export const BODY_BYTES = 1024;
const FILLER = Buffer.alloc(BODY_BYTES, "the quick brown fox jumps over the lazy dog; ").toString("latin1");

export const targetOf = (id: number, key: number) => `/item/${key}?id=${id}`;

/** The body for a target: BODY_BYTES characters that begin with the target itself. */
export const bodyOf = (target: string) => `${target}\n${FILLER}`.slice(0, BODY_BYTES);
