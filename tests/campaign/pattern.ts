/**
 * Pattern: bytes that both ends can make from a number, so that every byte of an answer can be checked.
 *
 * why    a response that belongs to another request, or that lost or doubled a piece, must not look right
 */

/** `size` characters that depend on `id` and on their place. */
export function pattern(id: number, size: number): string {
  const unit = `${id}:${(id * 2654435761) >>> 0};`;
  return unit.repeat(Math.ceil(size / unit.length)).slice(0, size);
}
