// Memory for what the host hands us. It lives until the next callback, or until `release`; nothing is freed one by one.

/** Envoy's headers are at most 60 KiB unless it is told otherwise; bodies are read in smaller pieces. One per worker. */
export const SCRATCH_BYTES: usize = 262144;
const scratch = memory.data(262144, 16);
let top: usize = scratch;

/** The first statement of every callback. Callbacks never nest: Envoy defers what would. */
export function resetArena(): void {
  top = scratch;
}

/** Zero when it does not fit: the host then answers its caller with an error, and nothing traps. */
export function allocate(bytes: i32): usize {
  if (bytes < 0 || <usize>bytes > scratch + SCRATCH_BYTES - top) return 0;
  const at = top;
  top = min((at + <usize>bytes + 15) & ~15, scratch + SCRATCH_BYTES);
  return at;
}

/** For loops that read piece by piece: `const place = mark(); …; release(place)`. */
export function mark(): usize {
  return top;
}

export function release(place: usize): void {
  if (place >= scratch && place <= top) top = place;
}
