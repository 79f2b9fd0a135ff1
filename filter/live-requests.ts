// Sampled requests whose tagger is still busy in this worker, by their pair key: how many attempts each leg has had, and
// the primary's record of the last attempt, held back until it is known whether another follows.
import { Ending, LEGS_MAX } from "../wire/format";
import { Config, Experiment } from "./config";

/** At once in one worker; at 64 bytes 256 KiB. Beyond it nothing more is sampled, with the reason "table-full". */
export const LIVE_REQUESTS_MAX: i32 = 4096;
const LIVE_BYTES: usize = 64;
/** Places of the index; at 2 bytes 16 KiB. A power of two, half of it stays empty. */
const INDEX_PLACES: u32 = 8192;

@unmanaged
export class LiveRequest {
  k0: u64 = 0;
  k1: u64 = 0;
  id0: u64 = 0;
  id1: u64 = 0;
  /** Told apart from earlier requests in the same place. */
  generation: u32 = 0;
  inUse: bool = false;
  /** Whether an attempt at the primary began. */
  reached: bool = false;
  /** How the primary's last ended attempt ended; stays readable until the place is taken again. */
  primaryEnding: u8 = 0;
  /** The primary's last ended attempt, an observation; -1 for none. */
  held: i32 = -1;
  experiment: usize = 0;
  config: usize = 0;
  /** Attempts by leg of the experiment, one byte each, 255 and more as 255. */
  attempts: u64 = 0;
}

const requests: usize = memory.data(262144, 16);
const index: usize = memory.data(16384, 16);
const free: usize = memory.data(8192, 16);
let freeCount: i32 = 0;
/** Places from here on have never been used: their memory is not touched before it is needed. */
let fresh: i32 = 0;

export function liveRequestAt(at: i32): LiveRequest {
  return changetype<LiveRequest>(requests + <usize>at * LIVE_BYTES);
}

/** The key is random, so its lowest bits are as good as any hash. */
function homeOf(k0: u64): u32 {
  return <u32>k0 & (INDEX_PLACES - 1);
}

/** What stands in a place of the index: a live request's number plus one, 0 for an empty place. */
function indexed(place: u32): u32 {
  return load<u16>(index + ((<usize>place) << 1));
}

function setIndexed(place: u32, value: u32): void {
  store<u16>(index + ((<usize>place) << 1), value);
}

function findPlace(k0: u64, k1: u64): i32 {
  let place = homeOf(k0);
  for (let steps: u32 = 0; steps < INDEX_PLACES; steps++) {
    const value = indexed(place);
    if (value === 0) return -1;
    const request = liveRequestAt(<i32>value - 1);
    if (request.k0 === k0 && request.k1 === k1) return <i32>place;
    place = (place + 1) & (INDEX_PLACES - 1);
  }
  return -1;
}

/** -1 when its tagger is in another worker or Envoy, or done. */
export function findLiveRequest(k0: u64, k1: u64): i32 {
  const place = findPlace(k0, k1);
  return place < 0 ? -1 : <i32>indexed(<u32>place) - 1;
}

export function areLiveRequestsFull(): bool {
  return freeCount === 0 && fresh === LIVE_REQUESTS_MAX;
}

/** -1 when the table is full. The caller holds the configuration while it lives. */
export function addLiveRequest(id: usize, key: usize, experiment: Experiment, config: Config): i32 {
  if (areLiveRequestsFull()) return -1;
  const k0 = load<u64>(key);
  const k1 = load<u64>(key, 8);
  let place = homeOf(k0);
  for (let steps: u32 = 0; indexed(place) !== 0; steps++) {
    if (steps === INDEX_PLACES) return -1;
    place = (place + 1) & (INDEX_PLACES - 1);
  }
  const at = freeCount > 0 ? <i32>load<u16>(free + ((<usize>--freeCount) << 1)) : fresh++;
  setIndexed(place, <u32>at + 1);
  const request = liveRequestAt(at);
  request.k0 = k0;
  request.k1 = k1;
  request.id0 = load<u64>(id);
  request.id1 = load<u64>(id, 8);
  request.generation++;
  request.inUse = true;
  request.reached = false;
  request.primaryEnding = <u8>Ending.Complete;
  request.held = -1;
  request.experiment = changetype<usize>(experiment);
  request.config = changetype<usize>(config);
  request.attempts = 0;
  return at;
}

export function removeLiveRequest(at: i32): void {
  const request = liveRequestAt(at);
  if (!request.inUse) return;
  const found = findPlace(request.k0, request.k1);
  request.inUse = false;
  store<u16>(free + ((<usize>freeCount) << 1), at);
  freeCount++;
  if (found < 0) return;
  let gap = <u32>found;
  let place = gap;
  for (let steps: u32 = 0; steps < INDEX_PLACES; steps++) {
    place = (place + 1) & (INDEX_PLACES - 1);
    const value = indexed(place);
    if (value === 0) break;
    const fromHome = (place - homeOf(liveRequestAt(<i32>value - 1).k0)) & (INDEX_PLACES - 1);
    if (fromHome < ((place - gap) & (INDEX_PLACES - 1))) continue;
    setIndexed(gap, value);
    gap = place;
  }
  setIndexed(gap, 0);
}

/** Counts one more attempt of a leg and answers the how-manieth it is, from 1. */
export function countLiveAttempt(at: i32, leg: i32): i32 {
  if (leg < 0 || leg >= LEGS_MAX) return 1;
  const request = liveRequestAt(at);
  const place = changetype<usize>(request) + offsetof<LiveRequest>("attempts") + <usize>leg;
  const before = <i32>load<u8>(place);
  if (before < 255) store<u8>(place, before + 1);
  return before + 1;
}

/** Whether the request that was at this place is over and nothing has come to its place since. */
export function hasJustEnded(at: i32, generation: u32): bool {
  if (at < 0) return false;
  const request = liveRequestAt(at);
  return !request.inUse && request.generation === generation;
}

/** Whether the request that was at this place then is still there. */
export function isLive(at: i32, generation: u32): bool {
  if (at < 0) return false;
  const request = liveRequestAt(at);
  return request.inUse && request.generation === generation;
}
