/**
 * Key hash: text → 32 bits, fast and well mixed. Not for secrets, and not against clients that look for collisions.
 */
/** FNV-1a over the UTF-16 units, then mixed: FNV alone leaves the upper bits of short texts alike. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return mix(hash);
}

/** Every bit of the input decides about every bit of the output (MurmurHash3's finaliser). */
export function mix(bits: number): number {
  let mixed = bits;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
