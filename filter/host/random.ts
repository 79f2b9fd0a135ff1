import { HostResult } from "./result";
import { random_get } from "./wasi_snapshot_preview1";

/** Drawn from the host in pieces of this size, since each call costs more than the bytes. */
const POOL_BYTES: usize = 1024;
const pool = memory.data(1024, 16);
let used: usize = POOL_BYTES;

/**
 * 16 fresh random bytes from the operating system, at a place that is valid until the next call. Zero when the host has
 * none: the caller then goes without, a guessable key is worse than none.
 */
export function random16(): usize {
  if (used + 16 > POOL_BYTES) {
    if (random_get(pool, POOL_BYTES) !== HostResult.Ok) return 0;
    used = 0;
  }
  const at = pool + used;
  used += 16;
  return at;
}
