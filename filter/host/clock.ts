import { HostResult } from "./result";
import { clock_time_get } from "./wasi_snapshot_preview1";

const REALTIME = 0;
const MONOTONIC = 1;
/** How long the distance between the two clocks is trusted: a step of the wall clock shows after this time. */
const DISTANCE_AGE_US_MAX: u64 = 1000000;

const timeOut = memory.data(8, 8);
let wallDistanceUs: u64 = 0;
let distanceReadUs: u64 = 0;
let distanceKnown = false;

function read(clock: i32): u64 {
  store<u64>(timeOut, 0);
  if (clock_time_get(clock, 1, timeOut) !== HostResult.Ok) return 0;
  return load<u64>(timeOut) / 1000;
}

/** For durations: µs since an unknown start, never goes back. */
export function monotonicUs(): u64 {
  return read(MONOTONIC);
}

/** For points in time: µs since 1970. */
export function wallUs(): u64 {
  return read(REALTIME);
}

/** The wall clock at a moment of the monotonic clock that was just read: one host call a second instead of one each. */
export function wallUsAt(nowUs: u64): u64 {
  if (!distanceKnown || nowUs - distanceReadUs > DISTANCE_AGE_US_MAX) {
    wallDistanceUs = read(REALTIME) - nowUs;
    distanceReadUs = nowUs;
    distanceKnown = true;
  }
  return nowUs + wallDistanceUs;
}
