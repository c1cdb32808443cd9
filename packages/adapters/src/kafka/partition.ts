// Which partition a key is in, as all Kafka clients have it by default: MurmurHash2 of its bytes (KIP-480 changed it only for records without a
// key). kafkajs counts in 64 bits for it, which takes as long as all else that a record costs on its way to its lane.

const seed = 0x9747b28c;
const factor = 0x5bd1e995;

export function partitionOf(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions;
}

/** By Austin Appleby, https://github.com/aappleby/smhasher; 32 bits, little endian. */
function murmur2(bytes: Uint8Array): number {
  const { length } = bytes;
  const at = (index: number): number => bytes[index] ?? 0;
  let hash = seed ^ length;
  let index = 0;
  for (; index + 4 <= length; index += 4) {
    let part = at(index) | (at(index + 1) << 8) | (at(index + 2) << 16) | (at(index + 3) << 24);
    part = Math.imul(part, factor);
    part ^= part >>> 24;
    hash = Math.imul(hash, factor) ^ Math.imul(part, factor);
  }
  if (index < length) {
    // Bytes beyond the end are 0.
    hash ^= at(index) | (at(index + 1) << 8) | (at(index + 2) << 16);
    hash = Math.imul(hash, factor);
  }
  hash ^= hash >>> 13;
  hash = Math.imul(hash, factor);
  return hash ^ (hash >>> 15);
}
