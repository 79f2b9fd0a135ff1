/** The id's lowest 48 bits are random, and this many values of them there are. */
const RANDOM_RANGE: f64 = 281474976710656.0;

/** Below which value of its lowest 48 bits an id is sampled. `fraction` is 0..1, both ends exact. */
export function sampleThreshold(fraction: f64): u64 {
  return <u64>(fraction * RANDOM_RANGE);
}

/**
 * Decided by the correlation id alone: whoever knows the id and the fraction comes to the same answer, and what is
 * sampled at a small fraction is sampled at every larger one. Independent of the partition, which hashes all of it.
 */
export function isSampled(id: usize, threshold: u64): bool {
  const low = ((<u64>bswap<u16>(load<u16>(id, 10))) << 32) | <u64>bswap<u32>(load<u32>(id, 12));
  return low < threshold;
}
