// The host's contexts by id: one for each root and, while they matter, for each stream that passes a filter of ours.
import { Config } from "./config";

/** Roots at once: a tagger's and an observer's, old and new configuration, for some listeners. */
const ROOTS_MAX: i32 = 32;
/** Places for streams, at 16 bytes 512 KiB. A power of two. Never filled beyond STREAMS_MAX, so that a search ends soon. */
const STREAM_PLACES: u32 = 32768;
const STREAMS_MAX: i32 = 24576;
/** Beyond it the tagger samples nothing more: what is left is for the legs of what it has sampled. */
const STREAMS_FULL: i32 = 16384;

export enum StreamState {
  /** Created; nothing came yet. */
  Fresh = 0,
  /** A sampled request at the tagger; `index` is its live request. */
  Tagged = 1,
  /** A leg; `index` is its observation. */
  Observed = 2,
  /** A leg for which no observation was free: only counted. `index` holds its ledger and its place there. */
  Counted = 3,
}

/** Bits of `Stream.flags` for a leg that is only counted. */
export const COUNTED_ANSWERED: u8 = 1;
export const COUNTED_COMPLETE: u8 = 2;

@unmanaged
export class Stream {
  /** The host's context id; 0 where the place is empty. */
  id: u32 = 0;
  state: u8 = 0;
  flags: u8 = 0;
  unused: u16 = 0;
  index: i32 = 0;
  config: Config | null = null;
}

const streams: usize = memory.data(524288, 16);
let streamCount: i32 = 0;
let overflowed: bool = false;

function streamPlace(place: u32): Stream {
  return changetype<Stream>(streams + ((<usize>place) << 4));
}

/** Ids are handed out in order: multiplied, so that neighbours do not pile up behind a long-lived one. */
function homeOf(id: u32): u32 {
  return ((id * 0x9e3779b1) >>> 17) & (STREAM_PLACES - 1);
}

/** Null for ids that we do not know: never seen, done already, or created when the table was full. */
export function findStream(id: u32): Stream | null {
  let place = homeOf(id);
  for (let steps: u32 = 0; steps < STREAM_PLACES; steps++) {
    const stream = streamPlace(place);
    if (stream.id === id) return id === 0 ? null : stream;
    if (stream.id === 0) return null;
    place = (place + 1) & (STREAM_PLACES - 1);
  }
  return null;
}

/** Null when the table is full, or the host repeats an id. */
export function addStream(id: u32, config: Config): Stream | null {
  if (id === 0) return null;
  if (streamCount >= STREAMS_MAX) {
    overflowed = true;
    return null;
  }
  let place = homeOf(id);
  for (let steps: u32 = 0; steps < STREAM_PLACES; steps++) {
    const stream = streamPlace(place);
    if (stream.id === id) return null;
    if (stream.id === 0) {
      stream.id = id;
      stream.state = <u8>StreamState.Fresh;
      stream.flags = 0;
      stream.index = -1;
      stream.config = config;
      streamCount++;
      return stream;
    }
    place = (place + 1) & (STREAM_PLACES - 1);
  }
  return null;
}

/** Moves what stands behind it forward, so that no gap breaks a search. What `findStream` gave is then no longer valid. */
export function removeStream(id: u32): void {
  const found = findStream(id);
  if (found === null) return;
  streamCount--;
  let gap = <u32>((changetype<usize>(found) - streams) >>> 4);
  let place = gap;
  for (let steps: u32 = 0; steps < STREAM_PLACES; steps++) {
    place = (place + 1) & (STREAM_PLACES - 1);
    const next = streamPlace(place);
    if (next.id === 0) break;
    // Stays if its home lies after the gap, counted around the end of the table.
    const fromHome = (place - homeOf(next.id)) & (STREAM_PLACES - 1);
    const fromGap = (place - gap) & (STREAM_PLACES - 1);
    if (fromHome < fromGap) continue;
    memory.copy(changetype<usize>(streamPlace(gap)), changetype<usize>(next), 16);
    gap = place;
  }
  memory.fill(changetype<usize>(streamPlace(gap)), 0, 16);
}

/** Whether a stream was ever turned away: only then an unknown id may be one that passes a filter of ours. */
export function haveStreamsOverflowed(): bool {
  return overflowed;
}

export function areStreamsFull(): bool {
  return streamCount >= STREAMS_FULL;
}

@unmanaged
class Root {
  id: u32 = 0;
  config: Config | null = null;
}

const roots: usize = memory.data(256, 16);

function rootPlace(index: i32): Root {
  return changetype<Root>(roots + ((<usize>index) << 3));
}

function findRoot(id: u32): i32 {
  for (let index = 0; index < ROOTS_MAX; index++) {
    if (rootPlace(index).id === id) return index;
  }
  return -1;
}

export function configOfRoot(id: u32): Config | null {
  const index = id === 0 ? -1 : findRoot(id);
  return index < 0 ? null : rootPlace(index).config;
}

/** False when there are too many. The caller sees to the configuration that the root had before. */
export function setRootConfig(id: u32, config: Config): bool {
  if (id === 0) return false;
  let index = findRoot(id);
  if (index < 0) index = findRoot(0);
  if (index < 0) return false;
  rootPlace(index).id = id;
  rootPlace(index).config = config;
  return true;
}

export function removeRoot(id: u32): void {
  const index = id === 0 ? -1 : findRoot(id);
  if (index < 0) return;
  rootPlace(index).id = 0;
  rootPlace(index).config = null;
}
